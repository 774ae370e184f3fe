import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { OutboundHttp, type OutboundOptions, type OutboundRequest } from './outbound-http.js';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let other: Server;
let handle: Handler;
let connections: number;
const clients: OutboundHttp[] = [];

beforeEach(async () => {
  connections = 0;
  handle = (_, response) => void response.end('ok');
  [server, other] = [await listen(), await listen()];
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  for (const each of [server, other]) {
    each.closeAllConnections();
    each.close();
  }
});

async function listen(): Promise<Server> {
  const made = createServer((request, response) => handle(request, response));
  made.on('connection', () => {
    connections += 1;
  });
  made.listen(0, '127.0.0.1');
  await once(made, 'listening');
  return made;
}

const port = (of: Server): number => (of.address() as AddressInfo).port;
const at = (path: string, of = server): string => `http://127.0.0.1:${port(of)}${path}`;
function client(options: Partial<OutboundOptions> = {}): OutboundHttp {
  const made = new OutboundHttp({ allowPrivate: true, ...options });
  clients.push(made);
  return made;
}
const request = (options: Partial<OutboundRequest> = {}): OutboundRequest => ({
  limitBytes: 1_000_000,
  signal: new AbortController().signal,
  ...options,
});
/** A resolver that gives these addresses one after another, whatever the name. */
function resolving(...addresses: string[]) {
  const asked: string[] = [];
  const resolve = async (hostname: string) => {
    asked.push(hostname);
    const address = addresses.length > 1 ? (addresses.shift() as string) : (addresses[0] as string);
    return [{ address, family: address.includes(':') ? 6 : 4 }];
  };
  return { resolve, asked };
}

