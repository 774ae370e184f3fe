import type { Ask, Decision, Refusal, Remaining, Settlement, Subject } from './limit-store.js';
import { type Bucket, fitting, levelAt, wait_ms } from './token-bucket.js';

interface State {
  requests: Bucket | undefined;
  tokens: Bucket | undefined;
  readonly running: Set<string>;
}

/** Subjects that are looked at for being forgotten before each new one. */
const SWEPT_AT_ONCE = 8;
/** A bucket that was left alone for so long is full again, whatever its limit, unless it was deep in debt. */
const FORGET_AFTER_MS = 10 * 60_000;

/** The limits as one process alone sees them. */
export class LocalLimiter {
  readonly #states = new Map<string, State>();

  constructor(private readonly now_ms: () => number = () => performance.now()) {}

  get size(): number {
    return this.#states.size;
  }

  /** Takes from every subject, or from none. */
  admit(ask: Ask): Decision {
    const refusal = this.#refusal(ask);
    if (!refusal) this.take(ask);
    return { refusal, remaining: ask.subjects.map((subject) => this.#remaining(subject)) };
  }

  /** Takes without asking, for a request that was admitted elsewhere. */
  take({ subjects, tokens, lease }: Ask): void {
    for (const subject of subjects) {
      this.#spend(subject, 1, fitting(tokens, subject.limits.tokens_per_minute ?? tokens));
      this.#state(subject.id).running.add(lease);
    }
  }

  /** Gives back what was reserved and takes what was used. */
  settle({ subjects, tokens, usedTokens, lease }: Settlement): void {
    for (const subject of subjects) {
      const { tokens_per_minute } = subject.limits;
      this.#spend(subject, 0, usedTokens - fitting(tokens, tokens_per_minute ?? tokens));
      this.#state(subject.id).running.delete(lease);
    }
  }

  /** What is missing until the subject's buckets are full. */
  spent(subject: Subject): { readonly requests: number; readonly tokens: number } {
    const { requests_per_minute = 0, tokens_per_minute = 0 } = subject.limits;
    const { requests, tokens } = this.#remaining(subject);
    return {
      requests: requests_per_minute - (requests ?? requests_per_minute),
      tokens: tokens_per_minute - (tokens ?? tokens_per_minute),
    };
  }

  #refusal({ subjects, tokens }: Ask): Refusal | undefined {
    for (const [index, subject] of subjects.entries()) {
      const { requests_per_minute, tokens_per_minute, concurrent_requests } = subject.limits;
      const { requests: left, tokens: leftTokens } = this.#remaining(subject);
      const refuse = (kind: Refusal['kind'], wait?: number) => ({ subject: index, kind, wait_ms: wait });
      if (requests_per_minute !== undefined && left !== undefined && left < 1)
        return refuse('requests', wait_ms(left, 1, requests_per_minute));
      if (tokens_per_minute !== undefined && leftTokens !== undefined) {
        const wanted = fitting(tokens, tokens_per_minute);
        if (leftTokens < wanted) return refuse('tokens', wait_ms(leftTokens, wanted, tokens_per_minute));
      }
      const running = this.#states.get(subject.id)?.running.size ?? 0;
      if (concurrent_requests !== undefined && running >= concurrent_requests) return refuse('concurrency');
    }
    return undefined;
  }

  #remaining({ id, limits }: Subject): Remaining {
    const state = this.#states.get(id);
    const left = (bucket: Bucket | undefined, perMinute: number | undefined) =>
      perMinute === undefined ? undefined : levelAt(bucket, perMinute, this.now_ms());
    return {
      requests: left(state?.requests, limits.requests_per_minute),
      tokens: left(state?.tokens, limits.tokens_per_minute),
    };
  }

  #spend(subject: Subject, requests: number, tokens: number): void {
    const { requests_per_minute, tokens_per_minute } = subject.limits;
    const state = this.#state(subject.id);
    state.requests = this.#spent(state.requests, requests_per_minute, requests);
    state.tokens = this.#spent(state.tokens, tokens_per_minute, tokens);
  }

  #spent(bucket: Bucket | undefined, perMinute: number | undefined, amount: number): Bucket | undefined {
    if (perMinute === undefined) return undefined;
    const at_ms = this.now_ms();
    return { level: Math.min(perMinute, levelAt(bucket, perMinute, at_ms) - amount), at_ms };
  }

  #state(id: string): State {
    const known = this.#states.get(id);
    if (known) {
      this.#states.delete(id); // to the young end of the map's order
      this.#states.set(id, known);
      return known;
    }
    this.#sweep();
    const state = { requests: undefined, tokens: undefined, running: new Set<string>() };
    this.#states.set(id, state);
    return state;
  }

  #sweep(): void {
    const before_ms = this.now_ms() - FORGET_AFTER_MS;
    let looked = 0;
    for (const [id, { requests, tokens, running }] of this.#states) {
      const idle = (bucket: Bucket | undefined) => !bucket || (bucket.at_ms < before_ms && bucket.level >= 0);
      if (running.size === 0 && idle(requests) && idle(tokens)) this.#states.delete(id);
      if ((looked += 1) >= SWEPT_AT_ONCE) return;
    }
  }
}
