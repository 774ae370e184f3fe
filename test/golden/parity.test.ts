import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { AdapterManifest, ManifestModule } from '#contracts/adapter-manifest.js';
import type { NativeModel } from '../../libs/native-engine/src/native.js';
import { loadGolden } from '../support/golden.js';
import { ParityFixture, type ParityFixtureOptions } from '../support/parity-fixture.js';
import { ROOT } from '../support/stack.js';

const MODELS = [
  'cases/llama-gqa',
  'cases/llama3-rope-tied-sharded',
  'peft-cases/gqa',
  'peft-cases/biased',
  'peft-cases/tied',
  'peft-cases/resized',
  'peft-cases/resized-tied',
  'experts/mixtral',
  'experts/qwen3',
  'crosswise/llama-gqa',
  'crosswise/phi3-fused',
  'recurrent/next',
  'recurrent/dense',
  'recurrent/moe',
].map((name) => {
  const { modelPath, folder } = loadGolden(name);
  return { name, modelPath, adapters: join(folder, 'adapters') };
});
const DEMO = {
  name: 'the demo',
  modelPath: join(ROOT, 'models/demo/base'),
  adapters: join(ROOT, 'models/demo/adapters'),
};
const DORA = join(ROOT, 'test/golden/cases/llama-gqa/adapters/dora-r8');
const LLAMA = join(ROOT, 'test/golden/cases/llama-gqa/model');
/** Models without tokenizers. */
const FAMILIES = join(ROOT, 'test/golden/families');
const wordTokenizer = (size: number) => ({
  version: '1.0',
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: { type: 'Whitespace' },
  post_processor: null,
  decoder: { type: 'Fuse' },
  model: {
    type: 'WordLevel',
    vocab: Object.fromEntries(Array.from({ length: size }, (_, id) => [`w${id}`, id])),
    unk_token: 'w0',
  },
});

let fixture: ParityFixture | undefined;
afterEach(async () => {
  await fixture?.close();
  fixture = undefined;
});
const open = async (options: ParityFixtureOptions): Promise<ParityFixture> =>
  (fixture = await ParityFixture.open(options));

/** The manifest with one module of its own changed. */
const withModule =
  (change: (module: ManifestModule) => ManifestModule) =>
  (manifest: AdapterManifest): AdapterManifest => ({
    ...manifest,
    modules: manifest.modules.map((module, i) => (i === 1 ? change(module) : module)),
  });
const scaled = (factor: number) =>
  withModule((module) => {
    if (!module.lora) throw new Error('no low-rank module');
    return { ...module, lora: { ...module.lora, scale: module.lora.scale * factor } };
  });

