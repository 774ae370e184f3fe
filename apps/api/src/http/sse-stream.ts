import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

/** Proxies and clients give up on connections that are silent for longer (30 s and up). */
const KEEP_ALIVE_MS = 15_000;

/** `openai`: lines of data, `[DONE]` at the end. The others: each with the event's name, which is its `type`. */
export type StreamStyle = 'openai' | 'anthropic' | 'responses';

export interface SseOptions {
  readonly style?: StreamStyle;
  readonly keepAlive_ms?: number;
}

/** A response of server-sent events. It is the only writer of its connection. */
export class SseStream {
  readonly #raw: ServerResponse;
  readonly #timer: NodeJS.Timeout;
  readonly #style: StreamStyle;

  /** Sends the headers: from here on faults can only be told inside the stream. */
  constructor(reply: FastifyReply, { style = 'openai', keepAlive_ms = KEEP_ALIVE_MS }: SseOptions = {}) {
    this.#style = style;
    reply.hijack();
    this.#raw = reply.raw;
    this.#raw.writeHead(200, {
      ...(reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no', // nginx would hold tokens back
    });
    this.#raw.flushHeaders();
    this.#timer = setInterval(() => this.#write(': keep-alive\n\n'), keepAlive_ms);
  }

  /** Resolves once the connection takes more; a slow client slows its own generation, not the process. */
  async send(data: object, signal: AbortSignal): Promise<void> {
    if (this.#write(this.#message(data))) return;
    signal.throwIfAborted();
    await once(this.#raw, 'drain', { signal });
  }

  /** Ends a stream that is complete, after its last messages. */
  done(...last: object[]): void {
    for (const data of last) this.#write(this.#message(data));
    if (this.#style === 'openai') this.#write('data: [DONE]\n\n');
    this.#end();
  }

  /** Ends a stream that has no end of its own. */
  close(): void {
    this.#end();
  }

  /** Ends a stream that is not: without [DONE], so that nobody takes it for a whole answer. */
  fail(...last: object[]): void {
    for (const data of last) this.#write(this.#message(data));
    this.#end();
  }

  #message(data: object): string {
    const name = this.#style !== 'openai' && 'type' in data ? `event: ${String(data.type)}\n` : '';
    return `${name}data: ${JSON.stringify(data)}\n\n`;
  }

  #end(): void {
    clearInterval(this.#timer);
    this.#raw.end();
  }

  /** False when the connection's buffer is full. */
  #write(text: string): boolean {
    if (this.#raw.destroyed || this.#raw.writableEnded) return true;
    this.#timer.refresh();
    return this.#raw.write(text);
  }
}
