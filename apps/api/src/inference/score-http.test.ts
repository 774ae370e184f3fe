import OpenAI, { NotFoundError } from 'openai';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RerankResponse, ScoreResponse } from '#contracts/openai/score.js';
import { finish, start } from '../../../../test/support/engine-events.js';
import type { FakeGeneration } from '../../../../test/support/fake-engine.js';
import { type InferenceApp, KEY, startInferenceApp } from '../../../../test/support/inference-app.js';

let app: InferenceApp;
beforeAll(async () => {
  app = await startInferenceApp();
});
afterAll(() => app.close());

/** Not of length 1: the cosine does not depend on it. */
const VECTORS: Readonly<Record<string, readonly number[]>> = {
  east: [2, 0],
  north: [0, 3],
  'north-east': [1, 1],
  west: [-5, 0],
  nowhere: [0, 0],
};

beforeEach(() => {
  app.engine.requests.length = 0;
  app.usage.length = 0;
  app.engine.script = (generation: FakeGeneration) => {
    const { input } = generation.request;
    const vector = VECTORS[input.kind === 'text' ? input.text : ''] ?? [];
    const values = Buffer.from(Float32Array.from(vector).buffer).toString('base64');
    const usage = { promptTokens: 3, cachedTokens: 0, completionTokens: 0 };
    generation.send(start(3), { type: 'embedding', values, normalized: false }, finish({ usage }));
    generation.end();
  };
});

interface Refusal {
  readonly error: { readonly code: string; readonly param: string | null; readonly message: string };
}
async function post<T>(path: string, body: object): Promise<{ status: number; body: T & Partial<Refusal> }> {
  const response = await fetch(`${app.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'support', ...body }),
  });
  return { status: response.status, body: (await response.json()) as T & Partial<Refusal> };
}

describe('/v1/score', () => {
  it.each([
    ['two texts', 'east', 'north-east', [Math.SQRT1_2]],
    ['one text with several', 'east', ['east', 'north', 'west'], [1, 0, -1]],
    ['texts with those at their place', ['east', 'north'], ['north-east', 'north'], [Math.SQRT1_2, 1]],
    ['a text whose vector has no direction', 'east', 'nowhere', [0]],
  ])('compares %s by the cosine of their vectors', async (_, text_1, text_2, expected) => {
    const { status, body } = await post<ScoreResponse>('/v1/score', { text_1, text_2 });
    expect(status).toBe(200);
    expect(body).toMatchObject({
      object: 'list',
      model: 'support',
      id: expect.stringMatching(/^score-/) as string,
    });
    expect(body.data.map(({ index, object }) => [index, object])).toEqual(
      expected.map((_, i) => [i, 'score']),
    );
    body.data.forEach(({ score }, index) => expect(score).toBeCloseTo(expected[index] as number, 12));
  });

  it('meters every text, asked of the adapter as an embedding is', async () => {
    const { body } = await post<ScoreResponse>('/v1/score', { text_1: 'east', text_2: ['north', 'west'] });
    expect(body.usage).toEqual({ prompt_tokens: 9, total_tokens: 9 });
    expect(app.usage).toMatchObject([{ promptTokens: 9, completionTokens: 0, errorCode: undefined }]);
    expect(app.engine.requests).toHaveLength(3);
    for (const request of app.engine.requests)
      expect(request).toMatchObject({ embedding: true, maxTokens: 0, adapter: 'd1'.repeat(32) });
  });

  it.each([
    ['queries', 'documents'],
    ['queries', 'items'],
    ['data_1', 'data_2'],
  ])('takes its sides as %s and %s, and under /score', async (first, second) => {
    const body = { [first]: 'east', [second]: ['west'] };
    for (const path of ['/v1/score', '/score'])
      expect((await post<ScoreResponse>(path, body)).body.data).toMatchObject([{ score: -1 }]);
  });

  it.each([
    ['nothing', {}, 'text_1'],
    ['one side', { text_1: 'east' }, 'text_1'],
    ['sides of two names', { text_1: 'east', documents: ['west'] }, 'text_1'],
    ['a third side', { text_1: 'east', text_2: 'west', items: ['north'] }, 'text_1'],
    ['sides that do not fit', { text_1: ['east', 'west'], text_2: ['north'] }, 'text_1'],
    ['an empty text', { text_1: 'east', text_2: ['west', ''] }, 'text_2[1]'],
    ['too many texts', { queries: 'east', documents: Array<string>(2_048).fill('west') }, 'documents'],
    ['images', { text_1: 'east', text_2: [{ type: 'image_url' }] }, 'text_2'],
    ['a field of no meaning', { text_1: 'east', text_2: 'west', dimensions: 1 }, 'dimensions'],
  ])('refuses %s', async (_, body, param) => {
    const refused = await post('/v1/score', body);
    expect([refused.status, refused.body.error?.param]).toEqual([400, param]);
    expect(refused.body.error?.code).toBe('invalid_request');
  });

  it('says in its own words that a model has no vectors', async () => {
    app.engine.script = (generation) =>
      generation.refuse('invalid_request', 'The model pools otherwise.', 'prompt');
    const refused = await post('/v1/score', { queries: 'east', documents: ['west'] });
    expect(refused).toMatchObject({ status: 400, body: { error: { param: 'documents' } } });
  });
});

describe('/v1/rerank', () => {
  const documents = ['west', { text: 'north' }, 'east', 'north-east', 'north'];

  it('sorts documents by relevance, equal ones as they came', async () => {
    const { status, body } = await post<RerankResponse>('/v1/rerank', { query: 'east', documents });
    expect(status).toBe(200);
    expect(body.results.map(({ index }) => index)).toEqual([2, 3, 1, 4, 0]);
    expect(body.results[0]).toEqual({ index: 2, document: { text: 'east' }, relevance_score: 1 });
    expect(body).toMatchObject({ model: 'support', usage: { total_tokens: 18 } });
  });

  it('gives the first of them, without their texts, under each of its paths', async () => {
    for (const path of ['/v1/rerank', '/rerank', '/v2/rerank']) {
      const asked = { query: 'north', documents, top_n: 2, return_documents: false };
      const { body } = await post<RerankResponse>(path, asked);
      expect(body.results).toEqual([
        { index: 1, relevance_score: 1 },
        { index: 4, relevance_score: 1 },
      ]);
    }
    const all = await post<RerankResponse>('/v1/rerank', { query: 'north', documents, top_n: 0 });
    expect(all.body.results).toHaveLength(5);
  });

  it.each([
    ['no query', { documents: ['x'] }, 'query'],
    ['no documents', { query: 'east', documents: [] }, 'documents'],
    ['an empty document', { query: 'east', documents: ['x', ''] }, 'documents[1]'],
    ['a negative top_n', { query: 'east', documents: ['x'], top_n: -1 }, 'top_n'],
    [
      'a field of no meaning',
      { query: 'east', documents: ['x'], max_chunks_per_doc: 1 },
      'max_chunks_per_doc',
    ],
  ])('refuses %s', async (_, body, param) => {
    const refused = await post('/v1/rerank', body);
    expect([refused.status, refused.body.error?.param]).toEqual([400, param]);
  });
});

describe('/v1/moderations', () => {
  it("says to OpenAI's client that there is no moderation model", async () => {
    const client = new OpenAI({ apiKey: KEY, baseURL: `${app.url}/v1`, maxRetries: 0 });
    const asked = client.moderations.create({ input: 'x' });
    await expect(asked).rejects.toThrow(NotFoundError);
    await expect(asked).rejects.toThrow('no moderation model');
  });
});
