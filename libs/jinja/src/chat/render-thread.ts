import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Chat } from './chat-values.js';
import type { ControlToken, GuardedText } from './control-tokens.js';

export interface RenderJob {
  readonly source: string;
  readonly chat: Chat & {
    /** Control tokens in its messages are meant: they are left as they are. */
    readonly trusted: boolean;
  };
  /** In place of the thread's own. */
  readonly guard?: RenderWorkerData | undefined;
}

export interface RenderWorkerData {
  readonly controlTokens: readonly ControlToken[];
  readonly guardAlways: boolean;
}

/** `ended`: by `end`. `too_slow`, `out_of_memory`: it reached its limit. `internal`: a fault of ours. */
export type RenderFailure =
  | 'does_not_compile'
  | 'fails'
  | 'too_slow'
  | 'out_of_memory'
  | 'ended'
  | 'internal';

export type RenderAnswer = GuardedText | { readonly failure: RenderFailure; readonly message: string };

export interface RenderLimits {
  readonly timeout_ms: number;
  readonly memoryMegabytes: number;
}

/** Beside this module: .js when built, .ts under a test runner that can load it. */
const PROGRAM = new URL(`./render-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);

/**
 * Renders one template at a time in a thread of its own, with a limit on time and memory: a template may come from
 * outside, and its loops are unbounded. A thread that overran is ended; the next job starts a fresh one.
 */
export class RenderThread {
  #worker: Worker | undefined;
  #ready: Promise<void> = Promise.resolve();
  #settle: ((answer: RenderAnswer) => void) | undefined;

  constructor(
    private readonly limits: RenderLimits,
    private readonly data: RenderWorkerData,
  ) {}

  /** Starts the thread, so that the first job need not wait for it. */
  warm(): void {
    if (this.#worker === undefined) this.#start();
  }

  /** One job at a time. Never rejects. The time limit counts from when the thread is up. */
  async render(job: RenderJob): Promise<RenderAnswer> {
    this.warm();
    const answer = new Promise<RenderAnswer>((resolve) => {
      this.#settle = resolve;
    });
    await this.#ready;
    if (this.#settle === undefined) return answer;
    const timer = setTimeout(
      () => this.#fail('too_slow', `it did not end within ${this.limits.timeout_ms} ms`),
      this.limits.timeout_ms,
    );
    this.#worker?.postMessage(job);
    try {
      return await answer;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends the job at hand. */
  end(message: string): void {
    if (this.#settle !== undefined) this.#fail('ended', message);
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#finish({ failure: 'ended', message: 'the server is shutting down' });
    await worker?.terminate();
  }

  #start(): void {
    const worker = new Worker(PROGRAM, {
      workerData: this.data,
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: this.limits.memoryMegabytes },
    });
    worker.unref();
    this.#worker = worker;
    this.#ready = new Promise((resolve) => {
      worker.on('message', (message: 'ready' | RenderAnswer) => {
        if (message === 'ready') resolve();
        else if (worker === this.#worker) this.#finish(message);
      });
      worker.on('error', (error: NodeJS.ErrnoException) => {
        const isMemory = error.code === 'ERR_WORKER_OUT_OF_MEMORY';
        if (worker === this.#worker) {
          this.#fail(
            isMemory ? 'out_of_memory' : 'internal',
            isMemory ? 'it needs too much memory' : error.message,
          );
        }
        resolve();
      });
      worker.on('exit', () => resolve());
    });
  }

  #fail(failure: RenderFailure, message: string): void {
    const worker = this.#worker;
    this.#worker = undefined;
    void worker?.terminate();
    this.#finish({ failure, message });
  }

  #finish(answer: RenderAnswer): void {
    const settle = this.#settle;
    this.#settle = undefined;
    settle?.(answer);
  }
}
