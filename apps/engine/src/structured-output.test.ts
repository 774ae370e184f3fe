import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import type { StructureWish } from '#contracts/structure-wish.js';
import { parseSettings } from '#runtime/settings.js';
import { openBlobStore, storageSettings } from '#stores/blobs/open-blob-store.js';
import { finishOf, generateRequest, idsOf, textOf } from '../../../test/support/generate-request.js';
import { type GoldenEngine, startGoldenEngine } from '../../../test/support/golden-engine.js';
import { loadGolden } from '../../../test/support/golden.js';
import { storePlainLora } from '../../../test/support/plain-lora.js';

// What is awaited is computed: a busy machine only takes longer.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 });

const golden = loadGolden('cases/llama-gqa');
const ajv = new Ajv2020({ strict: false });

let engine: GoldenEngine;
let adapter: string;

beforeAll(async () => {
  // Few pages, so that requests have to give way to each other.
  engine = await startGoldenEngine('cases/llama-gqa', { KV_CACHE_BYTES: '400K' });
  const blobs = await openBlobStore(parseSettings(storageSettings, { STORAGE_URL: engine.storageUrl }));
  const status = (await (await get('/status')).json()) as { base: { digest: string } };
  adapter = await storePlainLora(blobs, join(golden.folder, 'adapters/qv-r8'), status.base.digest);
});
afterAll(() => engine?.close());

const call = (path: string, init: RequestInit = {}) =>
  fetch(engine.url + path, {
    ...init,
    headers: { authorization: `Bearer ${engine.token}`, 'content-type': 'application/json' },
  });
const get = (path: string) => call(path);
const post = (body: GenerateRequest, signal?: AbortSignal) =>
  call('/generate', { method: 'POST', body: JSON.stringify(body), ...(signal ? { signal } : {}) });

async function events(body: GenerateRequest): Promise<GenerateEvent[]> {
  const response = await post(body);
  const text = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as GenerateEvent);
}

const ask = (wish: StructureWish | undefined, overrides: Partial<GenerateRequest> = {}, seed = 1) => {
  const { sampling, ...rest } = overrides;
  const plain = generateRequest({ kind: 'text', text: 'once upon a time' }, { maxTokens: 150, ...rest });
  return {
    ...plain,
    sampling: { ...plain.sampling, temperature: 1, seed, ...sampling },
    ...(wish ? { structure: { wish, field: 'guided' } } : {}),
  };
};
const ofChoice = (all: readonly GenerateEvent[], choice: number) =>
  all.filter((event) => !('choice' in event) || event.choice === choice);

const SCHEMA = {
  type: 'object',
  properties: {
    name: { type: 'string', maxLength: 6 },
    kind: { enum: ['bird', 'tree', 7, null] },
    size: { type: 'integer', minimum: -5, maximum: 120 },
    tags: { type: 'array', items: { type: 'boolean' }, maxItems: 3 },
  },
  required: ['name', 'kind', 'size', 'tags'],
  additionalProperties: false,
};
const json = { kind: 'json_schema', schema: SCHEMA, compact: true } as const;
const isValid = ajv.compile(SCHEMA);

/** An answer that ended by itself is valid; whether it did. */
function judged(all: readonly GenerateEvent[]): boolean {
  const finish = finishOf(all);
  if (finish?.reason === 'length') return false;
  expect(finish).toMatchObject({ reason: 'stop' });
  const text = textOf(all);
  expect(isValid(JSON.parse(text)), text).toBe(true);
  return true;
}

