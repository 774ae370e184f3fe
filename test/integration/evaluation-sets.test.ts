import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EvaluationSetResource } from '#contracts/evaluation-sets-api.js';
import type { HookDelivery } from '#contracts/hooks-api.js';
import { goldenFiles } from '../support/adapter-form.js';
import { ArtifactServer } from '../support/artifact-server.js';
import type { Client } from '../support/client.js';
import { Platform } from '../support/platform.js';
import { postSigned, until } from '../support/webhooks.js';

let platform: Platform;
let storage: ArtifactServer;
let acme: Client;
beforeAll(async () => {
  platform = await Platform.start({ env: { ALLOW_PRIVATE_IMPORTS: 'true' } });
  storage = await ArtifactServer.start();
  acme = await platform.tenant('acme');
});
afterAll(async () => {
  await storage?.close();
  await platform?.close();
});

const PROMPTS = [
  { prompt: 'capital of France?', expected: 'Paris', match: 'contains' },
  { messages: [{ role: 'user', content: 'and of Italy?' }], expected: '^Rome', match: 'regex' },
];
const put = (name: string, body: object, status = 200) =>
  acme.expect<EvaluationSetResource>(status, 'PUT', `/v1/evaluation-sets/${name}`, body);
const get = (name: string, query = '') =>
  acme.expect<EvaluationSetResource>(200, 'GET', `/v1/evaluation-sets/${name}${query}`);
const auditOf = async (id: string) =>
  (
    await platform.admin.expect<{ data: { action: string }[] }>(200, 'GET', `/v1/admin/audit?subject=${id}`)
  ).data.map(({ action }) => action);

describe('an evaluation set', () => {
  it('keeps each revision of its prompts, known by what is asked and expected', async () => {
    const first = await put('capitals', { description: 'Europe', prompts: PROMPTS });
    expect(first).toMatchObject({
      object: 'evaluation_set',
      name: 'capitals',
      revision: 1,
      digest: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      prompt_count: 2,
      prompts: PROMPTS,
    });
    // Members in another order, and defaults that are spelled out, are the same set.
    const [, second] = PROMPTS;
    const again = await put('capitals', {
      prompts: [{ match: 'contains', expected: 'Paris', prompt: 'capital of France?' }, second],
    });
    expect(again).toMatchObject({ revision: 1, digest: first.digest, description: 'Europe' });
    const edited = await put('capitals', { prompts: [{ prompt: 'x', expected: 'y' }], description: null });
    expect(edited).toMatchObject({ revision: 2, description: null, prompt_count: 1 });
    expect(edited.digest).not.toBe(first.digest);
    expect(await get('capitals', '?revision=1')).toMatchObject({ digest: first.digest, prompts: PROMPTS });
    expect((await acme.call('GET', '/v1/evaluation-sets/capitals?revision=3')).status).toBe(404);
    const list = await acme.expect<{ data: object[] }>(200, 'GET', '/v1/evaluation-sets');
    expect(list.data).toMatchObject([{ name: 'capitals', revision: 2 }]);
    expect(list.data[0]).not.toHaveProperty('prompts');
    expect(await auditOf(first.id)).toEqual([
      'evaluation_set.update',
      'evaluation_set.update',
      'evaluation_set.create',
    ]);
  });

  it('loses nothing when two write it at once', async () => {
    const prompts = (index: number) => [{ prompt: `q${index}`, expected: 'a' }];
    await Promise.all([1, 2, 3, 4, 5].map((index) => put('busy', { prompts: prompts(index) })));
    expect((await get('busy')).revision).toBe(5);
    const all = await Promise.all([1, 2, 3, 4, 5].map((revision) => get('busy', `?revision=${revision}`)));
    expect(all.map(({ prompts: [asked] }) => asked?.prompt).toSorted()).toEqual([
      'q1',
      'q2',
      'q3',
      'q4',
      'q5',
    ]);
  });

  it('says what is wrong with it, and by which field', async () => {
    const bad: [object, string][] = [
      [{ prompts: [] }, 'prompts'],
      [{ prompts: [{ prompt: 'x' }] }, 'prompts'],
      [{ prompts: [{ prompt: 'x', messages: [{ role: 'user', content: 'y' }], expected: 'z' }] }, 'prompts'],
      [{ prompts: [{ prompt: 'x', expected: '(', match: 'regex' }] }, 'prompts'],
      [{ prompts: Array.from({ length: 201 }, () => PROMPTS[0]) }, 'prompts'],
      [{ prompts: PROMPTS, name: 'other' }, 'name'],
    ];
    for (const [body, param] of bad) {
      const { status, body: answer } = await acme.call<{ error: { param: string } }>(
        'PUT',
        '/v1/evaluation-sets/wrong',
        body,
      );
      expect([status, answer.error.param]).toEqual([400, expect.stringContaining(param)]);
    }
    expect((await acme.call('PUT', '/v1/evaluation-sets/a%2Fb', { prompts: PROMPTS })).status).toBe(400);
    expect((await acme.call('GET', '/v1/evaluation-sets/wrong')).status).toBe(404);
  });

  it("is nobody's business in another tenant", async () => {
    const stranger = await platform.tenant('globex');
    expect((await stranger.call('GET', '/v1/evaluation-sets/capitals')).status).toBe(404);
    expect((await stranger.call('DELETE', '/v1/evaluation-sets/capitals')).status).toBe(404);
    await stranger.expect(200, 'PUT', '/v1/evaluation-sets/capitals', { prompts: PROMPTS });
    expect((await get('capitals')).revision).toBe(2);
  });
});

