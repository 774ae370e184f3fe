import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FAKE_BASE } from '../../../../test/support/fake-engine.js';
import {
  CREATED,
  type InferenceApp,
  KEY,
  startInferenceApp,
} from '../../../../test/support/inference-app.js';

let app: InferenceApp;
beforeAll(async () => {
  app = await startInferenceApp();
});
afterAll(() => app.close());

describe('GET /v1/models', () => {
  const get = (path: string) => fetch(app.url + path, { headers: { authorization: `Bearer ${KEY}` } });
  const created = CREATED.getTime() / 1000;

  it("lists the base model and the tenant's adapters", async () => {
    expect(await (await get('/v1/models')).json()).toEqual({
      object: 'list',
      data: [
        {
          id: FAKE_BASE.name,
          object: 'model',
          created: expect.any(Number),
          owned_by: 'lorikeet',
          root: FAKE_BASE.name,
          parent: null,
          max_model_len: 512,
        },
        {
          id: 'support',
          object: 'model',
          created,
          owned_by: 'acme',
          root: FAKE_BASE.name,
          parent: FAKE_BASE.name,
          max_model_len: 512,
        },
      ],
    });
  });

  it.each(['support', 'support@3', 'support:production', 'acme/support', 'acme%2Fsupport%403'])(
    'finds %s',
    async (name) => {
      const response = await get(`/v1/models/${name}`);
      expect(await response.json()).toMatchObject({
        id: decodeURIComponent(name),
        owned_by: 'acme',
        created,
      });
    },
  );

  it('answers 404 for a name that is none', async () => {
    const response = await get('/v1/models/other%2Fsupport');
    expect(response.status).toBe(404);
    expect(await response.json()).toMatchObject({ error: { code: 'model_not_found', param: 'model' } });
  });
});
