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

interface SeveralModels {
  readonly models: readonly {
    readonly usage: { readonly prompt_tokens_details: { readonly cached_tokens: number } };
  }[];
}

/** Of KV_PAGE_TOKENS. */
const PAGE_TOKENS = 16;

interface BeamRun {
  readonly adapter: string | null;
  readonly prompt: number;
  readonly beams: number;
  readonly length_penalty: number;
  readonly early_stopping: boolean | 'never';
  readonly endings: readonly number[];
  readonly min_tokens: number;
  readonly sequences: readonly (readonly number[])[];
}

/** What Transformers' generate(num_beams) finds (make_beams.py). */
const BEAMS = JSON.parse(readFileSync(join(import.meta.dirname, 'beams.json'), 'utf8')) as {
  readonly case: string;
  readonly new_tokens: number;
  readonly prompts: readonly (readonly number[])[];
  readonly runs: readonly BeamRun[];
};

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
  const ofBeams = <T>(...values: T[]): T[] => (name.endsWith(BEAMS.case) ? values : []);
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

  it.each(ofBeams(null, 'qv-r8'))(
    'are searched with beams, of several prompts and with best_of: %s',
    async (adapter) => {
      const [run, other] = BEAMS.runs.filter((each) => each.adapter === adapter && each.endings.length > 1);
      if (run === undefined || other === undefined) throw new Error('there are no such runs');
      const asked = {
        model: adapter ?? 'golden',
        use_beam_search: true,
        temperature: 0,
        best_of: run.beams,
        n: 2,
        length_penalty: run.length_penalty,
        early_stopping: run.early_stopping,
        stop_token_ids: run.endings,
        min_tokens: run.min_tokens,
        max_tokens: BEAMS.new_tokens,
        return_token_ids: true,
      };
      const prompt = [BEAMS.prompts[run.prompt], [5, 6, 7], BEAMS.prompts[run.prompt]];
      const answer = await tenant.expect<Completion & { usage: { completion_tokens: number } }>(
        200,
        'POST',
        '/v1/completions',
        { ...asked, prompt },
      );
      const ids = answer.choices.map(({ token_ids }) => token_ids);
      expect(ids).toHaveLength(6);
      expect([ids.slice(0, 2), ids.slice(4)]).toEqual([run.sequences.slice(0, 2), run.sequences.slice(0, 2)]);
      expect(answer.usage.completion_tokens).toBeGreaterThan(2 * run.sequences.flat().length);
    },
  );

  it.each(ofBeams('turns'))('act from their invocation on, after the base’s pages: %s', async (activated) => {
    const folderOf = (adapter: string) => join(loadGolden('activated').folder, 'adapters', adapter);
    const { body } = await tenant.uploadFolder(activated, folderOf(activated));
    expect(body).toMatchObject({ state: 'ready' });
    const messages = [{ role: 'user', content: 'hello there, how can I help you today? '.repeat(3) }];
    const chat = (model: string, fields: object = {}) =>
      tenant.expect<{
        usage: {
          prompt_tokens: number;
          prompt_tokens_details: { cached_tokens: number; adapter_tokens?: number };
        };
      }>(200, 'POST', '/v1/chat/completions', { model, messages, max_tokens: 2, ...fields });
    const { usage } = await chat('golden');
    expect(usage.prompt_tokens_details).not.toHaveProperty('adapter_tokens');
    // The template ends with the token that invokes it.
    expect((await chat(activated)).usage.prompt_tokens_details).toEqual({
      cached_tokens: usage.prompt_tokens - 1,
      adapter_tokens: 1,
    });
    const plain = await chat(activated, { add_generation_prompt: false });
    expect(plain.usage.prompt_tokens_details.adapter_tokens).toBe(0);
  });

  it.each(ofBeams('answers'))(
    'act from their invocation on in one call to several, which compute the beginning once: %s',
    async (activated) => {
      const ofPeft = loadGolden('activated');
      const { body } = await tenant.uploadFolder(activated, join(ofPeft.folder, 'adapters', activated));
      expect(body).toMatchObject({ state: 'ready' });
      const runs = ofPeft.runs as readonly (GoldenRun & { readonly invoked_at?: number | null })[];
      const run = runs.find(
        ({ adapter, invoked_at }) => adapter === activated && (invoked_at ?? 0) > 2 * PAGE_TOKENS,
      );
      if (run === undefined) throw new Error('none is invoked late enough');
      const prompt = ofPeft.prompts[run.prompt];
      const models = ['golden', activated, `${activated}*0.5`];
      const asked = {
        prompt,
        max_tokens: run.greedy_ids.length,
        ignore_eos: true,
        temperature: 0,
        logprobs: 0,
        return_token_ids: true,
      };
      const answer = await tenant.expect<Completion & SeveralModels>(200, 'POST', '/v1/completions', {
        models,
        ...asked,
      });
      const cached = answer.models.map(({ usage }) => usage.prompt_tokens_details.cached_tokens);
      // Whoever comes first computes it, and the others wait for its pages.
      expect(cached.toSorted((a, b) => a - b)[0]).toBe(0);
      expect(cached.filter((tokens) => tokens >= 2 * PAGE_TOKENS)).toHaveLength(2);
      const count = comparableTokens(run);
      expect(answer.choices[1]?.token_ids.slice(0, count)).toEqual(run.greedy_ids.slice(0, count));
      const alone = await Promise.all(
        models.map((model) =>
          tenant.expect<Completion>(200, 'POST', '/v1/completions', { model, ...asked, cache_salt: model }),
        ),
      );
      for (const [at, { choices }] of alone.entries())
        expect(answer.choices[at]).toMatchObject({
          token_ids: choices[0]?.token_ids,
          logprobs: choices[0]?.logprobs,
        });
      // PEFT has no place for a second adapter beside one that acts from a token on.
      for (const model of [`${activated}+qv-r8`, `qv-r8+${activated}*0.5`])
        expect(
          await tenant.expect(400, 'POST', '/v1/completions', { model, prompt: 'a', max_tokens: 1 }),
        ).toMatchObject({
          error: { param: 'model', message: expect.stringContaining('goes alone') as string },
        });
    },
  );

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
