import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Client, makeTenant } from '../support/client.js';
import { comparableTokens, type GoldenRun, loadGolden } from '../support/golden.js';
import { type Stack, startStack } from '../support/stack.js';
import { sampled } from '../support/whole-suite.js';

interface Completion {
  readonly choices: readonly {
    readonly token_ids: readonly number[];
    readonly logprobs: { readonly token_logprobs: readonly (number | null)[] };
  }[];
}

/** Largest allowed difference of a log-probability from Transformers + PEFT in float32. */
const TOLERANCE = 0.02;

const CASES = [
  'cases/llama-gqa',
  'cases/llama3-rope-tied-sharded',
  'cases/qwen2-bias',
  'cases/qwen3-qknorm',
  'cases/mistral-window',
  'cases/gemma2-softcap',
  'cases/gemma3-text',
  'cases/phi3-fused',
  'cases/mixtral-moe',
  'cases/qwen3-moe',
  'experts/mixtral',
  'experts/qwen3',
  'peft-cases/gqa',
  'peft-cases/biased',
  'peft-cases/tied',
  'peft-cases/resized',
  'peft-cases/resized-tied',
];

// families.test.ts computes all of them without the product around; starting that takes ten seconds each.
describe.each(sampled(CASES, 7))('%s over HTTP', (name) => {
  const golden = loadGolden(name);
  let stack: Stack;
  let tenant: Client;

  const promptOf = (run: GoldenRun): readonly number[] => golden.prompts[run.prompt] ?? [];
  const modelOf = (run: GoldenRun): string => run.adapter ?? 'golden';
  const complete = (body: object): Promise<Completion> =>
    tenant.expect<Completion>(200, 'POST', '/v1/completions', {
      temperature: 0,
      logprobs: 0,
      ignore_eos: true,
      return_token_ids: true,
      ...body,
    });
  const greedy = (run: GoldenRun): Promise<Completion> =>
    complete({ model: modelOf(run), prompt: promptOf(run), max_tokens: run.greedy_ids.length });

  beforeAll(async () => {
    stack = await startStack({
      env: {
        MODEL_PATH: golden.modelPath,
        MODEL_NAME: 'golden',
        QUANTIZATION: 'none',
        MAX_STEP_TOKENS: '96',
      },
    });
    tenant = await makeTenant(stack.url, stack.adminKey, 'golden-tests');
    for (const adapter of golden.adapters) {
      const { status, body } = await tenant.uploadFolder(adapter, join(golden.folder, 'adapters', adapter));
      if (status !== 201 || body.state !== 'ready') {
        throw new Error(`${adapter}: ${status} ${body.state} ${JSON.stringify(body.report)}`);
      }
    }
  });
  afterAll(() => stack?.stop());

  it("gives every adapter's greedy tokens up to the first close call, all adapters in one batch", async () => {
    const answers = await Promise.all(golden.runs.map(greedy));
    for (const [i, run] of golden.runs.entries()) {
      const ids = answers[i]?.choices[0]?.token_ids ?? [];
      const count = comparableTokens(run);
      expect(ids.slice(0, count), `${run.adapter} prompt ${run.prompt}`).toEqual(
        run.greedy_ids.slice(0, count),
      );
    }
  });

  it('gives teacher-forced log-probabilities within 0.02 of Transformers + PEFT', async () => {
    const answers = await Promise.all(
      golden.runs.map((run) =>
        complete({
          model: modelOf(run),
          prompt: [...promptOf(run), ...run.greedy_ids],
          max_tokens: 0,
          echo: true,
        }),
      ),
    );
    for (const [i, run] of golden.runs.entries()) {
      const got = answers[i]?.choices[0]?.logprobs.token_logprobs ?? [];
      const want = [...run.prompt_logprobs, ...run.greedy_logprobs];
      expect(got.length).toBe(want.length);
      expect(got[0]).toBeNull();
      const worst = Math.max(...want.slice(1).map((w, k) => Math.abs((w ?? 0) - (got[k + 1] ?? Number.NaN))));
      expect(worst, `${run.adapter} prompt ${run.prompt}`).toBeLessThan(TOLERANCE);
    }
  });

  it('gives bit for bit the same log-probabilities alone, in a batch, and with changed neighbours', async () => {
    const others = golden.runs.filter((_, i) => i % 2 === 0).toReversed();
    const together = await Promise.all(golden.runs.map(greedy));
    const changed = await Promise.all(others.map(greedy));
    for (const [i, run] of golden.runs.entries()) {
      const alone = (await greedy(run)).choices[0];
      const batched = [together[i], changed[others.indexOf(run)] ?? together[i]];
      expect(batched.map((answer) => answer?.choices[0])).toEqual([alone, alone]);
    }
  });
});
