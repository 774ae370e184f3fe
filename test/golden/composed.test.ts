import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, makeTenant } from '../support/client.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../support/golden.js';
import { type Stack, startStack } from '../support/stack.js';

/* Scaled adapters, over HTTP, against PEFT's (make_composed.py). */

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

const modelOf = ({ adapters }: ComposedRun): string => Object.keys(adapters).join('+');

describe.each(CASES)('adapters of $case, scaled', ({ case: name, prompts, runs: all }) => {
  const golden = loadGolden(name);
  const runs = all.filter(({ adapters }) => Object.keys(adapters).length === 1);
  let stack: Stack;
  let tenant: Client;

  beforeAll(async () => {
    stack = await startStack({ env: { MODEL_PATH: golden.modelPath, MODEL_NAME: 'golden', QUANTIZATION: 'none' } });
    tenant = await makeTenant(stack.url, stack.adminKey, 'golden-tests');
    for (const adapter of new Set(runs.flatMap(({ adapters }) => Object.keys(adapters)))) {
      const { status, body } = await tenant.uploadFolder(adapter, join(golden.folder, 'adapters', adapter));
      expect([status, body.state], JSON.stringify(body.report)).toEqual([201, 'ready']);
    }
  });
  afterAll(() => stack?.stop());

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
});
