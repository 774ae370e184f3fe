import { Readable } from 'node:stream';
import { Agent, type Dispatcher, request } from 'undici';
import { currentRequest } from '../request-context.js';
import { isPublicAddress } from './address-rules.js';
import { guardedConnector, type ResolveName } from './guarded-connector.js';
import { asOutboundError, OutboundError } from './outbound-error.js';
import { parseOutboundUrl } from './outbound-url.js';

const DEFAULTS = { connectTimeout_ms: 10_000, headersTimeout_ms: 30_000, idleTimeout_ms: 30_000 };
const MAX_REDIRECTS = 5;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** Headers that are no secret of the first origin; all others stay behind when a redirect leaves it. */
const TRAVELLING_HEADERS: ReadonlySet<string> = new Set(['accept', 'accept-encoding', 'range', 'if-range']);
const USER_AGENT = 'lorikeet';

export interface OutboundOptions {
  /** Private addresses and plain http are reached too (ALLOW_PRIVATE_IMPORTS). */
  readonly allowPrivate: boolean;
  /** Origins that the operator named, e.g. a mirror in the own network: called wherever they are. */
  readonly trustedOrigins?: readonly string[];
  readonly connectTimeout_ms?: number;
  /** From the request sent to the answer's head. */
  readonly headersTimeout_ms?: number;
  /** Between two chunks of the answer's body. */
  readonly idleTimeout_ms?: number;
  /** Tests replace the network's names and the rule for addresses. */
  readonly resolve?: ResolveName;
  readonly mayConnect?: (address: string) => boolean;
}

export interface OutboundRequest {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** The answer's body ends with OutboundError too_large past it. */
  readonly limitBytes: number;
  /** Only GET and HEAD follow redirects; with 0, and for the rest, a redirect is an answer like any other. */
  readonly maxRedirects?: number;
  readonly signal: AbortSignal;
}

export interface OutboundResponse {
  readonly status: number;
  /** Names in lower case; of repeated headers the first. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the answer came from, after redirects. */
  readonly url: string;
  /** Must be read to its end or destroyed. Fails with OutboundError, or the reason of the request's signal. */
  readonly body: Readable;
}

/**
 * HTTP(S) to URLs that somebody else chose. No proxy, no private address (judged on the very address that the socket
 * connects to, on each redirect anew), bounded redirects that never leave https, bounded time and size.
 */
export class OutboundHttp {
  readonly #agent: Agent;
  readonly #allowPrivate: boolean;
  readonly #trusted: ReadonlySet<string>;

  constructor(options: OutboundOptions) {
    const times = { ...DEFAULTS, ...options };
    this.#allowPrivate = options.allowPrivate;
    this.#trusted = new Set(options.trustedOrigins?.map((url) => new URL(url).origin));
    this.#agent = new Agent({
      connect: guardedConnector({
        mayConnect: options.mayConnect ?? (options.allowPrivate ? () => true : isPublicAddress),
        isTrusted: (origin) => this.#trusted.has(origin),
        connectTimeout_ms: times.connectTimeout_ms,
        ...(options.resolve ? { resolve: options.resolve } : {}),
      }),
      headersTimeout: times.headersTimeout_ms,
      bodyTimeout: times.idleTimeout_ms,
    });
  }

  /** Throws OutboundError; an answer of any status is an answer. */
  async fetch(url: string, options: OutboundRequest): Promise<OutboundResponse> {
    const { method = 'GET', maxRedirects = MAX_REDIRECTS } = options;
    const limit = method === 'GET' || method === 'HEAD' ? maxRedirects : 0;
    let target = this.check(url);
    let headers = { ...currentRequest()?.span?.headers, ...lowerCased(options.headers ?? {}) };
    for (let redirects = 0; ; redirects += 1) {
      const answer = await this.#send(target, { ...options, method, headers });
      const location = REDIRECTS.has(answer.statusCode) ? first(answer.headers.location) : undefined;
      if (location === undefined || limit === 0) return this.#response(target, answer, options);
      drop(answer.body);
      if (redirects === limit) throw redirectRefused('redirects too often');
      const next = this.#redirected(target, location);
      if (next.origin !== target.origin) headers = travelling(headers);
      target = next;
    }
  }

  /** The URL if its text may be called at all; throws OutboundError. For telling a caller early what is wrong. */
  check(url: string): URL {
    const trusted = URL.canParse(url) && this.#trusted.has(new URL(url).origin);
    return parseOutboundUrl(url, { allowPrivate: this.#allowPrivate || trusted });
  }

  /** Cuts what still runs. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #send(
    target: URL,
    { method, headers, body, signal }: OutboundRequest & { headers: Record<string, string> },
  ): Promise<Dispatcher.ResponseData> {
    try {
      signal.throwIfAborted();
      return await request(target, {
        dispatcher: this.#agent,
        method: method ?? 'GET',
        // A coding of the transfer's own would make lengths and ranges mean something else.
        headers: { 'user-agent': USER_AGENT, 'accept-encoding': 'identity', ...headers },
        body: body ?? null,
        signal,
      });
    } catch (error) {
      throw asOutboundError(error, signal);
    }
  }

  #redirected(from: URL, location: string): URL {
    if (!URL.canParse(location, from)) throw redirectRefused('redirects to what is no URL');
    const to = this.check(new URL(location, from).href);
    if (from.protocol === 'https:' && to.protocol !== 'https:') {
      throw redirectRefused('redirects from https to http');
    }
    return to;
  }

  #response(
    target: URL,
    { statusCode, headers, body }: Dispatcher.ResponseData,
    { limitBytes, signal, method }: OutboundRequest,
  ): OutboundResponse {
    const announcedBytes = Number(first(headers['content-length']) ?? 0);
    if (method !== 'HEAD' && announcedBytes > limitBytes) {
      drop(body);
      throw tooLarge(limitBytes);
    }
    return {
      status: statusCode,
      headers: Object.fromEntries(
        Object.entries(headers).flatMap(([name, value]) => {
          const text = first(value);
          return text === undefined ? [] : [[name, text]];
        }),
      ),
      url: target.href,
      body: limited(body, limitBytes, signal),
    };
  }
}

function limited(source: Readable, limitBytes: number, signal: AbortSignal): Readable {
  source.on('error', () => undefined); // an error that comes when nobody reads any more is nobody's
  const body = Readable.from(chunksWithin(source, limitBytes, signal), { objectMode: false });
  // A generator that was never started runs no `finally`.
  body.once('close', () => source.destroy());
  return body;
}

async function* chunksWithin(
  source: Readable,
  limitBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let bytes = 0;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > limitBytes) throw tooLarge(limitBytes);
      yield chunk;
    }
  } catch (error) {
    throw asOutboundError(error, signal);
  }
}

/** Gives a body up unread, with its connection. */
function drop(body: Readable): void {
  body.on('error', () => undefined);
  body.destroy();
}

function tooLarge(limitBytes: number): OutboundError {
  return new OutboundError('too_large', `The answer is larger than the ${limitBytes} bytes allowed.`);
}

function redirectRefused(what: string): OutboundError {
  return new OutboundError('redirect_refused', `The server ${what}.`);
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function travelling(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => TRAVELLING_HEADERS.has(name)));
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}