describe('answers with a structure, of a real model', () => {
  it('validate where they end by themselves: hot, with adapters, penalties, speculation and too few pages', async () => {
    const answers = await Promise.all(
      Array.from({ length: 24 }, (_, seed) =>
        events(
          ask(
            json,
            {
              ...(seed % 2 === 0 ? { adapter } : {}),
              ...(seed % 3 === 0 ? { speculation: { ngram: { maxDraft: 4, minMatch: 1 } } } : {}),
              ...(seed % 4 === 0 ? { logprobs: 3 } : {}),
              sampling: {
                ...generateRequest({ kind: 'tokens', tokens: [] }).sampling,
                temperature: 0.5 + (seed % 5) / 2,
                ...(seed % 5 === 0 ? { repetitionPenalty: 1.3, frequencyPenalty: 0.5 } : {}),
                ...(seed % 7 === 0 ? { topK: 5, minP: 0.01 } : {}),
                seed,
              },
            },
            seed,
          ),
        ),
      ),
    );
    const ended = answers.filter(judged).length;
    expect(ended).toBeGreaterThan(16);
  });

  it('are the same alone and in company, whatever the masks had to wait for', async () => {
    const bodies = Array.from({ length: 6 }, (_, seed) => ask(seed % 3 === 2 ? undefined : json, {}, seed));
    const alone: number[][] = [];
    for (const body of bodies) alone.push(idsOf(await events(body)));
    const together = await Promise.all(bodies.map(events));
    expect(together.map(idsOf)).toEqual(alone);
  });

  it('are several to one prompt, each as it would be alone', async () => {
    const all = await events(ask(json, { n: 3 }, 5));
    for (const choice of [0, 1, 2]) {
      const own = ofChoice(all, choice);
      expect(idsOf(own)).toEqual(idsOf(await events(ask(json, {}, 5 + choice))));
      judged(own);
    }
    const scored = await events(ask(json, { n: 2, promptLogprobs: 0 }, 5));
    expect(idsOf(ofChoice(scored, 1))).toEqual(idsOf(ofChoice(all, 1)));
  });

  it('report log-probabilities of what the model would have said without', async () => {
    const free = await events(ask(undefined, { maxTokens: 1, logprobs: 2 }));
    const held = await events(ask({ kind: 'choice', choices: ['yes', 'no'] }, { logprobs: 2 }));
    const firstTop = (all: readonly GenerateEvent[]) =>
      all.flatMap((event) => (event.type === 'tokens' ? (event.scored ?? []) : []))[0]?.top;
    expect(firstTop(held)).toEqual(firstTop(free));
    expect(['yes', 'no']).toContain(textOf(held));
  });

  it.each<[StructureWish, RegExp]>([
    [{ kind: 'regex', pattern: String.raw`[A-Z][a-z]{2}-\d{3}` }, /^[A-Z][a-z]{2}-\d{3}$/],
    [{ kind: 'choice', choices: ['été 😀', 'hiver'] }, /^(été 😀|hiver)$/],
    [
      { kind: 'grammar', grammar: 'root ::= "<" item ("," item)? ">"\nitem ::= [a-c]{1,2}' },
      /^<[a-c]{1,2}(,[a-c]{1,2})?>$/,
    ],
    [
      {
        kind: 'structural_tag',
        format: {
          type: 'tag',
          begin: '<a>',
          content: { type: 'json_schema', json_schema: { type: 'integer', minimum: 0, maximum: 9 } },
          end: '</a>',
        },
      },
      /^<a>\d<\/a>$/,
    ],
  ])('match %j', async (wish, pattern) => {
    for (let seed = 0; seed < 4; seed++) {
      const all = await events(ask(wish, { ignoreEos: seed === 3 }, seed));
      expect(textOf(all)).toMatch(pattern);
      expect(finishOf(all)).toMatchObject({ reason: 'stop', stopReason: null });
    }
  });

  it('end by their length where it is too short, and by stop strings', async () => {
    const cut = await events(ask({ kind: 'regex', pattern: 'a{40}' }, { maxTokens: 3 }));
    expect(finishOf(cut)).toMatchObject({ reason: 'length' });
    expect(textOf(cut)).toMatch(/^a+$/);
    const stopped = await events(ask({ kind: 'regex', pattern: 'abc' }, { stop: ['b'] }));
    expect([textOf(stopped), finishOf(stopped)]).toMatchObject(['a', { reason: 'stop', stopReason: 'b' }]);
  });

  it('obey what else is asked of their tokens', async () => {
    const wish = { kind: 'regex', pattern: '[ab]{3}' } as const;
    for (let seed = 0; seed < 4; seed++) {
      const all = await events(
        ask(wish, { badWords: ['a', 'aa', 'ab', 'ba', 'aaa', 'abb', 'aba', 'bab'] }, seed),
      );
      expect(textOf(all)).toBe('bbb');
    }
    const long = await events(ask({ kind: 'regex', pattern: 'a*' }, { minTokens: 12, maxTokens: 20 }));
    expect(idsOf(long).length).toBeGreaterThanOrEqual(12);
  });

  it.each<[string, Partial<GenerateRequest>]>([
    ['min_tokens', { minTokens: 30 }],
    ['bad_words', { badWords: ['y', 'ye', 'yes', 'n', 'no'] }],
    ['allowed_token_ids', { allowedTokenIds: [1] }],
  ])('fail with what is wrong where %s leaves them no token', async (_, fields) => {
    const all = await events(ask({ kind: 'choice', choices: ['yes', 'no'] }, fields));
    expect(all.at(-1)).toMatchObject({
      type: 'error',
      code: 'invalid_request',
      message: expect.stringContaining('it allows no next token') as unknown,
    });
    judged(await events(ask(json)));
  });

  it.each<[StructureWish, string]>([
    [
      { kind: 'json_schema', schema: { properties: { a: { uniqueItems: true } } } },
      'guided: uniqueItems: cannot be enforced (at /properties/a)',
    ],
    [{ kind: 'json_schema', schema: { type: 'nothing' } }, 'guided: type: '],
    [{ kind: 'regex', pattern: '(' }, 'guided: '],
    [{ kind: 'grammar', grammar: 'root ::= other' }, 'guided: '],
    [{ kind: 'json_schema', schema: { const: 1, type: 'string' } }, 'guided: no value satisfies it'],
    [{ kind: 'choice', choices: ['a'.repeat(200_000)] }, 'guided: it is larger than'],
  ])('are refused before any event: %j', async (wish, message) => {
    const response = await post(ask(wish));
    expect(response.status).toBe(400);
    expect(await response.json()).toMatchObject({
      error: {
        code: 'invalid_request',
        param: 'guided',
        message: expect.stringContaining(message) as unknown,
      },
    });
  });

  it('give back all that they held', async () => {
    const controllers = Array.from({ length: 4 }, () => new AbortController());
    const begun = await Promise.all(controllers.map(({ signal }) => post(ask(json, { n: 2 }), signal)));
    for (const controller of controllers) controller.abort();
    await Promise.allSettled(begun.map((response) => response.text()));
    const load = async () => ((await (await get('/status')).json()) as { load: object }).load;
    await expect.poll(load).toEqual({ runningRequests: 0, waitingRequests: 0, queuedTokens: 0 });
    expect(judged(await events(ask(json, {}, 3)))).toBeTypeOf('boolean');
  });
});
