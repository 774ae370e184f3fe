import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { Body, Controller, Delete, Get, Injectable, Module, Param, Post } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { deflateSync, gzipSync, brotliCompressSync } from 'node:zlib';
import type { FastifyRequest } from 'fastify';
import { pino } from 'pino';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AppError } from '#runtime/app-error.js';
import { makeHttpApp } from '../http-app.js';
import { currentRequest } from '../request-context.js';
import { TakesBody } from './body-kinds.js';
import { Admission, type EdgeOptions } from './edge-options.js';

const KEY = 'Bearer right';

@Injectable()
class OneKey extends Admission {
  async admit({ headers }: FastifyRequest): Promise<string> {
    if (headers.authorization !== KEY) throw new AppError('invalid_api_key');
    return 'right';
  }
}

@Controller()
class EchoController {
  @Post('echo')
  echo(@Body() body: unknown): { got: unknown } {
    return { got: body === undefined ? 'nothing' : body };
  }

  @Post('prompt')
  @TakesBody('prompt')
  prompt(@Body() body: object): { keys: number; seed: string } {
    return { keys: Object.keys(body).length, seed: String((body as { seed?: unknown }).seed) };
  }

  @Get('names/:name')
  name(@Param('name') name: string): { length: number; address: string | undefined } {
    return { length: name.length, address: currentRequest()?.address };
  }

  @Delete('names/:name')
  remove(@Body() body: unknown): { got: unknown } {
    return { got: body ?? 'nothing' };
  }
}

@Module({ controllers: [EchoController], providers: [{ provide: Admission, useClass: OneKey }] })
class EchoModule {}

let app: NestFastifyApplication;
let url: string;
const logged: string[] = [];
const sockets: Socket[] = [];

async function start(edge: Partial<EdgeOptions> = {}): Promise<void> {
  const logger = pino({ level: 'error' }, { write: (line: string) => logged.push(line) });
  app = await makeHttpApp({ module: EchoModule, logger, edge });
  await app.listen(0, '127.0.0.1');
  url = await app.getUrl();
}

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  app.getHttpServer().closeAllConnections();
  await app.close();
  if (logged.length > 0) throw new Error(`errors were logged: ${logged.splice(0).join('')}`);
});

interface Raw {
  readonly socket: Socket;
  /** Resolves with all that was received when the other side ends or the connection breaks. */
  readonly ended: Promise<string>;
  received(): string;
}

function raw(text: string | Buffer): Raw {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  sockets.push(socket);
  let received = '';
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString();
  });
  socket.on('error', () => undefined);
  const ended = new Promise<string>((resolve) => socket.once('close', () => resolve(received)));
  socket.write(text);
  return { socket, ended, received: () => received };
}

/** The answer that a raw request got, as soon as it is there. */
async function answerOf({ received }: Raw): Promise<{ status: number; head: string; body: Body }> {
  return vi.waitFor(() => {
    const [head = '', ...rest] = received().split('\r\n\r\n');
    const body = JSON.parse(rest.join('\r\n\r\n')) as Body;
    return { status: Number(head.split(' ')[1]), head: head.toLowerCase(), body };
  }, 10_000);
}

interface Body {
  readonly error: { readonly code: string; readonly message: string; readonly type: string };
}

const JSON_TYPE = { 'content-type': 'application/json', authorization: KEY };
const post = (path: string, body: string | Buffer, headers: Record<string, string> = {}) =>
  fetch(url + path, { method: 'POST', headers: { ...JSON_TYPE, ...headers }, body: body as BodyInit });
const codeOf = async (response: Response) => ((await response.json()) as Body).error.code;
const head = (path: string, lines: readonly string[]) =>
  [`POST ${path} HTTP/1.1`, 'host: x', ...lines, '', ''].join('\r\n');

it('lets go of a request whose body it refused, once the client is gone', async () => {
  await start();
  const requests: IncomingMessage[] = [];
  app.getHttpServer().on('request', (request: IncomingMessage) => requests.push(request));
  const head = `POST /prompt HTTP/1.1\r\nhost: x\r\nauthorization: ${KEY}\r\ncontent-type: application/json\r\n`;
  const clients = Array.from({ length: 40 }, () =>
    raw(`${head}content-length: 1000000\r\n\r\n${'['.repeat(100_000)}`),
  );
  for (const { socket, received } of clients) {
    await expect.poll(received).toContain(' 400 ');
    socket.destroy();
  }
  await expect.poll(() => requests.filter(({ destroyed }) => destroyed).length).toBe(clients.length);
});

