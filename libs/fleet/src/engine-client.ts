import { type z, ZodError } from 'zod';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import {
  type Detokenized,
  DetokenizedSchema,
  type DetokenizeRequest,
  EngineStatusSchema,
  GenerateEventSchema,
  type EngineStatus,
  type GenerateEvent,
  type GenerateRequest,
  type Tokenized,
  TokenizedSchema,
  type TokenizeRequest,
} from '#contracts/engine-protocol.js';
import { ErrorEnvelopeSchema, type ErrorCode } from '#contracts/errors.js';
import { type Parity, type ParityRequest, ParitySchema } from '#contracts/parity.js';
import { AppError } from '#runtime/app-error.js';
import type { Attributes, TraceSpan } from '#runtime/tracing/trace-span.js';
import { readLines } from './ndjson.js';
import { SharedFault } from './shared-fault.js';

export interface EngineClientOptions {
  readonly url: string;
  readonly token: string;
  readonly connectTimeout_ms?: number;
  readonly statusTimeout_ms?: number;
}

/** Codes that say something about the request itself. Others (a wrong ENGINE_TOKEN) are our own fault. */
const FORWARDED_CODES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'invalid_request',
  'context_length_exceeded',
  'model_not_found',
  'version_not_ready',
  'adapter_rejected',
  'payload_too_large',
  'overloaded',
  'engine_unavailable',
]);

/** Speaks the engine's internal HTTP to one engine. Knows nothing of other engines and keeps no status. */
export class EngineClient {
  readonly url: string;
  readonly #pool: Pool;
  readonly #headers: Record<string, string>;
  readonly #statusTimeout_ms: number;
  readonly #addressAttributes: Attributes;

