import type { EngineStatus } from '#contracts/engine-protocol.js';
import { AppError } from '#runtime/app-error.js';
import type { InferenceEngine } from '#serving/loop/inference-engine.js';
import type { ParityCheck } from '#serving/parity/parity-check.js';

export interface LoadedEngine {
  readonly engine: InferenceEngine;
  readonly parity: ParityCheck;
}

/** The engine from the process's start to its end: HTTP answers before the model is loaded and while it drains. */
export class EngineHost {
  #state: EngineStatus['state'] = 'loading';
  #drained = false;
  readonly #startedAt = new Date();
  #loaded: LoadedEngine | undefined;

  constructor(private readonly name: string) {}

  /** Takes the engine that `load` makes; a load that fails leaves the state `failed`. */
  async open(load: () => Promise<LoadedEngine>): Promise<void> {
    try {
      const loaded = await load();
      if (this.#state !== 'loading')
        await loaded.engine.close(0); // shutdown came first
      else {
        this.#loaded = loaded;
        this.#state = 'ready';
      }
    } catch (error) {
      this.#state = 'failed';
      throw error;
    }
  }

  get ready(): boolean {
    return this.#state === 'ready' && !this.#drained;
  }

  /** Takes no new requests until `undrain`; those that run go on. */
  drain(): void {
    this.loaded();
    this.#drained = true;
  }

  undrain(): void {
    this.loaded();
    this.#drained = false;
  }

  /** Throws AppError engine_unavailable unless requests can be served. */
  engine(): InferenceEngine {
    const { engine } = this.loaded();
    if (!this.#drained) return engine;
    throw new AppError('engine_unavailable', { message: 'The engine is drained.', retryAfter_s: 5 });
  }

  /** As `engine`, for what a drained engine does as well. */
  loaded(): LoadedEngine {
    if (this.#loaded !== undefined && this.#state === 'ready') return this.#loaded;
    const why = {
      loading: 'The engine is still loading its model.',
      draining: 'The engine is shutting down.',
      failed: 'The engine could not load its model.',
      ready: 'The engine is not ready.',
    }[this.#state];
    throw new AppError('engine_unavailable', { message: why, retryAfter_s: 1 });
  }

  status(): EngineStatus {
    const nothing = {
      device: 'none',
      load: { runningRequests: 0, waitingRequests: 0, queuedTokens: 0 },
      kv: { pages: 0, freePages: 0, pageTokens: 0, bytes: 0 },
      adapters: { bytes: 0, limitBytes: 0, resident: [] },
    };
    return {
      engine: this.name,
      state: this.#state === 'ready' && this.#drained ? 'draining' : this.#state,
      startedAt: this.#startedAt.toISOString(),
      ...(this.#loaded?.engine.status() ?? nothing),
    };
  }

  /** Takes no new requests for good; resolves when those that run have ended, or after the limit. */
  async finish(limit_ms: number): Promise<void> {
    this.#state = 'draining';
    await this.#loaded?.engine.drain(limit_ms);
  }

  async close(drain_ms: number): Promise<void> {
    this.#state = 'draining';
    await this.#loaded?.engine.close(drain_ms);
  }
}
