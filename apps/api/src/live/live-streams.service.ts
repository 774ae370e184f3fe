import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Credential, Credentials } from '#accounts/credentials.service.js';
import { ERROR_TABLE } from '#contracts/errors.js';
import { AppError, toEnvelope } from '#runtime/app-error.js';
import { Draining } from '#runtime/drain.js';
import { OpenStreams } from '#runtime/open-streams.js';
import { followClient } from '../http/client-connection.js';
import { SseStream } from '../http/sse-stream.js';

/** The key is looked at this often, so that a stream ends within a second of it. */
const LOOK_EVERY_MS = 500;
const SEND_EVERY_MS = 1_000;
/** Streams that one key may have in one process. */
const MOST_STREAMS = 32;

/** Sends what is read as it stands, every second that it has changed, until the client leaves or its key ends. */
@Injectable()
export class LiveStreams {
  readonly #open = new Map<string, number>();

  constructor(
    private readonly credentials: Credentials,
    private readonly streams: OpenStreams,
    private readonly draining: Draining,
  ) {}

  /** Once as JSON, or, where the client takes server-sent events, again and again. */
  async answer(request: FastifyRequest, reply: FastifyReply, read: () => Promise<object>): Promise<void> {
    if (!/\btext\/event-stream\b/.test(request.headers.accept ?? '')) {
      await reply.send(await read());
      return;
    }
    const credential = await this.credentials.of(request);
    const holder = holderOf(credential);
    const open = this.#open.get(holder) ?? 0;
    if (open >= MOST_STREAMS) throw tooMany();
    this.#open.set(holder, open + 1);
    try {
      await this.#stream({ request, reply, read, holder });
    } finally {
      const left = (this.#open.get(holder) ?? 1) - 1;
      if (left > 0) this.#open.set(holder, left);
      else this.#open.delete(holder);
    }
  }

  async #stream({ request, reply, read, holder }: Stream): Promise<void> {
    const { controller, done } = followClient(reply, this.streams);
    const { signal } = controller;
    const sse = new SseStream(reply);
    let sentAt_ms = Number.NEGATIVE_INFINITY;
    let sent = '';
    try {
      while (!signal.aborted && !this.draining.begun) {
        const over = await this.#whyOver(request, holder);
        if (over) return sse.fail(toEnvelope(over).body);
        if (performance.now() - sentAt_ms >= SEND_EVERY_MS - LOOK_EVERY_MS / 2) {
          sentAt_ms = performance.now();
          const message = await read();
          const text = JSON.stringify(message);
          if (text !== sent) await sse.send(message, signal);
          sent = text;
        }
        await sleep(LOOK_EVERY_MS, undefined, { signal });
      }
      sse.close();
    } catch (error) {
      if (signal.aborted) sse.close();
      else sse.fail(toEnvelope(error instanceof AppError ? error : new AppError('internal_error')).body);
    } finally {
      done();
    }
  }

  /** Why the stream may not go on; that the database is away is no reason. */
  async #whyOver(request: FastifyRequest, holder: string): Promise<AppError | undefined> {
    try {
      const credential = await this.credentials.of(request);
      return holderOf(credential) === holder ? undefined : new AppError('insufficient_scope');
    } catch (error) {
      if (error instanceof AppError && ERROR_TABLE[error.code].status < 500) return error;
      return undefined;
    }
  }
}

interface Stream {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly read: () => Promise<object>;
  readonly holder: string;
}

/** Who looks, and at whom: a stream ends when that changes. */
function holderOf({ operatorId, known, viewedTenantId }: Credential): string {
  if (operatorId !== undefined) return `operator ${operatorId} ${viewedTenantId ?? ''}`;
  const { keyId, scopes, tenant } = known;
  return `key ${keyId} ${tenant.state} ${[...scopes].sort().join(',')}`;
}

function tooMany(): AppError {
  return new AppError('rate_limit_exceeded', {
    message: `The key has ${MOST_STREAMS} live streams already.`,
    retryAfter_s: 1,
  });
}