describe('before a byte of the body is read', () => {
  // None of these sends its body: an answer can only come from the head.
  it.each([
    ['/nowhere', 'authorization: Bearer right', 404, 'not_found'],
    ['/names/x', 'authorization: Bearer right', 405, 'method_not_allowed'],
    ['/echo', 'authorization: Bearer wrong', 401, 'invalid_api_key'],
    ['/echo', 'x-none: x', 401, 'invalid_api_key'],
    ['/echo', 'authorization: Bearer right\r\ncontent-type: text/plain', 415, 'unsupported_media_type'],
    [
      '/echo',
      'authorization: Bearer right\r\ncontent-type: application/x-www-form-urlencoded',
      415,
      'unsupported_media_type',
    ],
    [
      '/echo',
      'authorization: Bearer right\r\ncontent-type: application/json\r\ncontent-encoding: zstd',
      415,
      'unsupported_media_type',
    ],
    ['/echo', 'authorization: Bearer right\r\ncontent-type: application/json', 413, 'payload_too_large'],
  ])('%s with %j answers %i', async (path, line, status, code) => {
    await start();
    const answer = await answerOf(raw(head(path, [line, 'content-length: 15000000'])));
    expect(answer).toMatchObject({ status, body: { error: { code } } });
    expect(answer.head).toContain('x-request-id: ');
    expect(answer.head.includes('allow: get')).toBe(status === 405);
  });

  it('asks for the body of a client that waits for it only then', async () => {
    await start();
    const lines = [
      'authorization: Bearer right',
      'content-type: application/json',
      'content-length: 2',
      'expect: 100-continue',
    ];
    const welcome = raw(head('/echo', lines));
    await vi.waitFor(() => expect(welcome.received()).toContain('100 Continue'), 10_000);
    welcome.socket.write('{}');
    await vi.waitFor(() => expect(welcome.received()).toContain('{"got":{}}'), 10_000);
    const refused = await answerOf(raw(head('/echo', ['content-length: 2', 'expect: 100-continue'])));
    expect(refused.status).toBe(401);
    const other = await answerOf(raw(head('/echo', [...lines.slice(0, 3), 'expect: miracles'])));
    expect(other).toMatchObject({ status: 417, body: { error: { code: 'expectation_failed' } } });
  });

  it('lets a client read its refusal that sends everything first, and takes its next request', async () => {
    await start();
    const response = await post('/nowhere', Buffer.alloc(8 * 2 ** 20, '['));
    expect(response.status).toBe(404);
    expect(await (await post('/echo', '1')).json()).toEqual({ got: 1 });
  });

  it('cuts a client that goes on sending after its answer', async () => {
    await start();
    const endless = raw(head('/nowhere', ['transfer-encoding: chunked']));
    expect(await answerOf(endless)).toMatchObject({ status: 404 });
    await endless.ended;
  });

  it('cuts connections that it cannot read the rest of, of many that go on sending', async () => {
    await start();
    const lines = ['authorization: Bearer wrong', 'content-length: 1000000'];
    const clients = Array.from({ length: 40 }, () => raw(head('/echo', lines) + 'x'.repeat(100_000)));
    await Promise.all(clients.map(answerOf));
    // Most are cut at once, some after their time.
    await expect(Promise.all(clients.map(({ ended }) => ended))).resolves.toHaveLength(40);
  });

  it('lets go of a client that went while its body was read away', async () => {
    await start();
    const lines = ['authorization: Bearer wrong', 'content-length: 10000000'];
    const clients = Array.from({ length: 40 }, () => raw(head('/echo', lines) + 'x'.repeat(2_000_000)));
    await Promise.all(clients.map(answerOf));
    for (const { socket } of clients) socket.destroy();
    const open = () => new Promise((resolve) => app.getHttpServer().getConnections((_, n) => resolve(n)));
    await vi.waitFor(async () => expect(await open()).toBe(0), 10_000);
  });

  it('reads the rest of a refused body at a pace', async () => {
    await start();
    const request = once(app.getHttpServer(), 'request') as Promise<[IncomingMessage]>;
    const lines = ['authorization: Bearer wrong', 'content-length: 20000000'];
    const client = raw(head('/echo', lines) + 'x'.repeat(10_000_000));
    expect(await answerOf(client)).toMatchObject({ status: 401 });
    const [message] = await request;
    await vi.waitFor(() => expect(message.isPaused()).toBe(true), { interval: 1 });
  });

  it('goes on with the next request of a connection after a body that nobody wanted', async () => {
    await start();
    const unwanted = head('/nowhere', ['content-length: 150000']) + 'x'.repeat(150_000);
    const client = raw(`${unwanted}${unwanted}GET /names/abc HTTP/1.1\r\nhost: x\r\n\r\n`);
    await vi.waitFor(() => expect(client.received()).toContain('"length":3'));
    expect(client.received().match(/ 404 /g)).toHaveLength(2);
  });

  it('reads no body of GET and DELETE', async () => {
    await start();
    const lines = ['content-type: application/json', 'content-length: 3', '', '{"x'].join('\r\n');
    const got = raw(`GET /names/a HTTP/1.1\r\nhost: x\r\n${lines}`);
    await vi.waitFor(() => expect(got.received()).toContain('"length":1'), 10_000);
    const gone = raw(`DELETE /names/a HTTP/1.1\r\nhost: x\r\n${lines}`);
    await vi.waitFor(() => expect(gone.received()).toContain('{"got":"nothing"}'), 10_000);
  });
});

