import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { Registry } from 'prom-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { inspectModel as inspectNative, openModel as openNative, probeCuda } from '#native-engine/load.js';
import { parseSettings } from '#runtime/settings.js';
import { InferenceEngine } from '#serving/loop/inference-engine.js';
import { checkModel, openModel } from '#serving/model-opening.js';
import { servingSettings } from '#serving/settings.js';
import { FileBlobStore } from '#stores/blobs/file-store.js';
import { eagerDrafts } from '../../../test/support/eager-drafts.js';
import { generateRequest, idsOf } from '../../../test/support/generate-request.js';
import { comparableTokens, loadGolden } from '../../../test/support/golden.js';
import { storePlainLora } from '../../../test/support/plain-lora.js';
import { collect } from '../../../test/support/serving-fixture.js';

const golden = loadGolden('cases/llama-gqa');
/** Another network of the same tokenizer. */
const other = loadGolden('cases/qwen2-bias').modelPath;
const ADAPTERS = ['qv-r8', 'all-r16-bf16', 'rslora-r4'];

let folder: string;
let blobs: FileBlobStore;
const open: InferenceEngine[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'lorikeet-draft-'));
  blobs = await FileBlobStore.open(join(folder, 'blobs'));
});
afterEach(async () => {
  for (const engine of open.splice(0)) await engine.close(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const settingsOf = (env: Readonly<Record<string, string>>) =>
  parseSettings(servingSettings, {
    MODEL_PATH: golden.modelPath,
    THREADS: '1',
    KV_CACHE_BYTES: '4M',
    ...env,
  });

const modelOf = (env: Readonly<Record<string, string>>) =>
  openModel({ settings: settingsOf(env), inspectNative, openNative, probeCuda, digestCachePath: undefined });

/** Guesses whatever it may. */
async function engineOf(env: Readonly<Record<string, string>> = {}) {
  const model = await modelOf(env);
  const registry = new Registry();
  const logger = pino({ level: 'silent' });
  const settings = settingsOf(env);
  const draftPolicy = eagerDrafts();
  const engine = new InferenceEngine({ model, settings, blobs, registry, logger, draftPolicy });
  open.push(engine);
  const digests = new Map<string, string>();
  for (const name of ADAPTERS) {
    digests.set(name, await storePlainLora(blobs, join(golden.folder, 'adapters', name), model.base.digest));
  }
  const run = async (body: GenerateRequest): Promise<GenerateEvent[]> =>
    collect(await engine.generate(body, new AbortController().signal));
  const acceptance = async () => {
    const metrics = await registry.metrics();
    const sum = (name: string) =>
      [
        ...metrics.matchAll(
          new RegExp(`adapter_${name}_tokens_total\\{[^}]*kind="draft"[^}]*\\} (\\d+)`, 'g'),
        ),
      ]
        .map(([, value]) => Number(value))
        .reduce((a, b) => a + b, 0);
    return { drafted: sum('drafted'), accepted: sum('accepted') };
  };
  return { engine, model, digests, run, acceptance };
}

const ask = (tokens: readonly number[], overrides: Partial<GenerateRequest> = {}) =>
  generateRequest({ kind: 'tokens', tokens: [...tokens] }, { ignoreEos: true, ...overrides });

const scoredOf = (events: readonly GenerateEvent[]) =>
  events.flatMap((event) => (event.type === 'tokens' ? (event.scored ?? []) : []));

describe('a draft model beside a real model', () => {
  const runs = golden.runs.filter((run) => run.adapter === null || ADAPTERS.includes(run.adapter));

  it.each([
    ['the model itself', golden.modelPath, 0.9],
    ['another', other, 0],
  ])("keeps the golden model's greedy tokens, with adapters in one batch: %s", async (_, path, least) => {
    const { run, digests, acceptance } = await engineOf({ DRAFT_MODEL_PATH: path });
    const answers = await Promise.all(
      runs.map(({ prompt, adapter, greedy_ids: { length: maxTokens } }) => {
        const digest = adapter === null ? undefined : digests.get(adapter);
        return run(ask(golden.prompts[prompt] ?? [], { maxTokens, ...(digest ? { adapter: digest } : {}) }));
      }),
    );
    for (const [i, wanted] of runs.entries()) {
      const count = comparableTokens(wanted);
      expect(idsOf(answers[i] ?? []).slice(0, count)).toEqual(wanted.greedy_ids.slice(0, count));
    }
    const before = await acceptance();
    expect(before.drafted).toBeGreaterThan(50);
    await run(ask(golden.prompts[1] ?? [], { maxTokens: 60 }));
    const { drafted, accepted } = await acceptance();
    expect((accepted - before.accepted) / (drafted - before.drafted)).toBeGreaterThanOrEqual(least);
  });

  it('gives the tokens and scores that it gives without, drawn, under every setting that draws', async () => {
    const plain = await engineOf();
    const drafted = await engineOf({ DRAFT_MODEL_PATH: golden.modelPath });
    const sampling = [
      { temperature: 0.8, seed: 1 },
      { temperature: 1.3, topP: 0.8, seed: 2 },
      { temperature: 1, topK: 5, seed: 3 },
      { temperature: 1, minP: 0.05, seed: 4, logitBias: [{ token: 9, bias: 4 }] },
      { temperature: 1, repetitionPenalty: 1.3, presencePenalty: 0.4, frequencyPenalty: 0.3, seed: 5 },
    ];
    const bodies = sampling.map((own, i) => {
      const adapter = plain.digests.get(ADAPTERS[i] ?? '');
      const body = ask(golden.prompts[i % 4] ?? [], {
        maxTokens: 60,
        minTokens: 5 * i,
        logprobs: 2,
        badWords: ['the'],
        ...(adapter ? { adapter } : {}),
      });
      return { ...body, sampling: { ...body.sampling, ...own } };
    });
    const wanted = await Promise.all(bodies.map((body) => plain.run(body)));
    const got = await Promise.all(bodies.map((body) => drafted.run(body)));
    for (const [i, events] of got.entries()) expect(scoredOf(events)).toEqual(scoredOf(wanted[i] ?? []));
    // Where the draft model is the model, it draws with the same random numbers.
    const base = bodies.at(-1) as GenerateRequest;
    const before = await drafted.acceptance();
    await drafted.run(base);
    const after = await drafted.acceptance();
    expect(after.accepted - before.accepted).toBeGreaterThan(0.9 * (after.drafted - before.drafted));
  });

  it("draws from the model's distribution: chi-square of what comes behind accepted guesses", async () => {
    // The base guesses for its adapter: often right, and often not.
    const { run, acceptance, digests } = await engineOf({ DRAFT_MODEL_PATH: golden.modelPath });
    const adapter = digests.get('qv-r8') ?? '';
    const temperature = 0.6;
    const topK = 4;
    const body = ask(golden.prompts[2] ?? [], { maxTokens: 5, logprobs: topK, adapter });
    const answers = await Promise.all(
      Array.from({ length: 900 }, (_, seed) =>
        run({ ...body, sampling: { ...body.sampling, temperature, topK, seed } }),
      ),
    );
    let [statistic, freedom] = [0, 0];
    for (const place of [1, 2, 3]) {
      const groups = new Map<string, ReturnType<typeof scoredOf>>();
      for (const answer of answers) {
        const scored = scoredOf(answer);
        const past = scored
          .slice(0, place)
          .map(({ id }) => id)
          .join();
        groups.set(past, [...(groups.get(past) ?? []), ...scored.slice(place, place + 1)]);
      }
      for (const drawn of groups.values()) {
        const top = drawn[0]?.top ?? [];
        const weights = top.map(({ logprob }) => Math.exp(logprob / temperature));
        const total = weights.reduce((a, b) => a + b, 0);
        for (const [i, { id }] of top.entries()) {
          const expected = (drawn.length * (weights[i] as number)) / total;
          if (drawn.length < 100) continue;
          statistic += (drawn.filter((one) => one.id === id).length - expected) ** 2 / expected;
          freedom += i === 0 ? 0 : 1;
        }
      }
    }
    expect(freedom).toBeGreaterThan(8);
    // The 0.9999 quantile, after Wilson and Hilferty; the seeds are fixed, so it is met always or never.
    const limit = freedom * (1 - 2 / (9 * freedom) + 3.719 * Math.sqrt(2 / (9 * freedom))) ** 3;
    expect(statistic).toBeLessThan(limit);
    const { drafted, accepted } = await acceptance();
    expect(accepted).toBeGreaterThan(0.1 * drafted);
    expect(accepted).toBeLessThan(0.9 * drafted);
  });

  it('is never in the way of requests that give way to each other', async () => {
    const plain = await engineOf();
    const tight = await engineOf({
      DRAFT_MODEL_PATH: golden.modelPath,
      KV_CACHE_BYTES: '160K',
      DRAFT_KV_CACHE_BYTES: '90K',
    });
    const bodies = [3, 4, 5, 6].map((salt) =>
      ask([salt, 20, 21, 22], { maxTokens: 90, cacheSalt: `${salt}` }),
    );
    const wanted = await Promise.all(bodies.map((body) => plain.run(body)));
    const got = await Promise.all(bodies.map((body) => tight.run(body)));
    expect(got.map(idsOf)).toEqual(wanted.map(idsOf));
    const { draft } = tight.engine.status();
    expect(draft?.kv.freePages).toBe(draft?.kv.pages);
    expect(draft?.memory.weightBytes).toBeGreaterThan(100_000);
  });
});

describe('the opening of a draft model', () => {
  it('refuses another tokenizer, and says what differs', async () => {
    const path = join(folder, 'other-tokenizer');
    cpSync(golden.modelPath, path, { recursive: true });
    const file = join(path, 'tokenizer.json');
    const tokenizer = JSON.parse(readFileSync(file, 'utf8')) as { model: { vocab: Record<string, number> } };
    const [first, second] = Object.keys(tokenizer.model.vocab).filter((token) => token.length === 1);
    const { vocab } = tokenizer.model;
    [vocab[first ?? ''], vocab[second ?? '']] = [vocab[second ?? ''] ?? 0, vocab[first ?? ''] ?? 0];
    writeFileSync(file, JSON.stringify(tokenizer));
    await expect(modelOf({ DRAFT_MODEL_PATH: path })).rejects.toThrow(
      /DRAFT_MODEL_PATH: .*other-tokenizer has another tokenizer than the model: token \d+ is ".*" there and ".*" here/,
    );
  });

  it('takes a tokenizer of the same tokens, however its file is written', async () => {
    const path = join(folder, 'same-tokens');
    cpSync(other, path, { recursive: true });
    const file = join(path, 'tokenizer.json');
    writeFileSync(file, JSON.stringify(JSON.parse(readFileSync(file, 'utf8')), undefined, 3));
    const model = await modelOf({ DRAFT_MODEL_PATH: path });
    expect(model.draft?.name).toBe('same-tokens');
    await Promise.all([model.native.close(), model.draft?.native.close()]);
  });

  it.each([
    [{ DRAFT_MODEL_PATH: '/nowhere/at/all' }, 'DRAFT_MODEL_PATH: there is no folder or file /nowhere/at/all'],
    [
      { DRAFT_MODEL_PATH: import.meta.dirname },
      `DRAFT_MODEL_PATH: ${import.meta.dirname} holds no config.json`,
    ],
    [{ SPECULATION: 'draft' }, 'SPECULATION: draft needs a DRAFT_MODEL_PATH'],
  ])('says what is wrong with %j, before anything is loaded too', async (env, message) => {
    await expect(modelOf(env)).rejects.toThrow(message);
    await expect(checkModel(settingsOf(env), { inspectNative, probeCuda })).rejects.toThrow(message);
  });
});
