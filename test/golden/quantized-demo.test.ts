import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { openModel } from '../../libs/native-engine/src/load.js';
import type { AdapterDtype, KvDtype, NativeModel, OpenOptions } from '../../libs/native-engine/src/native.js';
import { Tokenizer } from '../../libs/serving/src/text/tokenizer.js';
import { handManifest } from '../support/hand-manifest.js';
import { type DriverLimits, StepDriver, type TestSequence } from '../support/step-driver.js';

/* What quantizing the base or the KV cache costs the demo's adapters, in exact matches over their held-out examples. */

interface Example {
  readonly adapter: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly expected: string;
}

const demo = fileURLToPath(new URL('../../models/demo/', import.meta.url));
const examples = JSON.parse(readFileSync(`${demo}eval/heldout.json`, 'utf8')) as Example[];
const LIMITS: DriverLimits = { pageTokens: 16, maxStepTokens: 4096, maxSequences: 100, maxContext: 256 };
const NEW_TOKENS = 80;
/** alpha / r, and alpha / sqrt(r) for the rank-stabilized one: the same for all four. */
const SCALE = 2;

async function matches(model: NativeModel, tokenizer: Tokenizer, adapter: string): Promise<number> {
  const driver = new StepDriver(model, LIMITS);
  const { handle } = await model.loadAdapter(handManifest(`${demo}adapters/${adapter}`, SCALE));
  const own = examples.filter((example) => example.adapter === adapter);
  const sequences: TestSequence[] = [];
  for (const { messages } of own) {
    const turns = messages.map(({ role, content }) => `<|${role}|>${content}<|end|>`).join('');
    const { ids } = await tokenizer.encode(`<|bos|>${turns}<|assistant|>`, false);
    sequences.push(driver.sequence([...ids], handle));
  }
  const generated = await driver.generate(sequences, NEW_TOKENS);
  const end = tokenizer.idOf('<|end|>');
  const right = own.filter(({ expected }, i) => {
    const tokens = (generated[i] ?? []).map(({ token }) => token);
    const reply = tokens.includes(end ?? -1) ? tokens.slice(0, tokens.indexOf(end ?? -1)) : tokens;
    return Buffer.concat(reply.map((token) => tokenizer.bytesOf(token))).toString() === expected;
  });
  return right.length / own.length;
}

async function accuracy(
  quantization: OpenOptions['quantization'],
  dtype: KvDtype = 'f32',
  adapterDtype: AdapterDtype = 'stored',
): Promise<Record<string, number>> {
  const model = await openModel({
    modelPath: `${demo}base`,
    backend: 'cpu',
    threads: 2,
    quantization,
    adapterDtype,
    maxStepTokens: LIMITS.maxStepTokens,
    maxSequences: LIMITS.maxSequences,
    kv: { bytes: 128 << 20, pageTokens: LIMITS.pageTokens, dtype },
  });
  const tokenizer = await Tokenizer.load(`${demo}base`);
  const names = [...new Set(examples.map(({ adapter }) => adapter))];
  const result: Record<string, number> = {};
  for (const name of names) result[name] = await matches(model, tokenizer, name);
  await model.close();
  return result;
}

const mean = (values: Record<string, number>): number =>
  Object.values(values).reduce((sum, value) => sum + value, 0) / Object.keys(values).length;

describe('the demo adapters on a quantized base', () => {
  it('answer as many held-out examples as on the full base: less at most a point (int8, an int8 cache, int8 adapters) or three (int4, nf4)', async () => {
    const full = await accuracy('none');
    const int8 = await accuracy('int8');
    const int4 = await accuracy('int4');
    const nf4 = await accuracy('nf4');
    const int8Cache = await accuracy('none', 'int8');
    const int8Adapters = await accuracy('none', 'f32', 'int8');
    expect(mean(full)).toBeGreaterThan(0.95);
    expect(mean(int8)).toBeGreaterThanOrEqual(mean(full) - 0.01);
    expect(mean(int8Cache)).toBeGreaterThanOrEqual(mean(full) - 0.01);
    expect(mean(int8Adapters)).toBeGreaterThanOrEqual(mean(full) - 0.01);
    expect(mean(int4)).toBeGreaterThanOrEqual(mean(full) - 0.03);
    expect(mean(nf4)).toBeGreaterThanOrEqual(mean(full) - 0.03);
  }, 300_000);
});
