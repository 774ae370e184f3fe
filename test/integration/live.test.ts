import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AdminLive, LiveFigures } from '#contracts/live-api.js';
import type { ErrorEnvelope } from '#contracts/errors.js';
import type { Client } from '../support/client.js';
import { answerWith } from '../support/fake-answers.js';
import { ADMIN_KEY, Platform } from '../support/platform.js';

let platform: Platform;
let acme: Client;
let secondUrl: string;
beforeAll(async () => {
  // However slow the machine is, all of it counts as good.
  const env = { GOODPUT_TTFT_MS: '60000', GOODPUT_TPOT_MS: '60000' };
  platform = await Platform.start({ worker: false, env });
  platform.engine.script = answerWith([1, 2, 3]);
  acme = await platform.tenant('acme');
  secondUrl = await platform.startApi();
});
afterAll(() => platform?.close());

type Message = AdminLive | LiveFigures | ErrorEnvelope;

/** A reader of a stream: all its messages so far, and its end. */
class Listener {
  readonly messages: Message[] = [];
  ended = false;
  readonly #control = new AbortController();

  static async open(path: string, headers: Record<string, string>, url = platform.url): Promise<Listener> {
    const listener = new Listener();
    const response = await fetch(url + path, {
      headers: { accept: 'text/event-stream', ...headers },
      signal: listener.#control.signal,
    });
    if (!response.headers.get('content-type')?.includes('text/event-stream'))
      throw new Error(`no stream: ${response.status} ${await response.text()}`);
    void listener.#read(response).catch(() => undefined);
    return listener;
  }

  async #read(response: Response): Promise<void> {
    let rest = '';
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = (rest + piece).split('\n\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.startsWith('data: ')) this.messages.push(JSON.parse(line.slice(6)) as Message);
      }
    }
    this.ended = true;
  }

  get last(): Message | undefined {
    return this.messages.at(-1);
  }

  close(): void {
    this.#control.abort();
  }
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
const ask = (client: Client, url = platform.url) =>
  fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { ...bearer(client.key), 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'llama-gqa', prompt: 'x' }),
  });

describe('live figures', () => {
  it('move with the requests of every API process, of the tenant alone and of all', async () => {
    const globex = await platform.tenant('globex');
    const [mine, theirs, all] = await Promise.all([
      Listener.open('/v1/live', bearer(acme.key)),
      Listener.open('/v1/live', bearer(globex.key)),
      Listener.open('/v1/admin/live', bearer(ADMIN_KEY), secondUrl),
    ]);
    await expect.poll(() => all.messages.length).toBeGreaterThan(0);
    for (const url of [platform.url, secondUrl]) expect((await ask(acme, url)).status).toBe(200);
    const requests = (listener: Listener) => (listener.last as LiveFigures).last_minute.requests;
    await expect.poll(() => requests(mine)).toBe(2);
    await expect.poll(() => requests(all)).toBe(2);
    const moving = (message: Message) => 'per_second' in message && message.per_second.requests > 0;
    await expect.poll(() => mine.messages.some(moving)).toBe(true);
    expect(requests(theirs)).toBe(0);
    expect(all.last).toMatchObject({
      engines: [{ name: 'fake-0', state: 'ready' }],
      capacity_share: null,
      ceiling_share: null,
      last_minute: { completion_tokens: 6, ttft: { count: 2 }, goodput: { share: 1 } },
    });
    for (const listener of [mine, theirs, all]) listener.close();
  });

  it('tell the share of the rate without adapters, each engine by what it could do', async () => {
    const load = { host: undefined, storage: undefined };
    const pace = { backlogTokens: 0, loadSeconds: load };
    const before = platform.engine.status;
    platform.engine.status = {
      ...before,
      pace: { ...pace, withoutAdapters: { share: 0.8, tokensPerSecond: 500 } },
    };
    const read = () => platform.admin.expect<AdminLive>(200, 'GET', '/v1/admin/live');
    await expect.poll(async () => (await read()).ceiling_share).toBe(0.8);
    expect((await read()).engines[0]).toMatchObject({ ceiling_share: 0.8, ceiling_tokens_per_second: 500 });
    platform.engine.status = before;
    await expect.poll(async () => (await read()).ceiling_share).toBeNull();
  });

  it('end with the key, in words, also on a console session of it and in another process', async () => {
    const { id, key } = await platform.admin.expect<{ id: string; key: string }>(
      201,
      'POST',
      '/v1/admin/keys',
      { name: 'for a while' },
    );
    const opened = await fetch(`${platform.url}/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-lorikeet-console': '1' },
      body: JSON.stringify({ key }),
    });
    const cookie = (opened.headers.get('set-cookie') ?? '').split(';')[0] ?? '';
    const listeners = await Promise.all([
      Listener.open('/v1/admin/live', bearer(key), secondUrl),
      Listener.open('/v1/admin/live', { cookie }),
    ]);
    for (const listener of listeners) await expect.poll(() => listener.messages.length).toBeGreaterThan(1);
    expect(listeners.some(({ ended }) => ended)).toBe(false);
    await platform.admin.expect(200, 'DELETE', `/v1/admin/keys/${id}`);
    for (const listener of listeners) {
      await expect.poll(() => listener.ended).toBe(true);
      expect(listener.last).toMatchObject({ error: { code: 'invalid_api_key' } });
    }
  });

  it('come once as JSON where no events are asked for, and to nobody else', async () => {
    expect(await acme.expect(200, 'GET', '/v1/live')).toMatchObject({ object: 'live' });
    await acme.expect(403, 'GET', '/v1/admin/live');
    const { status } = await fetch(`${platform.url}/v1/live`);
    expect(status).toBe(401);
  });

  it('are so many streams of one key at most', async () => {
    const many = await Promise.all(
      Array.from({ length: 32 }, () => Listener.open('/v1/live', bearer(acme.key))),
    );
    const refused = await fetch(`${platform.url}/v1/live`, {
      headers: { ...bearer(acme.key), accept: 'text/event-stream' },
    });
    expect(refused.status).toBe(429);
    for (const listener of many) listener.close();
    const again = async () => {
      const control = new AbortController();
      const { status } = await fetch(`${platform.url}/v1/live`, {
        headers: { ...bearer(acme.key), accept: 'text/event-stream' },
        signal: control.signal,
      });
      control.abort();
      return status;
    };
    await expect.poll(again).toBe(200);
  });
});
