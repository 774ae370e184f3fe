import type { OnModuleDestroy, OnModuleInit } from '@nestjs/common';
import type { BaseModel } from '#contracts/base-model.js';
import type {
  Detokenized,
  DetokenizeRequest,
  GenerateEvent,
  GenerateRequest,
  Tokenized,
  TokenizeRequest,
} from '#contracts/engine-protocol.js';
import type { Parity, ParityRequest } from '#contracts/parity.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import type { TraceSpan } from '#runtime/tracing/trace-span.js';
import { EngineClient } from './engine-client.js';
import { EngineHandle, type EngineView, POLL_TIMES, type PollTimes } from './engine-handle.js';
import { OutageClock } from './outage-clock.js';
import { rankEngines } from './router.js';

export interface EngineFleetOptions {
  readonly engineUrls: readonly string[];
  readonly engineToken: string;
  readonly logger: Logger;
  readonly pollTimes?: PollTimes;
}

export interface EngineStream {
  /** Name of the engine that serves it. */
  readonly engine: string;
  /** Ends with `finish` or `error`. Must be read, or the signal given to `generate` aborted. */
  readonly events: AsyncIterable<GenerateEvent>;
}

/** All engines that this process may send requests to. They serve one and the same base model. */
export class EngineFleet implements OnModuleInit, OnModuleDestroy {
  /** Those of ENGINE_URLS first. */
  #handles: readonly EngineHandle[];
  readonly #logger: Logger;
  readonly #outage = new OutageClock();
  #baseDigest: string | undefined;

  #polling = false;

  constructor(private readonly options: EngineFleetOptions) {
    this.#logger = options.logger;
    this.#handles = options.engineUrls.map((url) => this.#handleFor(url));
  }

