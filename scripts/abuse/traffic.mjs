import http from 'node:http';
import net from 'node:net';

/** @typedef {import('./abuses.mjs').Context} Context */
/** @typedef {{ url: string, method?: string, headers: Record<string, string> | undefined, bytes: number, pieceBytes?: number }} HeldRequest */

const LONGEST_MS = 60_000;

/**
 * So many clients that send the same request again and again, each on a connection of its own.
 * @param {Context} context @param {number} clients
 * @param {{ url: string, method?: string, headers: Record<string, string>, body: string | Buffer }} request
 */
export async function flood({ signal, answers }, clients, request) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: clients });
  agent.createConnection = (/** @type {any} */ options) =>
    net.createConnection(options).on('error', () => undefined); // also one that is cut between two requests
  const client = async () => {
    while (!signal.aborted) answers.note(await send(agent, request, signal));
  };
  await Promise.all(Array.from({ length: clients }, client));
  agent.destroy();
}

/** The status of the answer, 0 without one. @param {http.Agent} agent @param {{ url: string, method?: string, headers: Record<string, string>, body: string | Buffer }} request @param {AbortSignal} end */
function send(agent, { url, method = 'POST', headers, body }, end) {
  return new Promise((resolve) => {
    const length = { 'content-length': String(Buffer.byteLength(body)) };
    const request = http.request(url, { agent, method, headers: { ...headers, ...length } });
    const leave = () => request.destroy();
    const done = (/** @type {number} */ status) => {
      clearTimeout(timer);
      end.removeEventListener('abort', leave);
      resolve(status);
    };
    const timer = setTimeout(leave, LONGEST_MS);
    end.addEventListener('abort', leave, { once: true });
    request.on('response', (response) => {
      response.resume().once('close', () => done(response.statusCode ?? 0));
    });
    request.on('error', () => done(0));
    request.end(body);
  });
}

/**
 * So many connections that begin a request and do not end it; one that is closed is opened again. Without `headers` the
 * headers themselves do not end. `pieceBytes`: the body comes in chunks of that size, as fast as it can.
 * @param {Context} context @param {number} connections
 * @param {HeldRequest} request
 */
export async function hold({ signal, answers }, connections, request) {
  const one = async () => {
    while (!signal.aborted) answers.note(await holdOne(signal, request));
  };
  await Promise.all(Array.from({ length: connections }, one));
}

/** @param {AbortSignal} end @param {HeldRequest} request @returns {Promise<number>} */
function holdOne(end, { url, method = 'POST', headers, bytes, pieceBytes }) {
  const { hostname, port, pathname } = new URL(url);
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname);
    let status = 0;
    const leave = () => socket.destroy();
    end.addEventListener('abort', leave, { once: true });
    socket.on('data', (data) => (status ||= Number(/^HTTP\/1\.1 (\d+)/.exec(String(data))?.[1] ?? 0)));
    socket.on('error', () => undefined);
    socket.once('close', () => {
      end.removeEventListener('abort', leave);
      resolve(status);
    });
    const lines = Object.entries(headers ?? {}).map(([name, value]) => `${name}: ${value}`);
    const length = pieceBytes === undefined ? `content-length: ${bytes + 1}` : 'transfer-encoding: chunked';
    socket.write([`${method} ${pathname} HTTP/1.1`, 'host: x', ...lines, length, ''].join('\r\n'));
    if (!headers) return;
    socket.write('\r\n');
    if (pieceBytes === undefined) socket.write(Buffer.alloc(bytes, ' '));
    else
      socket.write(`${pieceBytes.toString(16)}\r\n${' '.repeat(pieceBytes)}\r\n`.repeat(bytes / pieceBytes));
  });
}