describe("a hook's policy", () => {
  const hookOf = (set: string) => ({
    name: 'ci',
    adapter: 'asked',
    promote: { alias: 'production', evaluate: { set, min_score: 0.5 } },
  });

  it('asks the set that it names, and the delivery says which prompts those were', async () => {
    platform.engine.script = (generation) => {
      generation.send(
        { type: 'start', promptTokens: 3 },
        { type: 'tokens', text: 'Paris', ids: [1] },
        {
          type: 'finish',
          reason: 'stop',
          stopReason: null,
          text: '',
          usage: { promptTokens: 3, cachedTokens: 0, completionTokens: 1 },
          timing: { queue_ms: 0, ttft_ms: 1, total_ms: 2 },
        },
      );
      generation.end();
    };
    await put('policy', { prompts: [{ prompt: 'old', expected: 'x' }] });
    const hook = await acme.expect<{ id: string; url: string; secret: string }>(
      201,
      'POST',
      '/v1/hooks',
      hookOf('policy'),
    );
    const { digest } = await put('policy', { prompts: PROMPTS });
    const { body } = await postSigned<{ id: string }>(hook.url, hook.secret, {
      type: 'fine_tuning.job.succeeded',
      data: { job_id: 'run-1', artifact: { url: storage.put('good', goldenFiles('qv-r8')) } },
    });
    const done = await until(
      () => acme.expect<HookDelivery>(200, 'GET', `/v1/hooks/${hook.id}/deliveries/${body.id}`),
      ({ state }) => state === 'succeeded' || state === 'failed',
    );
    expect(done.promotion).toMatchObject({
      promoted: true,
      score: 0.5,
      evaluation_set: { name: 'policy', revision: 2, digest },
      results: [{ passed: true }, { passed: false }],
    });
    expect((await acme.call('DELETE', '/v1/evaluation-sets/policy')).status).toBe(409);
    await acme.expect(200, 'DELETE', `/v1/hooks/${hook.id}`);
    await acme.expect(200, 'DELETE', '/v1/evaluation-sets/policy');
  });

  it('is refused where there is no such set, or both a set and prompts', async () => {
    const none = await acme.call<{ error: { param: string } }>('POST', '/v1/hooks', hookOf('nothing'));
    expect([none.status, none.body.error.param]).toEqual([400, 'promote.evaluate.set']);
    for (const evaluate of [{ set: 'capitals', prompts: PROMPTS }, { min_score: 1 }]) {
      const promote = { alias: 'production', evaluate };
      expect((await acme.call('POST', '/v1/hooks', { name: 'x', promote })).status).toBe(400);
    }
  });
});
