import { createRequire } from 'node:module';
import { Worker } from 'node:worker_threads';
import { AppError } from '#runtime/app-error.js';
import { TEMPLATE_WORKER_SOURCE } from './template-worker-source.js';

export interface TemplateRendererOptions {
  readonly timeout_ms: number;
  readonly memoryMegabytes: number;
  /** Renders that may wait for the worker. */
  readonly queueLimit: number;
}

interface Job {
  readonly id: number;
  readonly source: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly resolve: (text: string) => void;
  readonly reject: (error: unknown) => void;
}

type Answer =
  | { readonly ready: true }
  | { readonly id: number; readonly text: string }
  | { readonly id: number; readonly error: string };

const JINJA_PATH = createRequire(import.meta.url).resolve('@huggingface/jinja');
/** A template that ran out of time is refused at once for so long, so that it cannot hold up the others' renders. */
const PENALTY_MS = 10_000;

/**
 * Renders Jinja templates in a worker thread with a limit on time and memory: a template may come from an adapter, and
 * its loops are unbounded. One job at a time; a worker that overruns is ended and the next job starts a fresh one.
 */
export class TemplateRenderer {
  #worker: Worker | undefined;
  #ready = false;
  #current: { job: Job; timer: NodeJS.Timeout | undefined } | undefined;
  readonly #queue: Job[] = [];
  readonly #refusedUntil = new Map<string, number>();
  #nextId = 0;
  #closed = false;

  constructor(private readonly options: TemplateRendererOptions) {}

  /** Starts the worker, so that the first render need not wait for it. */
  warm(): void {
    this.#worker ??= this.#start();
  }

  async render(source: string, values: Readonly<Record<string, unknown>>): Promise<string> {
    if (this.#closed) throw new AppError('engine_unavailable');
    if ((this.#refusedUntil.get(source) ?? 0) > Date.now()) throw this.#tooSlow();
    if (this.#queue.length >= this.options.queueLimit) throw new AppError('overloaded');
    return new Promise<string>((resolve, reject) => {
      this.#queue.push({ id: this.#nextId++, source, values, resolve, reject });
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const error = new AppError('engine_unavailable');
    for (const job of this.#queue.splice(0)) job.reject(error);
    this.#settle()?.reject(error);
    await this.#endWorker();
  }

  #next(): void {
    if (this.#current !== undefined || this.#closed) return;
    const job = this.#queue.shift();
    if (job === undefined) return;
    this.#current = { job, timer: undefined };
    this.#worker ??= this.#start();
    if (this.#ready) this.#send();
  }

  #start(): Worker {
    const worker = new Worker(TEMPLATE_WORKER_SOURCE, {
      eval: true,
      workerData: { jinjaPath: JINJA_PATH },
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: this.options.memoryMegabytes },
    });
    worker.unref();
    worker.on('message', (answer: Answer) => {
      if (worker === this.#worker) this.#onAnswer(answer);
    });
    worker.on('error', (error) => {
      if (worker === this.#worker) this.#onDeath(error);
    });
    return worker;
  }

  #send(): void {
    const current = this.#current;
    if (current === undefined) return;
    const { id, source, values } = current.job;
    current.timer = setTimeout(() => this.#onTimeout(), this.options.timeout_ms);
    try {
      this.#worker?.postMessage({ id, source, values });
    } catch (error) {
      this.#settle()?.reject(refused(String(error)));
      this.#next();
    }
  }

  #onAnswer(answer: Answer): void {
    if ('ready' in answer) {
      this.#ready = true;
      this.#send();
      return;
    }
    const job = this.#settle();
    if ('text' in answer) job?.resolve(answer.text);
    else job?.reject(refused(answer.error));
    this.#next();
  }

  #onTimeout(): void {
    const job = this.#settle();
    if (job !== undefined) this.#penalise(job.source);
    void this.#endWorker();
    job?.reject(this.#tooSlow());
    for (const same of this.#queue.filter((other) => other.source === job?.source)) {
      this.#queue.splice(this.#queue.indexOf(same), 1);
      same.reject(this.#tooSlow());
    }
    this.#next();
  }

  /** The worker ran out of memory or could not start. */
  #onDeath(error: Error): void {
    const job = this.#settle();
    if (job !== undefined) this.#penalise(job.source);
    void this.#endWorker();
    const outOfMemory = (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';
    job?.reject(
      outOfMemory ? refused('it needs too much memory') : new AppError('internal_error', { cause: error }),
    );
    this.#next();
  }

  #penalise(source: string): void {
    const now = Date.now();
    for (const [key, until] of this.#refusedUntil) if (until <= now) this.#refusedUntil.delete(key);
    this.#refusedUntil.set(source, now + PENALTY_MS);
  }

  #settle(): Job | undefined {
    const current = this.#current;
    clearTimeout(current?.timer);
    this.#current = undefined;
    return current?.job;
  }

  async #endWorker(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#ready = false;
    await worker?.terminate();
  }

  #tooSlow(): AppError {
    return refused(`it did not end within ${this.options.timeout_ms} ms`);
  }
}

function refused(reason: string): AppError {
  return new AppError('invalid_request', {
    message: `The chat template could not be rendered with these messages: ${reason}`,
    param: 'messages',
  });
}