  onModuleInit(): void {
    this.#polling = true;
    for (const handle of this.#handles) handle.startPolling();
  }

  /** The engines that registered themselves, all of them. One that is gone keeps the streams that are open to it. */
  setRegistered(engines: readonly { readonly name: string; readonly url: string }[]): void {
    const fixed = this.#handles.filter(({ registeredName }) => registeredName === undefined);
    const kept = new Set(fixed);
    for (const { name, url } of engines) {
      if (fixed.some(({ client }) => client.url === url)) continue;
      const known = this.#handles.find((each) => each.client.url === url && each.registeredName === name);
      const handle = known ?? this.#handleFor(url, name);
      kept.add(handle);
      if (known)
        void known.pollNow(); // it may have started again
      else if (this.#polling) handle.startPolling();
    }
    for (const handle of this.#handles) if (!kept.has(handle)) handle.retire();
    this.#handles = [...kept];
  }

  #handleFor(url: string, registeredName?: string): EngineHandle {
    const { engineToken: token, pollTimes = POLL_TIMES } = this.options;
    const onChange = (view: EngineView): void => this.#reportChange(view);
    return new EngineHandle(new EngineClient({ url, token }), pollTimes, onChange, registeredName);
  }

  async onModuleDestroy(): Promise<void> {
    await Promise.all(this.#handles.map((handle) => handle.close()));
  }

  statuses(): readonly EngineView[] {
    return this.#handles.map((handle) => handle.view);
  }

  /** Whether some engine can serve now, by the last statuses. */
  ready(): boolean {
    return this.#readyBase() !== undefined;
  }

  /** The base model that the fleet serves: the one of the first ready engine, those of ENGINE_URLS before those that registered. */
  async base(): Promise<BaseModel> {
    const known = this.#readyBase();
    if (known) return known;
    await this.#askAllNow();
    // A drained fleet still knows for which model an upload is validated.
    const base = this.#readyBase() ?? this.#baseOf('draining');
    if (base) return base;
    throw this.#unavailable();
  }

  /** As `base`, once every engine was asked anew: it may have been changed a moment ago. */
  async baseNow(): Promise<BaseModel> {
    await this.#askAllNow();
    return this.base();
  }

  /**
   * Sends the request to the best engine, and to the next one when that cannot take it or is gone before it has said
   * anything of the answer. Throws what the engines found before the stream started; later faults are an `error` event.
   * `signal` cancels in the engine too. With a `span` each engine that is tried has one below it.
   */
  async generate(request: GenerateRequest, signal: AbortSignal, span?: TraceSpan): Promise<EngineStream> {
    const wanted = { request, signal, span, failed: new Set<EngineHandle>() };
    const opened = await this.#open(wanted);
    const engine = opened.handle.view.status?.engine ?? opened.handle.client.url;
    return { engine, events: this.#goingOn(opened, wanted) };
  }

  /** On the best engine that takes it; when none does, on those that are ready after all were asked again. */
  async #open({ request, signal, span, failed }: Wanted): Promise<Opened> {
    const refused = new Set<EngineHandle>();
    let fault = this.#unavailable();
    for (const round of ['as known', 'asked again']) {
      if (round === 'asked again') await this.#askAllNow();
      const wanted = { base: (await this.base()).digest, adapter: request.adapter };
      const candidates = this.#handles
        .filter((handle) => !failed.has(handle) && !refused.has(handle))
        .map((handle) => ({ handle, ...handle.candidate }));
      for (const { handle } of rankEngines(candidates, wanted)) {
        try {
          return { handle, events: await handle.generate(request, signal, span) };
        } catch (error) {
          if (!(error instanceof AppError) || !MAY_SERVE_ELSEWHERE.has(error.code)) throw error;
          this.#logger.warn({ engine: handle.client.url, code: error.code }, error.message);
          fault = error;
          refused.add(handle);
          void handle.refresh();
        }
      }
      if (fault.code === 'overloaded') break; // those that were asked say the truth
    }
    throw fault;
  }

  /** The stream's events; one that breaks off before the first word of the answer begins again elsewhere. */
  async *#goingOn(opened: Opened, wanted: Wanted): AsyncGenerator<GenerateEvent> {
    const { signal, failed } = wanted;
    let { handle, events } = opened;
    let started = false;
    for (;;) {
      let said = false;
      let fault: Extract<GenerateEvent, { type: 'error' }> | undefined;
      for await (const event of events) {
        const isFault =
          event.type === 'error' && (event.shared === true || MAY_SERVE_ELSEWHERE.has(event.code));
        if (isFault && !said && !signal.aborted && failed.size < MOST_RETRIES) {
          fault = event;
          break;
        }
        if (event.type === 'start') {
          if (started) continue;
          started = true;
        } else said = true;
        yield event;
      }
      if (fault === undefined) return;
      failed.add(handle);
      this.#logger.warn({ engine: handle.client.url, code: fault.code }, 'the answer begins again elsewhere');
      try {
        ({ handle, events } = await this.#open(wanted));
      } catch {
        yield fault;
        return;
      }
    }
  }

  /** The tokens of an input, from any engine that serves. */
  tokenize(request: TokenizeRequest, signal: AbortSignal): Promise<Tokenized> {
    return this.#askAny(request.adapter, (client) => client.tokenize(request, signal));
  }

  detokenize(request: DetokenizeRequest, signal: AbortSignal): Promise<Detokenized> {
    return this.#askAny(undefined, (client) => client.detokenize(request, signal));
  }

  /** The best engine, and the next one when that cannot answer. */
  async #askAny<T>(adapter: string | undefined, ask: (client: EngineClient) => Promise<T>): Promise<T> {
    const candidates = this.#handles.map((handle) => ({ handle, ...handle.candidate }));
    let fault = this.#unavailable();
    for (const { handle } of rankEngines(candidates, { base: (await this.base()).digest, adapter })) {
      try {
        return await ask(handle.client);
      } catch (error) {
        if (!(error instanceof AppError) || !MAY_SERVE_ELSEWHERE.has(error.code)) throw error;
        fault = error;
        void handle.refresh();
      }
    }
    throw fault;
  }

  /** On an engine that serves, or on a drained one: it still answers for its own model. Throws engine_unavailable without. */
  async parity(request: ParityRequest, signal: AbortSignal): Promise<Parity> {
    const { digest } = await this.base();
    const candidates = this.#handles.map((handle) => ({ handle, ...handle.candidate }));
    const [best] = rankEngines(candidates, { base: digest, adapter: request.adapter });
    const drained = this.#handles.find(
      ({ view }) => view.state === 'draining' && view.status?.base?.digest === digest,
    );
    const handle = best?.handle ?? drained;
    if (handle === undefined) throw this.#unavailable();
    try {
      return await handle.client.parity(request, signal);
    } catch (error) {
      if (error instanceof AppError && error.code === 'engine_unavailable') void handle.refresh();
      throw error;
    }
  }

  /** By its host and port, or by its name where only one engine has it. */
  find(idOrName: string): EngineView | undefined {
    return this.#handleOf(idOrName)?.view;
  }

  /**
   * Drains an engine: it finishes what it runs and takes nothing new, from any process, until it is undrained or
   * restarts. Throws AppError not_found, or engine_unavailable when it does not answer.
   */
  async setDrained(idOrName: string, drained: boolean): Promise<EngineView> {
    const handle = this.#handleOf(idOrName);
    if (!handle) throw new AppError('not_found', { message: 'There is no such engine.' });
    await handle.client.setDrained(drained);
    await handle.pollNow();
    return handle.view;
  }

  #handleOf(idOrName: string): EngineHandle | undefined {
    const byId = this.#handles.find(({ client }) => new URL(client.url).host === idOrName);
    const named = this.#handles.filter(({ view }) => (view.status?.engine ?? view.name) === idOrName);
    return byId ?? (named.length === 1 ? named[0] : undefined);
  }

