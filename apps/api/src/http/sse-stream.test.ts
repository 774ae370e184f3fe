import { once } from 'node:events';
import { connect } from 'node:net';
import { fastify, type FastifyInstance } from 'fastify';
import { afterEach, expect, it } from 'vitest';
import { SseStream } from './sse-stream.js';

let server: FastifyInstance;
afterEach(() => server.close());

/** Serves GET / by `handle` and answers its URL. */
async function serve(
  handle: (sse: SseStream) => Promise<void> | void,
  keepAlive_ms?: number,
): Promise<string> {
  server = fastify({ forceCloseConnections: true });
  server.get('/', (_, reply) => {
    void reply.header('x-request-id', 'r1');
    void handle(new SseStream(reply, keepAlive_ms === undefined ? {} : { keepAlive_ms }));
  });
  return server.listen({ port: 0, host: '127.0.0.1' });
}
const forever = new AbortController().signal;

it('sends the headers of the reply and each message as a data line', async () => {
  const url = await serve(async (sse) => {
    await sse.send({ text: 'a\nb' }, forever);
    sse.done({ last: true });
  });
  const response = await fetch(url);
  expect(response.headers.get('x-request-id')).toBe('r1');
  expect(response.headers.get('cache-control')).toBe('no-cache, no-transform');
  expect(await response.text()).toBe('data: {"text":"a\\nb"}\n\ndata: {"last":true}\n\ndata: [DONE]\n\n');
});

it('sends its headers before the first message, and comments while there is none', async () => {
  let end = (): void => {};
  const url = await serve((sse) => {
    end = () => sse.done();
  }, 5);
  const response = await fetch(url);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  expect((await reader?.read())?.value).toMatch(/^(: keep-alive\n\n)+$/);
  end();
  let rest = '';
  for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) rest += part.value;
  expect(rest.replaceAll(': keep-alive\n\n', '')).toBe('data: [DONE]\n\n');
});

it('ends a failed stream with the error and without [DONE]', async () => {
  const url = await serve((sse) => sse.fail({ error: { code: 'internal_error' } }));
  expect(await (await fetch(url)).text()).toBe('data: {"error":{"code":"internal_error"}}\n\n');
});

it('waits for a reader that does not read, until its signal aborts', async () => {
  const controller = new AbortController();
  const progress = { sent: 0 };
  let ended: Promise<void> = Promise.resolve();
  const url = await serve((sse) => {
    ended = (async () => {
      for (;;) {
        await sse.send({ text: 'x'.repeat(100_000) }, controller.signal);
        progress.sent += 1;
      }
    })();
    ended.catch(() => {});
  });
  const socket = connect(Number(new URL(url).port), '127.0.0.1').pause();
  socket.write('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
  await once(socket, 'connect');
  let before = -1;
  while (progress.sent !== before || before === 0) {
    before = progress.sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const reason = new Error('the client went away');
  controller.abort(reason);
  await expect(ended).rejects.toMatchObject({ cause: reason });
  socket.destroy();
});