describe('a body', () => {
  it.each(['POST', 'DELETE'])('may be missing with %s, also where its type is given', async (method) => {
    await start();
    const path = method === 'POST' ? '/echo' : '/names/x';
    const response = await fetch(url + path, { method, headers: JSON_TYPE });
    expect(await response.json()).toEqual({ got: 'nothing' });
  });

  it.each([
    ['nested 65 deep', '['.repeat(65) + ']'.repeat(65)],
    ['of 15 thousand brackets', '['.repeat(15_000)],
    ['with a NUL', '{"a":"\\u0000"}'],
    ['with a NUL in a name', '{"a\\u0000":1}'],
    ['with a raw NUL', '{"a":"\0"}'],
    ['with a lone high surrogate', '{"a":"\\ud83d"}'],
    ['with a high surrogate before text', '{"a":"\\uD83Dx"}'],
    ['with a high surrogate before another escape', '{"a":"\\ud83d\\n"}'],
    ['with a lone low surrogate', '["\\uDE00"]'],
    ['with surrogates the wrong way round', '["\\ude00\\ud83d"]'],
    ['in no UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22])],
    ['with a prototype', '{"__proto__": {"a": 1}}'],
    ['with an escaped prototype', '{"\\u005f_proto__": {"a": 1}}'],
    ['that is no JSON', '{"a":'],
    ['with text after it', '{} {}'],
    ['of 20,000 numbers', `[${'0,'.repeat(19_999)}0]`],
    ['with an object of 5,000 members', `{${Array.from({ length: 5_000 }, (_, i) => `"${i}":0`).join()}}`],
    ['of 70,000 texts', `[${Array.from({ length: 70_000 }, () => '""').join()}]`],
    ['of 40,000 arrays', `[${Array.from({ length: 40_000 }, () => '[]').join()}]`],
  ])('%s is refused with 400', async (_, body) => {
    await start();
    const response = await post('/echo', body);
    expect([response.status, await codeOf(response)]).toEqual([400, 'invalid_request']);
  });

  it.each([
    ['pairs of surrogates', '"\\ud83d\\ude00\\u00e9"', '😀é'],
    ['escaped quotes and backslashes', '"a\\"\\\\\\u005c"', 'a"\\\\'],
    ['brackets in strings', `"${'['.repeat(100)}"`, '['.repeat(100)],
    ['a text that speaks of prototypes', '"{\\"__proto__\\": 1}"', '{"__proto__": 1}'],
    ['64 levels', '['.repeat(64) + ']'.repeat(64), JSON.parse('['.repeat(64) + ']'.repeat(64))],
    ['a byte order mark', '\uFEFF{"a":1}', { a: 1 }],
  ])('may hold %s', async (_, body, value) => {
    await start();
    expect(await (await post('/echo', body)).json()).toEqual({ got: value });
  });

  it('is the same in whatever pieces it comes', async () => {
    await start();
    const body = Buffer.from('{"a":"\\ud83d\\ude00 \\"[","b":[1,{"c":[]}],"seed":123}');
    const lines = [
      'authorization: Bearer right',
      'content-type: application/json',
      'transfer-encoding: chunked',
    ];
    const slow = raw(head('/echo', lines));
    for (const byte of body) {
      slow.socket.write(Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte]), Buffer.from('\r\n')]));
      await new Promise(setImmediate);
    }
    slow.socket.write('0\r\n\r\n');
    const { got } = (await answerOf(slow)).body as unknown as { got: unknown };
    expect(got).toEqual(JSON.parse(body.toString()));
  });

  it.each([
    ['9223372036854775807', '9223372036854775807'],
    ['-9223372036854775808', '-9223372036854775808'],
    ['9007199254740993 ', '9007199254740993'],
    ['9007199254740991', '9007199254740991'],
    ['1234567890123456.5', '1234567890123456.5'],
    ['1e22', '1e+22'],
  ])('keeps every digit of the number %s', async (literal, text) => {
    await start();
    const response = await post('/prompt', `{"a":[11111111111111111111],"seed": ${literal},"b":"x"}`);
    expect(await response.json()).toEqual({ keys: 3, seed: text });
  });

  it.each([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['br', brotliCompressSync],
  ])('may come packed by %s, within the limit of what it unpacks to', async (encoding, pack) => {
    await start();
    const packed = (text: string) => post('/echo', pack(Buffer.from(text)), { 'content-encoding': encoding });
    expect(await (await packed('{"a":1}')).json()).toEqual({ got: { a: 1 } });
    const bomb = await packed(`"${'x'.repeat(50 * 2 ** 20)}"`);
    expect([bomb.status, await codeOf(bomb)]).toEqual([413, 'payload_too_large']);
    const torn = await post('/echo', pack(Buffer.from('{"a":"xyzzy"}')).subarray(0, 8), {
      'content-encoding': encoding,
    });
    expect([torn.status, await codeOf(torn)]).toEqual([400, 'invalid_request']);
  });

  it('beyond the limit is refused while it comes where no length was told', async () => {
    await start();
    const lines = [
      'authorization: Bearer right',
      'content-type: application/json',
      'transfer-encoding: chunked',
    ];
    const large = raw(head('/echo', lines));
    large.socket.write(`${(300 * 1024).toString(16)}\r\n"${'x'.repeat(300 * 1024 - 1)}`);
    expect(await answerOf(large)).toMatchObject({
      status: 413,
      body: { error: { code: 'payload_too_large' } },
    });
  });

  it('that stops or trickles is ended with 408', async () => {
    await start({ pace: { idle_ms: 1_000, minRate: 1_024, grace_ms: 500 } });
    const lines = ['authorization: Bearer right', 'content-type: application/json', 'content-length: 100000'];
    const stopped = raw(`${head('/echo', lines)}{"a":`);
    const trickling = raw(`${head('/echo', lines)}"`);
    const drip = setInterval(() => trickling.socket.write('x'), 100);
    try {
      for (const late of [stopped, trickling]) {
        expect(await answerOf(late)).toMatchObject({
          status: 408,
          body: { error: { code: 'request_timeout' } },
        });
        await late.ended;
      }
    } finally {
      clearInterval(drip);
    }
  });

  it('is answered 503 when the bodies of a connection, key or all hold what they may', async () => {
    const limits = { all: 1e9, address: 1e9, owner: 40_000, connection: 1e9 };
    await start({ budget: limits });
    const lines = ['authorization: Bearer right', 'content-type: application/json', 'content-length: 30000'];
    const first = raw(`${head('/echo', lines)}"${'x'.repeat(20_000)}`);
    await vi.waitFor(async () => {
      const response = await post('/echo', `"${'x'.repeat(30_000)}"`);
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
      expect(await codeOf(response)).toBe('overloaded');
    }, 10_000);
    first.socket.destroy();
    await vi.waitFor(
      async () => expect((await post('/echo', `"${'x'.repeat(30_000)}"`)).status).toBe(201),
      10_000,
    );
  });

  it('of tiny pieces is refused', async () => {
    await start();
    const lines = [
      'authorization: Bearer right',
      'content-type: application/json',
      'transfer-encoding: chunked',
    ];
    const tiny = raw(head('/echo', lines) + '1\r\n \r\n'.repeat(5_000));
    const { status, body } = await answerOf(tiny);
    expect([status, JSON.stringify(body)]).toEqual([400, expect.stringContaining('too small pieces')]);
    await tiny.ended;
    // Its parser is taken again by another connection.
    for (const text of ['a', 'b'])
      expect(await (await post('/echo', `"${text}"`)).json()).toEqual({ got: text });
  });
});

