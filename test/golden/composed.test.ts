import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readSafetensors } from '#safetensors/reader.js';
import { writeSafetensors } from '#safetensors/writer.js';
import { type Client, makeTenant } from '../support/client.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../support/golden.js';
import { type Stack, startStack } from '../support/stack.js';

/* Scaled adapters, several at once, and several models in one call, over HTTP, against PEFT's (make_composed.py). */

interface ComposedRun extends Omit<GoldenRun, 'adapter'> {
  /** The weight of each. */
  readonly adapters: Readonly<Record<string, number>>;
  readonly lora_scale: number;
}

interface ComposedCase {
  readonly case: string;
  readonly prompts: readonly (readonly number[])[];
  readonly runs: readonly ComposedRun[];
}

interface Completion {
  readonly choices: readonly {
    readonly token_ids: readonly number[];
    readonly logprobs: { readonly token_logprobs: readonly (number | null)[] };
  }[];
}

/** Largest allowed difference of a log-probability from Transformers + PEFT in float32. */
const TOLERANCE = 0.02;
const CASES = JSON.parse(
  readFileSync(join(import.meta.dirname, 'composed.json'), 'utf8'),
) as readonly ComposedCase[];

const modelOf = ({ adapters }: ComposedRun): string =>
  Object.entries(adapters)
    .map(([name, weight]) => (weight === 1 ? name : `${name}*${weight}`))
    .join('+');

/** The adapter without the base's own embeddings, which PEFT saves beside deltas of them: with them it is no delta alone. */
function withoutCopies(from: string, to: string): string {
  mkdirSync(to);
  copyFileSync(join(from, 'adapter_config.json'), join(to, 'adapter_config.json'));
  const file = readSafetensors(readFileSync(join(from, 'adapter_model.safetensors')));
  const kept = file.header.tensors.filter(({ name }) => !name.endsWith('.base_layer.weight'));
  const tensors = kept.map((tensor) => ({ ...tensor, bytes: file.bytes(tensor.name) ?? new Uint8Array() }));
  writeFileSync(join(to, 'adapter_model.safetensors'), writeSafetensors(tensors));
  return to;
}

describe.each(CASES)('adapters of $case, scaled and added up', ({ case: name, prompts, runs }) => {
  const golden = loadGolden(name);
  const folder = mkdtempSync(join(tmpdir(), 'lorikeet-composed-'));
  let stack: Stack;
  let tenant: Client;

  beforeAll(async () => {
    stack = await startStack({
      env: { MODEL_PATH: golden.modelPath, MODEL_NAME: 'golden', QUANTIZATION: 'none' },
    });
    tenant = await makeTenant(stack.url, stack.adminKey, 'golden-tests');
    for (const adapter of new Set(runs.flatMap(({ adapters }) => Object.keys(adapters)))) {
      const saved = join(golden.folder, 'adapters', adapter);
      const { status, body } = await tenant.uploadFolder(
        adapter,
        withoutCopies(saved, join(folder, adapter)),
      );
      if (body.state !== 'ready') throw new Error(`${adapter}: ${status} ${JSON.stringify(body.report)}`);
    }
  });
  afterAll(async () => {
    await stack?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const complete = (run: ComposedRun, body: object): Promise<Completion> =>
    tenant.expect<Completion>(200, 'POST', '/v1/completions', {
      model: modelOf(run),
      lora_scale: run.lora_scale,
      temperature: 0,
      logprobs: 0,
      ignore_eos: true,
      return_token_ids: true,
      ...body,
    });

  it("give PEFT's greedy tokens up to the first close call, all in one batch", async () => {
    const answers = await Promise.all(
      runs.map((run) => complete(run, { prompt: prompts[run.prompt], max_tokens: run.greedy_ids.length })),
    );
    for (const [i, run] of runs.entries()) {
      const ids = answers[i]?.choices[0]?.token_ids ?? [];
      const count = comparableTokens({ ...run, adapter: null });
      expect(ids.slice(0, count), `${modelOf(run)} times ${run.lora_scale}`).toEqual(
        run.greedy_ids.slice(0, count),
      );
    }
  });

  it("give PEFT's log-probabilities within 0.02", async () => {
    const answers = await Promise.all(
      runs.map((run) =>
        complete(run, {
          prompt: [...(prompts[run.prompt] ?? []), ...run.greedy_ids],
          max_tokens: 0,
          echo: true,
        }),
      ),
    );
    for (const [i, run] of runs.entries()) {
      const got = answers[i]?.choices[0]?.logprobs.token_logprobs ?? [];
      const want = [...run.prompt_logprobs, ...run.greedy_logprobs];
      expect(got.length).toBe(want.length);
      const worst = Math.max(...want.slice(1).map((w, k) => Math.abs((w ?? 0) - (got[k + 1] ?? Number.NaN))));
      expect(worst, `${modelOf(run)} times ${run.lora_scale}`).toBeLessThan(TOLERANCE);
    }
  });

  it('answer one prompt in one call as each alone', async () => {
    const several = runs.at(-1);
    const [name = ''] = Object.keys(runs[0]?.adapters ?? {});
    const models = ['golden', name, `${name}*0.5`, ...(several ? [modelOf(several)] : [])];
    const asked = { prompt: prompts[0], max_tokens: 6, temperature: 0, logprobs: 0, cache_salt: 'one call' };
    const { choices } = await tenant.expect<Completion>(200, 'POST', '/v1/completions', { models, ...asked });
    const alone = await Promise.all(
      models.map((model) => tenant.expect<Completion>(200, 'POST', '/v1/completions', { model, ...asked })),
    );
    const expected = alone.flatMap((answer, at) =>
      answer.choices.map((choice) => ({ ...choice, model: models[at], index: at })),
    );
    expect(choices).toEqual(expected);
  });

  it('give the same bits whatever the order in which they are named, alone and beside others', async () => {
    const several = runs.filter(({ adapters }) => Object.keys(adapters).length > 1);
    const turned = several.map((run) => ({
      ...run,
      adapters: Object.fromEntries(Object.entries(run.adapters).toReversed()),
    }));
    const ask = (run: ComposedRun) =>
      complete(run, { prompt: prompts[run.prompt], max_tokens: 4, cache_salt: 'other' });
    const together = await Promise.all(turned.map(ask));
    for (const [i, run] of several.entries()) {
      expect(together[i]?.choices).toEqual((await ask(run)).choices);
    }
  });
});