  constructor(options: EngineClientOptions) {
    this.url = options.url;
    this.#statusTimeout_ms = options.statusTimeout_ms ?? 5_000;
    const { hostname, port } = new URL(options.url);
    this.#addressAttributes = { 'server.address': hostname, 'server.port': Number(port) || undefined };
    this.#headers = { authorization: `Bearer ${options.token}` };
    // A queued request may be silent for long: whether the engine still lives is told by its status, not by
    // the time between two events.
    this.#pool = new Pool(options.url, {
      connect: { timeout: options.connectTimeout_ms ?? 2_000 },
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  async status(): Promise<EngineStatus> {
    const signal = AbortSignal.timeout(this.#statusTimeout_ms);
    const { body } = await this.#call({ method: 'GET', path: '/status', signal });
    try {
      return EngineStatusSchema.parse(await body.json());
    } catch (cause) {
      throw unavailable('The engine gave no valid status.', cause);
    }
  }

  /** Drops an adapter once its last request ends; an engine that does not hold it agrees at once. */
  async dropAdapter(digest: string): Promise<void> {
    const signal = AbortSignal.timeout(this.#statusTimeout_ms);
    const { body } = await this.#call({
      method: 'DELETE',
      path: `/adapters/${encodeURIComponent(digest)}`,
      signal,
    });
    await body.dump();
  }

  /** Tells the engine to take no new requests, or to take them again. */
  async setDrained(drained: boolean): Promise<void> {
    const signal = AbortSignal.timeout(this.#statusTimeout_ms);
    const path = drained ? '/drain' : '/undrain';
    const { body } = await this.#call({ method: 'POST', path, signal });
    await body.dump();
  }

  async tokenize(request: TokenizeRequest, signal: AbortSignal): Promise<Tokenized> {
    return this.#answer(TokenizedSchema, { path: '/tokenize', request, signal });
  }

  async detokenize(request: DetokenizeRequest, signal: AbortSignal): Promise<Detokenized> {
    return this.#answer(DetokenizedSchema, { path: '/detokenize', request, signal });
  }

  /** Compares an adapter as served with its dense merge; takes as long as it takes. */
  async parity(request: ParityRequest, signal: AbortSignal): Promise<Parity> {
    return this.#answer(ParitySchema, { path: '/parity', request, signal });
  }

  /**
   * Resolves once the engine has taken the request; faults that it finds before are thrown with their code.
   * A fault after that is an `error` event, always the last one; it ends all answers. An aborted `signal` closes the connection,
   * which cancels the request in the engine, and throws its reason (or client_closed_request).
   */
  async generate(
    request: GenerateRequest,
    signal: AbortSignal,
    parent?: TraceSpan,
  ): Promise<AsyncIterable<GenerateEvent>> {
    const span = parent?.begin('generate', { kind: 'client', attributes: this.#addressAttributes });
    const body = JSON.stringify(request);
    try {
      const options = { method: 'POST', path: '/generate', signal, body } as const;
      const answer = await this.#call(options, span?.headers);
      const events = readEvents(answer.body, signal, request.n ?? 1);
      return span ? tracedEvents(events, span) : events;
    } catch (error) {
      span?.fail(error instanceof AppError ? error.code : 'internal_error');
      span?.end();
      throw error;
    }
  }

  /** A question whose answer is one object. */
  async #answer<T>(schema: z.ZodType<T>, { path, request, signal }: Asked): Promise<T> {
    const { body } = await this.#call({ method: 'POST', path, signal, body: JSON.stringify(request) });
    try {
      return schema.parse(await body.json());
    } catch (error) {
      throw error instanceof SyntaxError || error instanceof ZodError
        ? new AppError('internal_error', {
            message: `The engine gave no valid answer to ${path}.`,
            cause: error,
          })
        : asFault(error, signal);
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }

  async #call(
    options: Dispatcher.RequestOptions & { signal: AbortSignal },
    further: Readonly<Record<string, string>> = {},
  ): Promise<Dispatcher.ResponseData> {
    const headers = options.body
      ? { ...this.#headers, 'content-type': 'application/json', ...further }
      : this.#headers;
    let response: Dispatcher.ResponseData;
    try {
      response = await this.#pool.request({ ...options, headers });
    } catch (error) {
      throw asFault(error, options.signal);
    }
    if (response.statusCode < 300) return response;
    throw await faultOf(response);
  }
}

/** Ends the span with the last of the events. */
async function* tracedEvents(
  events: AsyncIterable<GenerateEvent>,
  span: TraceSpan,
): AsyncGenerator<GenerateEvent> {
  let fault: string | undefined = 'client_closed_request';
  try {
    for await (const event of events) {
      if (event.type === 'error') fault = event.code;
      else if (event.type === 'finish') fault = undefined;
      yield event;
    }
  } finally {
    if (fault !== undefined) span.fail(fault);
    span.end();
  }
}

interface Asked {
  readonly path: string;
  readonly request: object;
  readonly signal: AbortSignal;
}

async function* readEvents(
  body: Dispatcher.ResponseData['body'],
  signal: AbortSignal,
  choices: number,
): AsyncGenerator<GenerateEvent> {
  let open = choices;
  try {
    for await (const line of readLines(body)) {
      const event = parseEvent(line);
      yield event;
      if (event.type === 'finish') open -= 1;
      if (open === 0 || event.type === 'error') return;
    }
    yield errorEvent(unavailable('The engine ended the stream before the generation was finished.'));
  } catch (error) {
    const fault = asFault(error, signal);
    if (fault.code === 'client_closed_request') throw fault;
    yield errorEvent(fault);
  } finally {
    // Closes the connection unless the engine has already ended the response.
    body.on('error', ignore).destroy();
  }
}

function parseEvent(line: string): GenerateEvent {
  const event = GenerateEventSchema.safeParse(parseJson(line));
  if (event.success) return event.data;
  throw new AppError('internal_error', { message: 'The engine sent what is no event.', cause: event.error });
}

/** A fault of the connection, so of no one request. */
function errorEvent(fault: AppError): GenerateEvent {
  return { type: 'error', code: fault.code, message: fault.message, shared: true };
}

function unavailable(message: string, cause?: unknown): AppError {
  return new AppError('engine_unavailable', { message, cause, retryAfter_s: 1 });
}

/** What went wrong with the connection, as one of our codes. */
function asFault(error: unknown, signal: AbortSignal): AppError {
  if (error instanceof AppError) return error;
  if (signal.aborted) {
    const { reason } = signal as { reason: unknown };
    if (reason instanceof AppError) return reason;
    if (reason instanceof DOMException && reason.name === 'TimeoutError')
      return unavailable('The engine did not answer in time.', error);
    return new AppError('client_closed_request', { cause: reason });
  }
  return unavailable('The connection to the engine failed.', error);
}

/** The fault that the engine's answer names. */
async function faultOf(response: Dispatcher.ResponseData): Promise<AppError> {
  const body = await response.body.text().catch(() => '');
  const envelope = ErrorEnvelopeSchema.safeParse(parseJson(body));
  if (!envelope.success || !FORWARDED_CODES.has(envelope.data.error.code)) {
    const cause = new Error(`the engine answered ${response.statusCode} without one of our codes`);
    const own = envelope.success && envelope.data.error.code === 'internal_error';
    return own ? new AppError('internal_error', { cause }) : new SharedFault('internal_error', { cause });
  }
  const { code, message, param } = envelope.data.error;
  const retryAfter_s = Number(response.headers['retry-after']);
  return new AppError(code, {
    message,
    ...(param === null ? {} : { param }),
    ...(retryAfter_s > 0 ? { retryAfter_s } : {}),
  });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function ignore(): void {}