describe('the parity check passes every adapter that PEFT itself vouches for', () => {
  it.each([...MODELS, DEMO])('of $name', async ({ modelPath, adapters }) => {
    const opened = await open({ modelPath });
    for (const adapter of readdirSync(adapters)) {
      const parity = await opened.compare(join(adapters, adapter));
      expect(parity, `${adapter}`).toMatchObject({
        passed: true,
        prompts: 4,
        tokens: 124,
        token_agreement: 1,
      });
      expect(parity.effect, `${adapter}`).toBeGreaterThan(0.1);
    }
    expect(opened.engine.status().adapters.resident, 'what only the check loaded').toEqual([]);
  });

  it.each(['gemma4-e2b', 'gemma4-26b'])('of %s', async (name) => {
    const folder = mkdtempSync(join(tmpdir(), 'lorikeet-parity-'));
    try {
      cpSync(join(FAMILIES, name, 'model'), folder, { recursive: true });
      writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(wordTokenizer(96)));
      const opened = await open({ modelPath: folder });
      const adapters = join(FAMILIES, name, 'adapters');
      for (const adapter of readdirSync(adapters)) {
        const parity = await opened.compare(join(adapters, adapter));
        expect(parity, adapter).toMatchObject({ passed: true, token_agreement: 1 });
        expect(parity.effect, adapter).toBeGreaterThan(0.1);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it.each([...MODELS, DEMO])('of $name with an int8 KV cache', async ({ modelPath, adapters }) => {
    const opened = await open({ modelPath, env: { KV_CACHE_DTYPE: 'int8' } });
    for (const adapter of readdirSync(adapters)) {
      const parity = await opened.compare(join(adapters, adapter));
      expect(parity, `${adapter}`).toMatchObject({ passed: true });
    }
  });

  it.each(['bf16', 'int8'])('of llama-gqa with adapters kept in %s', async (ADAPTER_DTYPE) => {
    const stored = await open({ modelPath: LLAMA });
    const { effect } = await stored.compare(DORA);
    await stored.close();
    const opened = await open({ modelPath: LLAMA, env: { ADAPTER_DTYPE } });
    expect((await opened.compare(DORA)).effect, 'it is rounded').not.toBe(effect);
    const adapters = join(LLAMA, '../adapters');
    for (const adapter of readdirSync(adapters)) {
      const parity = await opened.compare(join(adapters, adapter));
      expect(parity, `${adapter}`).toMatchObject({ passed: true, token_agreement: 1 });
    }
  });

  it.each(['int8', 'int4'])('of the demo on an %s base', async (QUANTIZATION) => {
    const opened = await open({ ...DEMO, env: { QUANTIZATION } });
    for (const adapter of readdirSync(DEMO.adapters)) {
      expect(await opened.compare(join(DEMO.adapters, adapter)), `${adapter}`).toMatchObject({
        passed: true,
      });
    }
  });
});

describe('the parity check fails', () => {
  it('a manifest whose scale of one module is off by two percent', async () => {
    const parity = await (await open({ modelPath: LLAMA })).compare(DORA, scaled(1.02));
    expect(parity.passed).toBe(false);
    expect(parity.max_abs_diff).toBeGreaterThan(parity.tolerance.max_abs_diff);
  });

  it('a manifest whose scale is wrong on a quantized base', async () => {
    const opened = await open({ modelPath: LLAMA, env: { QUANTIZATION: 'int8' } });
    expect(await opened.compare(DORA, scaled(2))).toMatchObject({ passed: false });
  });

  it('a manifest that lost a module', async () => {
    const opened = await open({ modelPath: LLAMA });
    const shortened = (manifest: AdapterManifest) => ({ ...manifest, modules: manifest.modules.slice(1) });
    expect(await opened.compare(DORA, shortened)).toMatchObject({ passed: false });
  });

  it('a manifest that maps tensors to another layer', async () => {
    const opened = await open({ modelPath: LLAMA });
    const elsewhere = (name: string): string =>
      name.replace(/layers\.(\d)/, (_, layer: string) => `layers.${(Number(layer) + 1) % 3}`);
    const moved = (manifest: AdapterManifest): AdapterManifest => ({
      ...manifest,
      modules: manifest.modules.map((module) => ({ ...module, module: elsewhere(module.module) })),
    });
    expect(await opened.compare(DORA, moved)).toMatchObject({ passed: false });
  });

  it('a kernel that is off in its ninth step', async () => {
    const opened = await open({ modelPath: LLAMA, wrap: offInStep(9) });
    expect(await opened.compare(DORA)).toMatchObject({ passed: false });
  });

  it('an adapter whose numbers are not finite when served, and says so', async () => {
    const parity = await (await open({ modelPath: LLAMA })).compare(DORA, scaled(1e38));
    expect(parity).toMatchObject({ passed: false, max_abs_diff: null });
    expect(parity.failure).toMatch(/finite/);
  });
});

it('the parity check gives the same numbers again', async () => {
  const opened = await open({ modelPath: LLAMA });
  expect(await opened.compare(DORA)).toEqual(await opened.compare(DORA));
});

it('requests of tenants go on, unchanged, while adapters are checked', async () => {
  const opened = await open(DEMO);
  const alone = await opened.greedy(40);
  const checks = Promise.all(
    readdirSync(DEMO.adapters).map((name) => opened.compare(join(DEMO.adapters, name))),
  );
  for (let i = 0; i < 5; i++) expect(await opened.greedy(40)).toEqual(alone);
  for (const parity of await checks) expect(parity.passed).toBe(true);
});

/**
 * The served model's log-probabilities are shifted in one of the steps that have an adapter's rows, as by a kernel that
 * misreads its input. The base's runs of the check may take steps of their own while the adapter loads.
 */
function offInStep(step: number): (native: NativeModel) => NativeModel {
  let steps = 0;
  return (native) => ({
    ...native,
    step: async (plan) => {
      const off = plan.segments > 0 && ++steps === step;
      const timing = await native.step(plan);
      if (off)
        for (let i = 0; i < plan.samples; i++) plan.outLogprob[i] = (plan.outLogprob[i] as number) - 0.05;
      return timing;
    },
  });
}