describe('every answer', () => {
  it.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'invalid_request'],
    ['an unknown method', 'WIBBLE / HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'invalid_request'],
    ['HTTP/2 by prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'invalid_request'],
    ['no host', 'GET / HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
    [
      'long headers',
      `GET / HTTP/1.1\r\nhost: x\r\nx-a: ${'a'.repeat(20_000)}\r\n\r\n`,
      431,
      'headers_too_large',
    ],
    ['a long URL', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nhost: x\r\n\r\n`, 431, 'headers_too_large'],
    [
      'a length and chunks',
      'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n',
      400,
      'invalid_request',
    ],
    [
      'a wrong length',
      'POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: -3\r\n\r\n',
      400,
      'invalid_request',
    ],
    ['CONNECT', 'CONNECT example.com:443 HTTP/1.1\r\nhost: x\r\n\r\n', 405, 'method_not_allowed'],
    ['a URL that cannot be decoded', 'GET /names/%ff HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'invalid_request'],
    [
      'a lone surrogate in the path',
      'GET /names/%ED%A0%80 HTTP/1.1\r\nhost: x\r\n\r\n',
      400,
      'invalid_request',
    ],
    ['a NUL in the path', 'GET /names/a%00b HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'invalid_request'],
    ['a NUL in the query', 'GET /names/a?b=%00 HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'invalid_request'],
    [
      'a long part of the path',
      `GET /names/${'a'.repeat(5_000)} HTTP/1.1\r\nhost: x\r\n\r\n`,
      414,
      'uri_too_long',
    ],
    ['an unknown path', 'GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n', 404, 'not_found'],
    [
      'a method that Fastify does not route',
      'PROPFIND /echo HTTP/1.1\r\nhost: x\r\n\r\n',
      405,
      'method_not_allowed',
    ],
  ])('to %s has the envelope and x-request-id', async (_, text, status, code) => {
    await start();
    const answer = await answerOf(raw(text));
    expect(answer).toMatchObject({ status, body: { error: { code, type: expect.any(String) } } });
    expect(answer.head).toMatch(/\r\nx-request-id: [\w-]+/);
    expect(answer.head).toContain('content-type: application/json');
  });

  it('tells headers that do not come in time', async () => {
    await start({ headers_ms: 500 });
    const late = raw('GET / HTTP/1.1\r\nhost: x\r\n');
    expect(await answerOf(late)).toMatchObject({ status: 408, body: { error: { code: 'request_timeout' } } });
    await late.ended;
  });

  it('tells a connection beyond the limits, and idle ones give way', async () => {
    await start({ connections: { all: 3, address: 2 } });
    const open = [raw('GET / HTTP/1.1\r\n'), raw('GET / HTTP/1.1\r\n')];
    await Promise.all(open.map(({ socket }) => once(socket, 'connect')));
    const third = raw('GET / HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(await answerOf(third)).toMatchObject({ status: 503, body: { error: { code: 'overloaded' } } });
    open[0]?.socket.destroy();
    await vi.waitFor(async () => expect((await fetch(`${url}/names/a`)).status).toBe(200), 10_000);
  });
});

it('takes names of 128 characters, also percent-encoded', async () => {
  await start();
  const length = async (name: string) =>
    ((await (await fetch(`${url}/names/${name}`)).json()) as { length: number }).length;
  expect(await length('a'.repeat(128))).toBe(128);
  expect(await length('%61'.repeat(128))).toBe(128);
});

it.each([
  [false, '127.0.0.1'],
  [1, '2.2.2.2'],
  [2, '1.1.1.1'],
  [['127.0.0.0/8'], '2.2.2.2'],
  [['10.0.0.0/8'], '127.0.0.1'],
] as const)('with TRUST_PROXY %j takes the client to be %s', async (trustProxy, address) => {
  await start({ trustProxy });
  const response = await fetch(`${url}/names/a`, { headers: { 'x-forwarded-for': '1.1.1.1, 2.2.2.2' } });
  expect(await response.json()).toMatchObject({ address });
});
