interface Job {
  readonly run: () => void;
  /** What waits for it does more, at once, than can be known here: a handler with a whole body. */
  readonly goesOn: boolean;
}

/** What work on bodies may take of one turn of the event loop before others have theirs. */
const SLICE_MS = 4;

/**
 * Short pieces of synchronous work, of many owners: a turn of the event loop does at most a slice of it, owners take
 * turns, and after a long piece the loop rests from such work for as long as it took.
 */
export class FairWork {
  readonly #queues = new Map<string, Job[]>();
  /** Of this turn, without what still goes on. */
  #spent_ms = 0;
  /** When the turn's last piece began, if more follows from it. */
  #goesOnSince_ms: number | undefined;
  #turnIsPlanned = false;

  /** Does the work at once where this turn has room, else when it is the owner's turn. */
  run<T>(owner: string, work: () => T): Promise<T> {
    return this.#add(owner, work, false);
  }

  /** As `run`, as the last of a turn: what the caller does with the result, in the same turn, counts too. */
  finish<T>(owner: string, work: () => T): Promise<T> {
    return this.#add(owner, work, true);
  }

  #add<T>(owner: string, work: () => T, goesOn: boolean): Promise<T> {
    return new Promise((resolve, reject) => {
      const run = () => {
        try {
          resolve(work());
        } catch (error) {
          reject(error as Error);
        }
      };
      const queue = this.#queues.get(owner) ?? [];
      queue.push({ run, goesOn });
      this.#queues.set(owner, queue);
      this.#turn();
    });
  }

  #turn(): void {
    while (this.#queues.size > 0 && this.#spent_ms < SLICE_MS && this.#goesOnSince_ms === undefined) {
      const start_ms = performance.now();
      const job = this.#next();
      job?.run();
      if (job?.goesOn) this.#goesOnSince_ms = start_ms;
      else this.#spent_ms += performance.now() - start_ms;
    }
    if (this.#turnIsPlanned) return;
    this.#turnIsPlanned = true;
    setImmediate(() => {
      const goesOn_ms = this.#goesOnSince_ms === undefined ? 0 : performance.now() - this.#goesOnSince_ms;
      const spent_ms = this.#spent_ms + goesOn_ms;
      if (spent_ms > SLICE_MS) setTimeout(() => this.#nextTurn(), spent_ms);
      else this.#nextTurn();
    });
  }

  #nextTurn(): void {
    this.#turnIsPlanned = false;
    this.#spent_ms = 0;
    this.#goesOnSince_ms = undefined;
    if (this.#queues.size > 0) this.#turn();
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
