import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Serves files from memory, as the storage of a fine-tune pipeline does. */
export class ArtifactServer {
  /** Bytes by path. */
  readonly files = new Map<string, Uint8Array>();
  requests = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.requests += 1;
      const bytes = this.files.get(request.url ?? '');
      if (bytes) response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
      else response.writeHead(404).end();
    });
  }

  static async start(): Promise<ArtifactServer> {
    const server = new ArtifactServer();
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  /** The URL of a folder with these files in it. */
  put(folder: string, files: Readonly<Record<string, Uint8Array>>): string {
    for (const [name, bytes] of Object.entries(files)) this.files.set(`/${folder}/${name}`, bytes);
    return `${this.url}/${folder}/`;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
