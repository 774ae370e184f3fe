import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo } from 'node:net';
import {
  type EngineStatus,
  type GenerateEvent,
  type GenerateRequest,
  GenerateRequestSchema,
} from '#contracts/engine-protocol.js';
import { type Parity, type ParityRequest, ParityRequestSchema } from '#contracts/parity.js';
import { ERROR_TABLE, type ErrorCode } from '#contracts/errors.js';

/** One answer to POST /generate, written as the test's script says. */
export class FakeGeneration {
  readonly #response: ServerResponse;
  /** Resolves when the connection is closed before the script ended the answer. */
  readonly abandoned: Promise<void>;

  constructor(
    readonly request: GenerateRequest,
    response: ServerResponse,
  ) {
    this.#response = response;
    this.abandoned = new Promise((resolve) => {
      response.once('close', () => {
        if (!response.writableEnded) resolve();
      });
    });
  }

  send(...events: GenerateEvent[]): void {
    for (const event of events) this.raw(`${JSON.stringify(event)}\n`);
  }

  /** Writes text that need not be a whole line. */
  raw(text: string | Uint8Array): void {
    if (!this.#response.headersSent)
      this.#response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    this.#response.write(text);
  }

  end(): void {
    this.#response.end();
  }

  /** Cuts the connection, as a killed process does. */
  cut(): void {
    this.#response.destroy();
  }

  refuse(code: ErrorCode, message: string, param: string | null = null): void {
    const { status, type } = ERROR_TABLE[code];
    this.#response.writeHead(status, { 'content-type': 'application/json', 'retry-after': '7' });
    this.#response.end(JSON.stringify({ error: { message, type, code, param } }));
  }
}

export type Script = (generation: FakeGeneration) => void | Promise<void>;

export const FAKE_BASE = {
  name: 'demo-base',
  digest: 'ba5e'.repeat(16),
  architecture: 'LlamaForCausalLM',
  hiddenSize: 8,
  numLayers: 1,
  vocabSize: 1000,
  maxContext: 512,
  tieWordEmbeddings: false,
  quantization: 'none',
  modules: [],
} satisfies EngineStatus['base'];

export const FAKE_PARITY: Parity = {
  passed: true,
  max_abs_diff: 0.001,
  mean_abs_diff: 0.0001,
  tolerance: { max_abs_diff: 0.005, mean_abs_diff: 0.0005 },
  token_agreement: 1,
  effect: 2,
  prompts: 4,
  tokens: 120,
  failure: null,
  path: 'fake against merged float32',
};

/** An engine without a model: real HTTP, scripted events. */
export class FakeEngine {
  readonly requests: GenerateRequest[] = [];
  readonly dropped: string[] = [];
  readonly parityRequests: ParityRequest[] = [];
  /** What it says of every adapter; a rejection cuts the connection. */
  parity: () => Parity | Promise<Parity> = () => FAKE_PARITY;
  statusCalls = 0;
  status: EngineStatus;
  script: Script = (generation) => generation.refuse('internal_error', 'no script');
  readonly #server: Server;

  private constructor(
    engine: string,
    private readonly token: string,
  ) {
    this.status = {
      engine,
      state: 'ready',
      device: 'cpu',
      base: FAKE_BASE,
      load: { runningRequests: 0, waitingRequests: 0, queuedTokens: 0 },
      kv: { pages: 8, freePages: 8, pageTokens: 16, bytes: 1024 },
      memory: { weightBytes: 4096, kvBytes: 1024, adapterBytes: 0, scratchBytes: 512 },
      adapters: { bytes: 0, limitBytes: 1024, resident: [] },
    };
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async start(engine = 'fake-0', token = 'token'): Promise<FakeEngine> {
    const fake = new FakeEngine(engine, token);
    await new Promise<void>((resolve) => fake.#server.listen(0, '127.0.0.1', resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      response.writeHead(401, { 'content-type': 'application/json' });
      response.end(
        '{"error":{"message":"wrong","type":"authentication_error","code":"invalid_api_key","param":null}}',
      );
      return;
    }
    if (request.url === '/status') {
      this.statusCalls += 1;
      response.end(JSON.stringify(this.status));
    } else if (request.url === '/drain' || request.url === '/undrain') {
      this.status = { ...this.status, state: request.url === '/drain' ? 'draining' : 'ready' };
      response.writeHead(204).end();
    } else if (request.url === '/parity') {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      this.parityRequests.push(ParityRequestSchema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8'))));
      try {
        response.end(JSON.stringify(await this.parity()));
      } catch {
        response.destroy(); // as a killed process does
      }
    } else if (request.method === 'DELETE') {
      this.dropped.push(decodeURIComponent(request.url?.slice('/adapters/'.length) ?? ''));
      response.writeHead(204).end();
    } else {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      if (this.status.state === 'draining') {
        response.writeHead(503, { 'content-type': 'application/json', 'retry-after': '5' });
        response.end(
          '{"error":{"message":"The engine is drained.","type":"server_error","code":"engine_unavailable","param":null}}',
        );
        return;
      }
      const body = GenerateRequestSchema.parse(JSON.parse(Buffer.concat(chunks).toString('utf8')));
      this.requests.push(body);
      await this.script(new FakeGeneration(body, response));
    }
  }
}
