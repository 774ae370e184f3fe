import type { EngineStatus, GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { TraceSpan } from '#runtime/tracing/trace-span.js';
import type { EngineClient } from './engine-client.js';
import type { Candidate } from './router.js';

export interface PollTimes {
  /** Between two polls. A lost engine is asked as often: a fleet whose other engines leave must know that it is back. */
  readonly poll_ms: number;
  /** After a failed poll, until the engine counts as lost. */
  readonly retry_ms: number;
}

export const POLL_TIMES: PollTimes = { poll_ms: 1_000, retry_ms: 250 };

/** So many polls in a row must fail before an engine counts as lost: one slow answer is no outage. */
const LOST_AFTER_FAILURES = 3;

export interface EngineView {
  readonly url: string;
  readonly source: 'setting' | 'registration';
  /** As it registered itself; before it has answered, nobody else knows its name. */
  readonly name: string | undefined;
  readonly state: EngineStatus['state'] | 'unreachable';
  /** The last one that the engine gave. */
  readonly status: EngineStatus | undefined;
  /** Why the last poll failed. */
  readonly error: string | undefined;
  readonly openStreams: number;
}

interface OpenStream {
  readonly adapter: string | undefined;
  readonly controller: AbortController;
}

/** One engine of the fleet: its last known status, the streams open to it, and the polling that keeps both true. */
export class EngineHandle {
  readonly #streams = new Set<OpenStream>();
  #status: EngineStatus | undefined;
  #error: string | undefined;
  #failures = 0;
  #sentTokens = 0;
  #polledAt_ms = Number.NEGATIVE_INFINITY;
  #refreshing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #polling = false;
  #retired = false;

  constructor(
    readonly client: EngineClient,
    private readonly times: PollTimes,
    private readonly onChange: (view: EngineView) => void,
    /** Absent: it stands in ENGINE_URLS. */
    readonly registeredName?: string,
  ) {}

  get view(): EngineView {
    const reached = this.#status !== undefined && this.#failures < LOST_AFTER_FAILURES;
    return {
      url: this.client.url,
      source: this.registeredName === undefined ? 'setting' : 'registration',
      name: this.registeredName,
      state: reached ? (this.#status?.state ?? 'unreachable') : 'unreachable',
      status: this.#status,
      error: this.#error,
      openStreams: this.#streams.size,
    };
  }

  /** What the router needs to know, with the requests that the last status could not count yet. */
  get candidate(): Candidate {
    const adapters = new Set(this.#status?.adapters.resident.map(({ digest }) => digest));
    for (const { adapter } of this.#streams) if (adapter !== undefined) adapters.add(adapter);
    const { pace, load, base, adapters: held } = this.#status ?? {};
    return {
      ready: this.view.state === 'ready',
      base: base?.digest,
      adapters,
      hostAdapters: new Set(held?.host),
      queuedTokens: (pace?.backlogTokens ?? load?.queuedTokens ?? 0) + this.#sentTokens,
      tokensPerSecond: pace?.tokensPerSecond,
      loadSeconds: pace?.loadSeconds,
    };
  }

  startPolling(): void {
    this.#polling = true;
    void this.#pollOnce();
  }

  /**
   * Asks for the status now; callers at the same time share one question, and one that was asked just before
   * is not asked again, so that a wave of requests to a dead engine makes no wave of polls. Never throws.
   */
  async refresh(): Promise<void> {
    if (performance.now() - this.#polledAt_ms < this.times.retry_ms) return;
    await this.#pollOnce();
  }

  /** A status that was asked for after this call began. Never throws. */
  async pollNow(): Promise<void> {
    await this.#refreshing;
    await this.#pollOnce();
  }

  #pollOnce(): Promise<void> {
    this.#refreshing ??= this.#poll().finally(() => {
      this.#refreshing = undefined;
    });
    return this.#refreshing;
  }

  async generate(
    request: GenerateRequest,
    signal: AbortSignal,
    span?: TraceSpan,
  ): Promise<AsyncIterable<GenerateEvent>> {
    const controller = new AbortController();
    const stream = { adapter: request.adapter, controller };
    const close = () => {
      signal.removeEventListener('abort', forward);
      this.#streams.delete(stream);
      this.#closeRetired();
    };
    const forward = () => {
      controller.abort(signal.reason);
      close();
    };
    this.#streams.add(stream);
    signal.addEventListener('abort', forward, { once: true });
    if (signal.aborted) forward();
    this.#sentTokens += estimateTokens(request);
    try {
      return closing(await this.client.generate(request, controller.signal, span), close);
    } catch (error) {
      close();
      throw error;
    }
  }

  /** It is no engine of the fleet any more: gets nothing new, and is closed when its streams have ended. */
  retire(): void {
    this.#retired = true;
    this.#polling = false;
    clearTimeout(this.#timer);
    this.#closeRetired();
  }

  #closeRetired(): void {
    if (this.#retired && this.#streams.size === 0) void this.close();
  }

  async close(): Promise<void> {
    this.#polling = false;
    clearTimeout(this.#timer);
    this.#abortStreams('The server is shutting down.');
    await this.client.close();
    await this.#refreshing;
  }

  async #poll(): Promise<void> {
    clearTimeout(this.#timer);
    const before = this.view.state;
    try {
      this.#status = await this.client.status();
      this.#sentTokens = 0;
      this.#failures = 0;
      this.#error = undefined;
    } catch (error) {
      this.#failures += 1;
      this.#error = causeOf(error);
      if (this.#failures === LOST_AFTER_FAILURES) this.#abortStreams('The engine no longer answers.');
    }
    this.#polledAt_ms = performance.now();
    if (this.view.state !== before) this.onChange(this.view);
    if (this.#polling) this.#timer = setTimeout(() => void this.#pollOnce(), this.#nextPoll_ms()).unref();
  }

  #nextPoll_ms(): number {
    const atRisk = this.#failures > 0 && this.#failures < LOST_AFTER_FAILURES;
    return atRisk ? this.times.retry_ms : this.times.poll_ms;
  }

  #abortStreams(message: string): void {
    const reason = new AppError('engine_unavailable', { message, retryAfter_s: 1 });
    for (const { controller } of this.#streams) controller.abort(reason);
  }
}

/** The error and what caused it, from the outside in. */
function causeOf(error: unknown): string {
  const parts: string[] = [];
  for (let each: unknown = error; each instanceof Error && parts.length < 4; each = each.cause) {
    const code = (each as { code?: unknown }).code;
    const message = each.message || (typeof code === 'string' ? code : each.name);
    if (!parts.includes(message)) parts.push(message);
  }
  return parts.length > 0 ? parts.join(': ').slice(0, 500) : String(error);
}

/** Runs `close` when the stream ends or its reader leaves. */
async function* closing(
  events: AsyncIterable<GenerateEvent>,
  close: () => void,
): AsyncGenerator<GenerateEvent> {
  try {
    yield* events;
  } finally {
    close();
  }
}

/** Roughly the tokens that a request adds to an engine's queue; the next status replaces the estimate. */
function estimateTokens({ input, maxTokens, n = 1 }: GenerateRequest): number {
  return promptEstimate(input) + n * Math.min(maxTokens ?? USUAL_COMPLETION_TOKENS, USUAL_COMPLETION_TOKENS);
}

function promptEstimate(input: GenerateRequest['input']): number {
  if (input.kind === 'tokens') return input.tokens.length;
  const characters = input.kind === 'text' ? input.text.length : input.conversation.length;
  return Math.ceil(characters / CHARACTERS_PER_TOKEN);
}

const CHARACTERS_PER_TOKEN = 4;
const USUAL_COMPLETION_TOKENS = 64;
