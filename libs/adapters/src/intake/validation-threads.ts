import type { StorageSettings } from '#stores/blobs/open-blob-store.js';
import type { Validation } from './validate-adapter.js';
import { type ValidationJob, type ValidationLimits, ValidationThread } from './validation-thread.js';

/** As many threads as there are validations at once; they stay, as a start takes most of a second. */
export class ValidationThreads {
  readonly #all: ValidationThread[] = [];
  readonly #idle: ValidationThread[] = [];

  constructor(
    private readonly storage: StorageSettings,
    private readonly limits: ValidationLimits,
  ) {}

  async run(job: ValidationJob, signal: AbortSignal): Promise<Validation> {
    const thread = this.#idle.pop() ?? this.#another();
    try {
      return await thread.run(job, signal);
    } finally {
      this.#idle.push(thread);
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#all.map((thread) => thread.close()));
  }

  #another(): ValidationThread {
    const thread = new ValidationThread(this.storage, this.limits);
    this.#all.push(thread);
    return thread;
  }
}
