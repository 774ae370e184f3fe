export interface FairTurnsOptions {
  /** Tasks that run at the same time. */
  readonly slots: number;
  /** Of them, how many may be one caller's. */
  readonly slotsPerCaller: number;
  /** Tasks of one caller that may wait. */
  readonly waitingPerCaller: number;
  readonly now: () => number;
}

interface Waiting {
  readonly start: (turn: Turn) => void;
}

/** A place among those that run; must be given back. */
export interface Turn {
  readonly begun_ms: number;
  readonly caller: string;
  release(): void;
}

interface Caller {
  readonly waiting: Waiting[];
  running: number;
  /** Time its tasks took, on a clock that all callers share: who used least goes first. */
  used_ms: number;
}

/**
 * Turns for tasks off the event loop: the caller whose tasks took the least time so far goes first, and one caller
 * never holds all places. A caller that comes (back) starts where the least served of those present stands, so that
 * nobody saves up time by staying away.
 */
export class FairTurns {
  readonly #callers = new Map<string, Caller>();
  readonly #running = new Set<Turn>();

  constructor(private readonly options: FairTurnsOptions) {}

  get running(): ReadonlySet<Turn> {
    return this.#running;
  }

  /** Undefined when too many of the caller's tasks wait already. */
  take(callerKey: string): Promise<Turn> | undefined {
    const caller = this.#caller(callerKey);
    if (caller.waiting.length >= this.options.waitingPerCaller) return undefined;
    const turn = new Promise<Turn>((start) => caller.waiting.push({ start }));
    this.#next();
    return turn;
  }

  /** Somebody waits who has no task running: a task that has had its share may be ended for it. */
  get isAnyoneStarved(): boolean {
    return [...this.#callers.values()].some(({ waiting, running }) => waiting.length > 0 && running === 0);
  }

  #caller(key: string): Caller {
    let caller = this.#callers.get(key);
    if (caller === undefined) {
      const used = [...this.#callers.values()].map(({ used_ms }) => used_ms);
      caller = { waiting: [], running: 0, used_ms: used.length === 0 ? 0 : Math.min(...used) };
      this.#callers.set(key, caller);
    }
    return caller;
  }

  #next(): void {
    while (this.#running.size < this.options.slots) {
      const next = this.#leastServed();
      if (next === undefined) return;
      const [key, caller] = next;
      caller.running++;
      const turn = this.#turn(key, caller);
      this.#running.add(turn);
      caller.waiting.shift()?.start(turn);
    }
  }

  #leastServed(): [string, Caller] | undefined {
    let best: [string, Caller] | undefined;
    for (const entry of this.#callers) {
      const [, caller] = entry;
      if (caller.waiting.length === 0 || caller.running >= this.options.slotsPerCaller) continue;
      if (best === undefined || caller.used_ms < best[1].used_ms) best = entry;
    }
    return best;
  }

  #turn(key: string, caller: Caller): Turn {
    const begun_ms = this.options.now();
    const turn: Turn = {
      begun_ms,
      caller: key,
      release: () => {
        if (!this.#running.delete(turn)) return;
        caller.running--;
        caller.used_ms += this.options.now() - begun_ms;
        if (caller.running === 0 && caller.waiting.length === 0) this.#callers.delete(key);
        this.#next();
      },
    };
    return turn;
  }
}
