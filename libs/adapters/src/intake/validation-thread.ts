import { extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { AdapterErrorCode } from '#contracts/adapter-report.js';
import { AppError } from '#runtime/app-error.js';
import type { StorageSettings } from '#stores/blobs/open-blob-store.js';
import { buildReport } from '../peft/report.js';
import type { Validation, ValidationInput } from './validate-adapter.js';

/** What a thread reads; it opens the blobs itself. */
export type ValidationJob = Omit<ValidationInput, 'blobs' | 'signal'>;

export type ValidationAnswer =
  | { readonly validation: Validation }
  /** `away`: storage is, so that the same job may succeed later. */
  | { readonly fault: { readonly message: string; readonly away: boolean } };

export interface ValidationLimits {
  readonly timeout_s: number;
  /** Of JavaScript's heap; weights are streamed and not held in it. */
  readonly memoryBytes: number;
}

/** Beside this module: .js when built, .ts under a test runner that can load it. */
const PROGRAM = new URL(`./validation-worker${extname(fileURLToPath(import.meta.url))}`, import.meta.url);
const MIB = 2 ** 20;

/**
 * Validates one version at a time in a thread of its own, as what it reads comes from outside: whatever a file makes of
 * time and memory, the process that asks goes on, and the version is rejected with a report that says so.
 */
export class ValidationThread {
  #worker: Worker | undefined;

  constructor(
    private readonly storage: StorageSettings,
    private readonly limits: ValidationLimits,
  ) {}

  /** Rejects when `signal` aborts, when storage is away (AppError dependency_unavailable), and for faults of ours. */
  async run(job: ValidationJob, signal: AbortSignal): Promise<Validation> {
    signal.throwIfAborted();
    const worker = (this.#worker ??= this.#start());
    const { timeout_s } = this.limits;
    let end: () => void = () => undefined;
    let hasAnswered = false;
    try {
      return await new Promise<Validation>((resolve, reject) => {
        const late = setTimeout(
          () => resolve(refused('validation_too_long', `took longer than ${timeout_s} seconds`)),
          timeout_s * 1_000,
        );
        const leave = (): void => reject(signal.reason as Error);
        signal.addEventListener('abort', leave, { once: true });
        worker.once('message', (answer: ValidationAnswer) => {
          hasAnswered = true;
          settle(answer, resolve, reject);
        });
        worker.once('error', (error: NodeJS.ErrnoException) => {
          if (error.code !== 'ERR_WORKER_OUT_OF_MEMORY') return reject(error);
          const megabytes = Math.round(this.limits.memoryBytes / MIB);
          resolve(refused('validation_too_large', `took more than ${megabytes} MiB of memory`));
        });
        worker.once('exit', (code) => reject(new Error(`the thread that validates ended with ${code}`)));
        end = () => {
          clearTimeout(late);
          signal.removeEventListener('abort', leave);
        };
        worker.postMessage(job, []);
      });
    } finally {
      end();
      await this.#rest(worker, hasAnswered);
    }
  }

  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): Worker {
    const worker = new Worker(PROGRAM, {
      workerData: this.storage,
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(this.limits.memoryBytes / MIB) },
    });
    worker.unref();
    return worker;
  }

  /** Only a thread that has answered may take another job. */
  async #rest(worker: Worker, hasAnswered: boolean): Promise<void> {
    for (const event of ['message', 'error', 'exit']) worker.removeAllListeners(event);
    worker.on('error', () => this.#forget(worker));
    worker.on('exit', () => this.#forget(worker));
    if (hasAnswered) return;
    this.#forget(worker);
    await worker.terminate();
  }

  #forget(worker: Worker): void {
    if (this.#worker === worker) this.#worker = undefined;
  }
}

function settle(
  answer: ValidationAnswer,
  resolve: (validation: Validation) => void,
  reject: (error: Error) => void,
): void {
  if ('validation' in answer) return resolve(answer.validation);
  const { message, away } = answer.fault;
  const cause = new Error(message);
  reject(away ? new AppError('dependency_unavailable', { retryAfter_s: 2, cause }) : cause);
}

function refused(code: AdapterErrorCode, how: string): Validation {
  const errors = [{ code, message: `Reading the adapter ${how}.` }];
  const report = buildReport({ errors, warnings: [], fields: [], tensors: [], modules: [] });
  return { verdict: 'rejected', report, made: new Map() };
}