  /** Tells every engine to drop the adapter; one that cannot be reached holds nothing that a restart would keep. */
  async dropAdapter(digest: string): Promise<void> {
    await Promise.all(
      this.#handles.map(async ({ client }) => {
        try {
          await client.dropAdapter(digest);
        } catch (err) {
          this.#logger.warn({ engine: client.url, digest, err }, 'could not drop the adapter');
        }
      }),
    );
  }

  #readyBase(): BaseModel | undefined {
    const base = this.#baseOf('ready');
    return base && this.#noteBase(base);
  }

  #baseOf(state: EngineView['state']): BaseModel | undefined {
    return this.#handles.map(({ view }) => view).find((view) => view.state === state && view.status?.base)
      ?.status?.base;
  }

  #noteBase(base: BaseModel): BaseModel {
    if (this.#baseDigest !== undefined && this.#baseDigest !== base.digest)
      this.#logger.warn({ from: this.#baseDigest, to: base.digest }, 'the base model has changed');
    this.#baseDigest = base.digest;
    return base;
  }

  async #askAllNow(): Promise<void> {
    await Promise.all(this.#handles.map((handle) => handle.pollNow()));
  }

  #unavailable(): AppError {
    return new AppError('engine_unavailable', { retryAfter_s: this.#outage.retryAfter_s });
  }

  #reportChange({ url, state, status, error }: EngineView): void {
    this.#outage.note(this.#baseOf('ready') !== undefined);
    this.#logger.info({ engine: url, state, error }, 'engine changed');
    const base = this.#readyBase();
    if (state === 'ready' && base && status?.base && status.base.digest !== base.digest)
      this.#logger.error(
        { engine: url, base: status.base.digest, expected: base.digest },
        'the engine has another base model than the fleet and gets no requests',
      );
  }
}

interface Wanted {
  readonly request: GenerateRequest;
  readonly signal: AbortSignal;
  readonly span: TraceSpan | undefined;
  /** Engines whose streams broke off. */
  readonly failed: Set<EngineHandle>;
}

interface Opened {
  readonly handle: EngineHandle;
  readonly events: AsyncIterable<GenerateEvent>;
}

/** A request that ends engines must not end all of them. */
const MOST_RETRIES = 2;

const MAY_SERVE_ELSEWHERE: ReadonlySet<string> = new Set(['engine_unavailable', 'overloaded']);
