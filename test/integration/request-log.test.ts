import { DataSource } from 'typeorm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RequestLogRetention } from '#accounts/request-log/request-log-retention.service.js';
import type { LoggedRequest, RequestLogResource } from '#contracts/request-log-api.js';
import { makeLogger } from '#runtime/logger.js';
import { makeDataSource } from '#stores/postgres/data-source.js';
import { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let database: DataSource;
beforeAll(async () => {
  platform = await Platform.start({ worker: false });
  platform.engine.script = answerWith([1, 2, 3]);
  acme = await platform.tenant('acme');
  const logger = makeLogger('test', 'silent');
  database = makeDataSource({ url: platform.postgres.url, poolSize: 2, entities: [], logger });
  await database.initialize();
});
afterAll(async () => {
  await database?.destroy();
  await platform?.close();
});

const PROMPT = 'a secret prompt \u{1F99C}';
const put = (body: object) => acme.expect<RequestLogResource>(200, 'PUT', '/v1/request-log', body);
const kept = async (query = '', client = acme) =>
  (await client.expect<{ data: LoggedRequest[] }>(200, 'GET', `/v1/requests${query}`)).data;
const chat = (messages = [{ role: 'user', content: PROMPT }], client = acme) =>
  client.call('POST', '/v1/chat/completions', { model: 'llama-gqa', messages });
const stored = async () => JSON.stringify(await platform.query('SELECT * FROM logged_requests'));

describe('kept requests', () => {
  it('are none until the tenant asks for it', async () => {
    expect(await acme.expect(200, 'GET', '/v1/request-log')).toMatchObject({ enabled: false, text: false });
    expect((await chat()).status).toBe(200);
    expect(await kept()).toEqual([]);
  });

  it('have times, tokens, how it ended and no text, and refused ones too', async () => {
    await put({ enabled: true });
    const answer = await chat();
    await acme.expect(404, 'POST', '/v1/completions', { model: 'nobody', prompt: PROMPT });
    const [refused, answered] = await kept();
    expect(answered).toMatchObject({
      object: 'request',
      request_id: answer.headers.get('x-request-id'),
      model: 'llama-gqa',
      adapter: null,
      kind: 'chat',
      code: null,
      finish_reason: 'stop',
      prompt_tokens: 1,
      completion_tokens: 3,
      queue_ms: 0,
      input: null,
      outputs: null,
    });
    expect(answered?.ttft_ms).toBeGreaterThanOrEqual(0);
    expect(refused).toMatchObject({ model: 'nobody', code: 'model_not_found', kind: 'completion' });
    expect(await kept('?failed=true')).toHaveLength(1);
    expect(await kept('?failed=false&model=llama-gqa')).toHaveLength(1);
    const first = await acme.expect<{ last_id: string; has_more: boolean }>(
      200,
      'GET',
      '/v1/requests?limit=1',
    );
    expect(first.has_more).toBe(true);
    expect(await kept(`?limit=1&after=${first.last_id}`)).toMatchObject([{ id: answered?.id }]);
    expect(await stored()).not.toContain('secret prompt');
  });

  it('have text where the tenant wants it, as it can be sent again, of one only; and lose it when it does not', async () => {
    await put({ enabled: true, text: true });
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: PROMPT },
    ];
    await chat(messages);
    const [listed] = await kept('?limit=1');
    expect(listed?.input).toBeNull();
    const one = await acme.expect<LoggedRequest>(200, 'GET', `/v1/requests/${listed?.id}`);
    expect(one).toMatchObject({ input: { messages }, outputs: ['ttt'], text_cut: false });

    platform.engine.script = (generation) => {
      generation.send({ type: 'start', promptTokens: 1 }, { type: 'tokens', text: '\0\u{D83D}x', ids: [1] });
      answerWith([2])(generation);
    };
    await acme.expect(200, 'POST', '/v1/completions', { model: 'llama-gqa', prompt: [1, 2] });
    platform.engine.script = answerWith([1, 2, 3]);
    const [odd] = await kept('?limit=1');
    expect(await acme.expect(200, 'GET', `/v1/requests/${odd?.id}`)).toMatchObject({
      input: { prompt: [1, 2] },
      outputs: ['\uFFFD\uFFFDxt'],
    });
    await chat([{ role: 'user', content: 'x'.repeat(40_000) }]);
    const [long] = await kept('?limit=1');
    expect(await acme.expect(200, 'GET', `/v1/requests/${long?.id}`)).toMatchObject({
      input: null,
      text_cut: true,
    });

    await put({ enabled: true, text: false });
    expect(await stored()).not.toContain('secret prompt');
    expect(await acme.expect(200, 'GET', `/v1/requests/${listed?.id}`)).toMatchObject({
      input: null,
      outputs: null,
    });
  });

  it('are kept by every process as soon as it is asked for, and shown in a tail', async () => {
    const other = new Client(await platform.startApi(), acme.key);
    await put({ enabled: false });
    await put({ enabled: true });
    const before = (await kept('?limit=1000')).length;
    await expect
      .poll(async () => {
        await chat(undefined, other);
        return (await kept('?limit=1000', other)).length;
      })
      .toBeGreaterThan(before);
    const control = new AbortController();
    const tail = await fetch(`${platform.url}/v1/requests/live`, {
      headers: { authorization: `Bearer ${acme.key}`, accept: 'text/event-stream' },
      signal: control.signal,
    });
    let seen = '';
    const reading = (async () => {
      for await (const piece of tail.body?.pipeThrough(new TextDecoderStream()) ?? []) seen += piece;
    })().catch(() => undefined);
    const answer = await chat();
    await expect.poll(() => seen).toContain(answer.headers.get('x-request-id'));
    control.abort();
    await reading;
  });

  it('are forgotten as the tenant wants, deleted at once when it says so, and gone with it', async () => {
    await put({ enabled: true, retention_hours: 2 });
    const all = (await kept('?limit=1000')).length;
    await platform.query(
      "UPDATE logged_requests SET created_at = created_at - interval '3 hours' WHERE code IS NULL",
    );
    const retention = new RequestLogRetention(database);
    const gone = await retention.prune(new Date(), new AbortController().signal);
    expect(gone).toBeGreaterThan(0);
    expect(await kept('?limit=1000')).toHaveLength(all - gone);
    await chat();
    expect(await acme.expect(200, 'DELETE', '/v1/requests')).toMatchObject({ deleted: all - gone + 1 });
    expect(await kept()).toEqual([]);

    const globex = await platform.tenant('globex');
    await globex.expect(200, 'PUT', '/v1/request-log', { enabled: true, text: true });
    await chat(undefined, globex);
    expect(await kept('', globex)).toHaveLength(1);
    await platform.query("DELETE FROM tenants WHERE name = 'globex'");
    expect(await stored()).toBe('[]');
  });
});
