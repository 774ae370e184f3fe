interface Job {
  readonly run: () => void;
}

/** What work on bodies may take of one turn of the event loop before others have theirs. */
const SLICE_MS = 4;

/**
 * Short pieces of synchronous work, of many owners: a turn of the event loop does at most a slice of it, owners take
 * turns, and after a long piece the loop rests from such work for as long as it took.
 */
export class FairWork {
  readonly #queues = new Map<string, Job[]>();
  #used_ms = 0;
  #turnIsPlanned = false;

  /** Does the work at once where this turn has room, else when it is the owner's turn. */
  run<T>(owner: string, work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(work());
        } catch (error) {
          reject(error as Error);
        }
      };
      const queue = this.#queues.get(owner) ?? [];
      queue.push({ run });
      this.#queues.set(owner, queue);
      if (!this.#turnIsPlanned || this.#used_ms < SLICE_MS) this.#turn();
    });
  }

  #turn(): void {
    const start_ms = performance.now();
    const before_ms = this.#used_ms;
    while (this.#queues.size > 0 && this.#used_ms < SLICE_MS) {
      this.#next()?.run();
      this.#used_ms = before_ms + performance.now() - start_ms;
    }
    if (this.#turnIsPlanned) return;
    this.#turnIsPlanned = true;
    const again = () => {
      this.#turnIsPlanned = false;
      this.#used_ms = 0;
      if (this.#queues.size > 0) this.#turn();
    };
    if (this.#used_ms > SLICE_MS) setTimeout(again, this.#used_ms);
    else setImmediate(again);
  }

  /** The first job of the owner who waits longest for a turn; the owner goes to the end. */
  #next(): Job | undefined {
    const [first] = this.#queues;
    if (!first) return undefined;
    const [owner, queue] = first;
    const job = queue.shift();
    this.#queues.delete(owner);
    if (queue.length > 0) this.#queues.set(owner, queue);
    return job;
  }
}
