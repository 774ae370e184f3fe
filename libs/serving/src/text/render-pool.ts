import type { RenderAnswer, RenderJob, RenderLimits, RenderWorkerData } from '#jinja/chat/render-thread.js';
import { RenderThread } from '#jinja/chat/render-thread.js';
import { AppError } from '#runtime/app-error.js';
import { FairTurns, type Turn } from './fair-turns.js';

export interface RenderPoolOptions {
  readonly limits: RenderLimits;
  readonly data: RenderWorkerData;
  readonly threads: number;
  readonly waitingPerCaller: number;
  /** A render that took this long is ended when somebody else waits who has none running. */
  readonly share_ms: number;
}

/** A caller whose render ran too long has this template refused at once for so long. */
const PENALTY_MS = 10_000;
/** A caller has one render at a time, so that its slow templates hold up nobody else's. */
const THREADS_PER_CALLER = 1;

/** Renders templates off the event loop, with fair shares between callers (tenants). Penalties hit only who caused them. */
export class RenderPool {
  readonly #turns: FairTurns;
  readonly #idle: RenderThread[] = [];
  readonly #all: RenderThread[] = [];
  readonly #threadOf = new Map<Turn, RenderThread>();
  readonly #refusedUntil = new Map<string, number>();
  #guard: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(private readonly options: RenderPoolOptions) {
    const { threads, waitingPerCaller } = options;
    this.#turns = new FairTurns({
      slots: threads,
      slotsPerCaller: THREADS_PER_CALLER,
      waitingPerCaller,
      now: () => performance.now(),
    });
  }

  /** Starts a thread, so that the first render need not wait for it. */
  warm(): void {
    const thread = this.#takeThread();
    thread.warm();
    this.#idle.push(thread);
  }

  async render(caller: string, job: RenderJob): Promise<RenderAnswer> {
    const penalty = `${caller}\0${job.source}`;
    if ((this.#refusedUntil.get(penalty) ?? 0) > performance.now()) {
      return { failure: 'too_slow', message: 'it took too long a moment ago' };
    }
    const waiting = this.#closed ? undefined : this.#turns.take(caller);
    if (waiting === undefined) throw new AppError(this.#closed ? 'engine_unavailable' : 'overloaded');
    this.#guardShares();
    const turn = await waiting;
    try {
      const answer = await this.#run(turn, job);
      if ('failure' in answer && SLOW.has(answer.failure) && !this.#closed) this.#penalise(penalty);
      return answer;
    } finally {
      turn.release();
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#guard);
    await Promise.all(this.#all.map((thread) => thread.close()));
  }

  async #run(turn: Turn, job: RenderJob): Promise<RenderAnswer> {
    if (this.#closed) throw new AppError('engine_unavailable');
    const thread = this.#takeThread();
    this.#threadOf.set(turn, thread);
    try {
      return await thread.render(job);
    } finally {
      this.#threadOf.delete(turn);
      this.#idle.push(thread);
    }
  }

  #takeThread(): RenderThread {
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    const thread = new RenderThread(this.options.limits, this.options.data);
    this.#all.push(thread);
    return thread;
  }

  /** While anything runs: ends what had its share when a caller without a running render waits. */
  #guardShares(): void {
    const { share_ms } = this.options;
    this.#guard ??= setInterval(() => {
      if (this.#turns.running.size === 0) {
        clearInterval(this.#guard);
        this.#guard = undefined;
      } else if (this.#turns.isAnyoneStarved) this.#endLongest(performance.now() - share_ms);
    }, share_ms / 4);
    this.#guard.unref();
  }

  #endLongest(begunBefore_ms: number): void {
    const [longest] = [...this.#threadOf.keys()].sort((a, b) => a.begun_ms - b.begun_ms);
    if (longest === undefined || longest.begun_ms > begunBefore_ms) return;
    this.#threadOf.get(longest)?.end(`it took more than ${this.options.share_ms} ms while others waited`);
  }

  #penalise(key: string): void {
    const now = performance.now();
    for (const [old, until] of this.#refusedUntil) if (until <= now) this.#refusedUntil.delete(old);
    this.#refusedUntil.set(key, now + PENALTY_MS);
  }
}

const SLOW: ReadonlySet<string> = new Set(['too_slow', 'out_of_memory', 'ended']);
