import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly at_ms: number;
}

/** What goes wrong with one request. */
export interface Trouble {
  /** Answered instead of the file. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The connection breaks after so many bytes of the body. */
  readonly cutAfterBytes?: number;
  /** Called before it breaks. */
  readonly whenCut?: () => void;
}

const CHUNK_BYTES = 4096;

/** A web server of files in memory, with ETags and ranges, on which things go wrong when a test says so. */
export class FileServer {
  readonly files = new Map<string, Uint8Array>();
  readonly requests: SeenRequest[] = [];
  /** Taken by the requests for a path, one after another. */
  readonly troubles = new Map<string, Trouble[]>();
  /** Waited for before the chunk of a body that begins there. */
  beforeChunk: (at: number) => Promise<unknown> | undefined = () => undefined;
  etags = true;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  static async start(): Promise<FileServer> {
    const server = new FileServer();
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  add(folder: string, files: Readonly<Record<string, Uint8Array>>): void {
    for (const [name, bytes] of Object.entries(files)) this.files.set(`${folder}/${name}`, bytes);
  }

  /** The ranges asked for of a path, in order. */
  rangesOf(path: string): (string | undefined)[] {
    return this.requests.filter((each) => each.path === path).map(({ headers }) => headers.range);
  }

  close(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  /** Answers what is no plain file; false: it is one. */
  route: (request: SeenRequest, response: ServerResponse) => boolean = () => false;

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', this.url);
    const path = decodeURIComponent(pathname);
    const seen = { method: request.method ?? '', path, headers: request.headers, at_ms: Date.now() };
    this.requests.push(seen);
    const trouble = this.troubles.get(path)?.shift();
    if (trouble?.status !== undefined) return void response.writeHead(trouble.status, trouble.headers).end();
    if (this.route(seen, response)) return;
    const bytes = this.files.get(path);
    if (!bytes) return void response.writeHead(404).end();
    await this.#send(seen, response, { bytes, trouble });
  }

  async #send(
    { headers }: SeenRequest,
    response: ServerResponse,
    { bytes, trouble }: { bytes: Uint8Array; trouble: Trouble | undefined },
  ): Promise<void> {
    const cutAfterBytes = trouble?.cutAfterBytes;
    const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}"`;
    const range = /^bytes=(\d+)-$/.exec(headers.range ?? '');
    const fits = headers['if-range'] === undefined || headers['if-range'] === etag;
    const begin = range && fits && this.etags ? Number(range[1]) : 0;
    response.writeHead(begin > 0 ? 206 : 200, {
      'content-length': String(bytes.length - begin),
      ...(this.etags ? { etag } : {}),
      ...(begin > 0 ? { 'content-range': `bytes ${begin}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    const end = Math.min(bytes.length, begin + (cutAfterBytes ?? Number.POSITIVE_INFINITY));
    for (let at = begin; at < end && !response.destroyed; at += CHUNK_BYTES) {
      await this.beforeChunk(at);
      response.write(bytes.subarray(at, Math.min(at + CHUNK_BYTES, end)));
      await sleep(0);
    }
    if (cutAfterBytes === undefined) return void response.end();
    // What was written goes out and is read before the connection breaks; one pause of this process is not enough.
    for (let turn = 0; turn < 5; turn += 1) await sleep(50);
    trouble?.whenCut?.();
    response.destroy();
  }
}
