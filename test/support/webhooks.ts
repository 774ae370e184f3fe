import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Webhook } from 'standardwebhooks';
import type { Answer } from './client.js';

export interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly at_ms: number;
}

/** A real HTTP server that keeps what it is sent. */
export class Receiver {
  readonly received: Received[] = [];
  /** What it answers next; undefined: nothing, until the caller gives up. */
  answer: (
    request: Received,
  ) => { status: number; body?: string; headers?: Record<string, string> } | undefined = () => ({
    status: 200,
    body: 'thanks',
  });
  readonly #server: Server;

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const body = Buffer.concat(chunks).toString('utf8');
      const received = { path: request.url ?? '', headers: request.headers, body, at_ms: Date.now() };
      this.received.push(received);
      const answer = this.answer(received);
      if (answer) response.writeHead(answer.status, answer.headers).end(answer.body);
    });
  }

  static async start(): Promise<Receiver> {
    const receiver = new Receiver();
    receiver.#server.listen(0, '127.0.0.1');
    await once(receiver.#server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export interface SendOptions {
  readonly id?: string;
  readonly at?: Date;
  /** Replaces what signing gives. */
  readonly headers?: Readonly<Record<string, string>>;
}

let sent = 0;

/** Posts a message as the sender of a fine-tune pipeline would. */
export async function postSigned<T = Record<string, unknown>>(
  url: string,
  secret: string,
  message: unknown,
  { id = `msg_test_${++sent}`, at = new Date(), headers = {} }: SendOptions = {},
): Promise<Answer<T>> {
  const body = typeof message === 'string' ? message : JSON.stringify(message);
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
      'webhook-signature': new Webhook(secret).sign(id, at, body),
      ...headers,
    },
    body,
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as T };
}

/** Asks again until `done` holds of the answer. */
export async function until<T>(
  ask: () => Promise<T>,
  done: (value: T) => boolean,
  patience_ms = 60_000,
): Promise<T> {
  const deadline = Date.now() + patience_ms;
  for (;;) {
    const value = await ask();
    if (done(value)) return value;
    if (Date.now() > deadline) throw new Error(`not in time: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
