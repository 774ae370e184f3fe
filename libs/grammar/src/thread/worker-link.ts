import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { StructureFault } from '../errors.js';
import type { Answer, GrammarWorkerData, Request } from './protocol.js';

/** Beside this module: .js when built, .ts under a test runner that can load it. */
const PROGRAM = new URL(`./grammar-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
/** Of JavaScript, besides the library's own memory: the tokens' names, and grammars as they are translated. */
const HEAP_MEGABYTES = 512;

export interface WorkerEnd {
  readonly fault: StructureFault;
  readonly message: string;
}

export interface WorkerEvents {
  onReady(): void;
  onAnswer(answer: Answer): void;
  /** It ended by itself. */
  onEnd(end: WorkerEnd): void;
}

/** One thread from its start to its end. */
export class WorkerLink {
  readonly #worker: Worker;
  #unsent: Request[] = [];
  #isReady = false;
  #isOver = false;

  constructor(data: GrammarWorkerData, events: WorkerEvents) {
    this.#worker = new Worker(PROGRAM, {
      workerData: data,
      env: {},
      // The library prints why it aborts.
      stdout: true,
      stderr: true,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MEGABYTES },
    });
    this.#worker.unref();
    this.#worker.on('message', (message: readonly Answer[] | 'ready') => {
      if (message === 'ready') {
        this.#isReady = true;
        if (!this.#isOver) events.onReady();
        return;
      }
      for (const answer of message) if (!this.#isOver) events.onAnswer(answer);
    });
    const over = (end: WorkerEnd) => {
      if (this.#isOver) return;
      this.#isOver = true;
      events.onEnd(end);
    };
    this.#worker.on('error', (error: NodeJS.ErrnoException) =>
      over(
        error.code === 'ERR_WORKER_OUT_OF_MEMORY'
          ? { fault: 'too_large', message: 'its grammar needs too much memory' }
          : { fault: 'internal', message: error.message },
      ),
    );
    this.#worker.on('exit', () => over({ fault: 'internal', message: 'the grammar thread ended' }));
  }

  /** The vocabulary is loaded: commands are timed from here on. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** What a step asks at once goes in one message: each wakes the thread. */
  send(request: Request): void {
    this.#unsent.push(request);
    if (this.#unsent.length === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const requests = this.#unsent;
    this.#unsent = [];
    if (!this.#isOver) this.#worker.postMessage(requests, []);
  }

  async close(): Promise<void> {
    this.#isOver = true;
    await this.#worker.terminate();
  }
}