describe('OutboundHttp', () => {
  it('fetches, and posts what it is given', async () => {
    handle = (incoming, response) => {
      void text(incoming).then((body) =>
        response.end(`${incoming.method} ${incoming.headers['x-a']} ${body}`),
      );
    };
    const http = client();
    const got = await http.fetch(
      at('/'),
      request({ method: 'POST', headers: { 'x-a': '1' }, body: 'hello' }),
    );
    expect(got.status).toBe(200);
    expect(await text(got.body)).toBe('POST 1 hello');
  });

  it('refuses a name that resolves to a private address, before anything is connected', async () => {
    const http = client({ allowPrivate: false, resolve: resolving('127.0.0.1').resolve });
    const fetched = http.fetch(`https://innocent.example:${port(server)}/`, request());
    await expect(fetched).rejects.toMatchObject({ fault: 'address_refused', retryable: false });
    expect(connections).toBe(0);
  });

  it('refuses a name with one private address among public ones', async () => {
    const http = client({
      allowPrivate: false,
      resolve: async () => [
        { address: '93.184.216.34', family: 4 },
        { address: '10.0.0.1', family: 4 },
      ],
    });
    const fetched = http.fetch('https://mixed.example/', request());
    await expect(fetched).rejects.toMatchObject({ fault: 'address_refused' });
  });

  it('judges each resolution: a name that answers anew with a closed address is refused (rebinding)', async () => {
    handle = (_, response) => void response.writeHead(200, { connection: 'close' }).end('ok');
    const { resolve, asked } = resolving('127.0.0.1', '127.0.0.2');
    const http = client({ resolve, mayConnect: (address) => address === '127.0.0.1' });
    const url = `http://rebind.example:${port(server)}/`;
    expect(await text((await http.fetch(url, request())).body)).toBe('ok');
    await expect(http.fetch(url, request())).rejects.toMatchObject({ fault: 'address_refused' });
    expect(asked).toEqual(['rebind.example', 'rebind.example']);
    expect(connections).toBe(1);
  });

  it('resolves once per connection, so that no second answer is ever used', async () => {
    const { resolve, asked } = resolving('127.0.0.1', '10.0.0.1');
    const http = client({ resolve, mayConnect: (address) => address === '127.0.0.1' });
    const url = `http://once.example:${port(server)}/`;
    expect(await text((await http.fetch(url, request())).body)).toBe('ok');
    expect(asked).toHaveLength(1);
  });

  it('judges the connected peer once more, before anything is sent', async () => {
    let requests = 0;
    handle = (_, response) => {
      requests += 1;
      response.end();
    };
    let judged = 0;
    const http = client({ mayConnect: () => ++judged === 1 });
    await expect(http.fetch(at('/'), request())).rejects.toMatchObject({ fault: 'address_refused' });
    expect(requests).toBe(0);
  });

  it('calls a trusted origin wherever it is, and judges where it redirects to', async () => {
    handle = (incoming, response) => {
      if (incoming.url === '/away') response.writeHead(302, { location: at('/', other) }).end();
      else response.end('trusted');
    };
    const http = client({ allowPrivate: false, trustedOrigins: [at('/')] });
    expect(await text((await http.fetch(at('/'), request())).body)).toBe('trusted');
    await expect(http.fetch(at('/away'), request())).rejects.toMatchObject({ fault: 'url_refused' });
    await expect(http.fetch(at('/', other), request())).rejects.toMatchObject({ fault: 'url_refused' });
  });

  it('follows redirects with the headers of their own origin only', async () => {
    const seen: IncomingMessage['headers'][] = [];
    handle = (incoming, response) => {
      seen.push(incoming.headers);
      const next = { '/a': '/b', '/b': at('/c', other) }[incoming.url ?? ''];
      if (next === undefined) response.end('there');
      else response.writeHead(302, { location: next }).end();
    };
    const headers = { Authorization: 'Bearer secret', Range: 'bytes=1-', Cookie: 'a=b', 'X-Own': '1' };
    const got = await client().fetch(at('/a'), request({ headers }));
    expect(await text(got.body)).toBe('there');
    expect(got.url).toBe(at('/c', other));
    expect(seen.map(({ authorization }) => authorization)).toEqual([
      'Bearer secret',
      'Bearer secret',
      undefined,
    ]);
    expect(seen[2]).toMatchObject({ range: 'bytes=1-' });
    expect(seen[2]).not.toHaveProperty('cookie');
    expect(seen[2]).not.toHaveProperty('x-own');
  });

  it('judges the address behind each redirect', async () => {
    handle = (_, response) =>
      void response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end();
    const http = client({ mayConnect: (address) => address.startsWith('127.') });
    await expect(http.fetch(at('/'), request())).rejects.toMatchObject({ fault: 'address_refused' });
  });

  it.each(['ftp://example.com/', 'https://user:secret@example.com/', 'http://['])(
    'refuses a redirect to %s',
    async (location) => {
      handle = (_, response) => void response.writeHead(301, { location }).end();
      await expect(client().fetch(at('/'), request())).rejects.toMatchObject({ retryable: false });
    },
  );

  it('gives up after a bounded number of redirects', async () => {
    let requests = 0;
    handle = (_, response) => {
      requests += 1;
      response.writeHead(302, { location: `/${requests}` }).end();
    };
    const fetched = client().fetch(at('/'), request({ maxRedirects: 3 }));
    await expect(fetched).rejects.toMatchObject({ fault: 'redirect_refused' });
    expect(requests).toBe(4);
  });

  it('hands a redirect over where none is followed, and never follows one of a POST', async () => {
    handle = (_, response) => void response.writeHead(307, { location: '/next' }).end();
    const http = client();
    const head = await http.fetch(at('/'), request({ method: 'HEAD', maxRedirects: 0 }));
    expect([head.status, head.headers.location]).toEqual([307, '/next']);
    const post = await http.fetch(at('/'), request({ method: 'POST', body: '{}' }));
    expect(post.status).toBe(307);
    post.body.destroy();
  });

  it('ends an answer that is larger than allowed, announced or not', async () => {
    const http = client();
    handle = (_, response) => void response.end('x'.repeat(2000));
    const announced = http.fetch(at('/'), request({ limitBytes: 1000 }));
    await expect(announced).rejects.toMatchObject({ fault: 'too_large' });
    handle = (_, response) => {
      response.write('x'.repeat(900));
      setTimeout(() => response.end('x'.repeat(900)), 20);
    };
    const chunked = await http.fetch(at('/'), request({ limitBytes: 1000 }));
    await expect(text(chunked.body)).rejects.toMatchObject({ fault: 'too_large' });
  });

  it('gives up on a server that is silent before or within its answer', async () => {
    handle = () => undefined;
    const silent = client({ headersTimeout_ms: 300 }).fetch(at('/'), request());
    await expect(silent).rejects.toMatchObject({ fault: 'timeout', retryable: true });
    handle = (_, response) => void response.write('half');
    const stalled = await client({ idleTimeout_ms: 300 }).fetch(at('/'), request());
    await expect(text(stalled.body)).rejects.toMatchObject({ fault: 'timeout' });
  });

  it('ends at once when its caller aborts, with the reason given', async () => {
    const controller = new AbortController();
    handle = (_, response) => void response.write('half');
    const got = await client().fetch(at('/'), request({ signal: controller.signal }));
    const read = text(got.body);
    controller.abort(new Error('no longer wanted'));
    await expect(read).rejects.toThrow('no longer wanted');
    await expect(client().fetch(at('/'), request({ signal: controller.signal }))).rejects.toThrow(
      'no longer',
    );
  });

  it('says which failures may pass', async () => {
    const http = client();
    handle = (_, response) => void response.destroy();
    await expect(http.fetch(at('/'), request())).rejects.toMatchObject({
      fault: 'connection',
      retryable: true,
    });
    const nameless = client({
      resolve: () => Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' })),
    });
    const lost = nameless.fetch('http://nowhere.example/', request());
    await expect(lost).rejects.toMatchObject({ fault: 'not_resolved', retryable: true });
  });

  it('closes the connection of a body that nobody reads to its end', async () => {
    const gone = new Promise<void>((resolve) => {
      handle = (_, response) => {
        response.on('close', resolve);
        response.write('half');
      };
    });
    const got = await client().fetch(at('/'), request());
    got.body.destroy();
    await expect(gone).resolves.toBeUndefined();
  });
});
