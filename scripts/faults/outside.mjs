import { createServer } from 'node:http';

/**
 * The world outside: a storage that imports read from, and a receiver of webhooks that fails now and then.
 */
export class Outside {
  /** By webhook-id: what it told of, and how often it came. @type {Map<string, { version: string, times: number }>} */
  told = new Map();
  #server;
  #url = '';

  /** @param {{ variants: import('./uploads.mjs').Variants, random: import('./random.mjs').Random }} options */
  constructor({ variants, random }) {
    this.variants = variants;
    this.#server = createServer((request, response) => {
      const [, kind, n, name] = (request.url ?? '').split('/');
      if (kind === 'artifacts') {
        const bytes = name === 'adapter_config.json' ? variants.config : variants.weightsOf(Number(n));
        response.writeHead(200, { 'content-length': bytes.length, etag: `"${n}"` }).end(bytes);
        return;
      }
      /** @type {Buffer[]} */
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        if (random.next() < 0.1) {
          response.writeHead(500).end(); // it comes again
          return;
        }
        const id = String(request.headers['webhook-id']);
        const { data } = JSON.parse(Buffer.concat(chunks).toString());
        const known = this.told.get(id);
        this.told.set(id, { version: `${data.adapter}@${data.version}`, times: (known?.times ?? 0) + 1 });
        response.writeHead(204).end();
      });
    });
  }

  async listen() {
    await new Promise((resolve) => this.#server.listen(0, '127.0.0.1', () => resolve(undefined)));
    const address = this.#server.address();
    this.#url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  }

  get receiverUrl() {
    return `${this.#url}/webhooks`;
  }

  /** A folder with the two files of a variant. @param {number} n */
  artifactUrl(n) {
    return `${this.#url}/artifacts/${n}/`;
  }

  async close() {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
