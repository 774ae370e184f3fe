import { pagesFor } from '../kv/kv-pages.js';
import type { Schedulable } from './scheduler.js';

/** What one fairness key holds of the batch and the cache. */
interface Holding {
  readonly weight: number;
  slots: number;
  /** With those that its running requests still need for the tokens that they have. */
  pages: number;
}

type Sharing = Pick<
  Schedulable,
  'id' | 'fairnessKey' | 'fairnessWeight' | 'heldPages' | 'totalTokens' | 'paused' | 'inTurn'
>;

export interface SharesInput<R extends Sharing> {
  readonly running: readonly R[];
  readonly waiting: ReadonlyMap<string, readonly R[]>;
  readonly served: (fairnessKey: string) => number;
  readonly slots: number;
  readonly pages: number;
  readonly pageTokens: number;
  /** Steps since somebody entered. */
  readonly stalledSteps: number;
}

/** Those that have given already. */
type Besides<R> = (request: R) => boolean;

/** Turns are taken only when none has come by itself, by a request that ended, for so many steps. */
const STALLED_STEPS = 8;

/** So much more must another key have been served before its turn is over where shares alone do not decide. */
const TURN_TOKENS = 64;

/**
 * What each of several keys may hold of slots and pages while others wait for them: its weight's part. A key that wants
 * no more than that takes it from those that hold more, if it was not served more than they were. What no share covers
 * (more keys than slots, one request larger than its key's share of the pages) goes round in turns, by what was served.
 *
 * Why this does not go to and fro: who gives way holds more than its share and is not entitled to what it gave, until
 * shares change or the others were served more. And the last running request of a key goes on for a quantum at least
 * (Sequence.inTurn), so each time round computes something new.
 */
export class FairShares<R extends Sharing> {
  readonly #held = new Map<string, Holding>();
  #weights = 0;

  private constructor(private readonly input: SharesInput<R>) {
    for (const request of input.running) this.enter(request);
    for (const requests of input.waiting.values()) {
      if (requests[0] !== undefined) this.#of(requests[0]);
    }
  }

  /** Undefined where there is nothing to share: all requests have one key. */
  static of<R extends Sharing>(input: SharesInput<R>): FairShares<R> | undefined {
    const { running, waiting } = input;
    const key = running[0]?.fairnessKey ?? waiting.keys().next().value;
    if (key === undefined || waiting.size > 1) return waiting.size > 1 ? new FairShares(input) : undefined;
    const alone =
      (waiting.size === 0 || waiting.has(key)) && running.every((each) => each.fairnessKey === key);
    return alone ? undefined : new FairShares(input);
  }

  enter(request: R): void {
    const held = this.#of(request);
    held.slots += 1;
    held.pages += this.#pagesOf(request);
  }

  leave(request: R): void {
    const held = this.#of(request);
    held.slots -= 1;
    held.pages -= this.#pagesOf(request);
  }

  /** Its key holds as many slots as its share or more, so others come first. */
  hasSlots(key: string): boolean {
    const held = this.#held.get(key);
    return held !== undefined && held.slots + 1 > this.#part(held, this.input.slots);
  }

  /** How full its share is: of two keys that were served the same, the one that holds less comes first. */
  fillOf(key: string): number {
    const held = this.#held.get(key);
    if (held === undefined) return 0;
    const { slots, pages } = this.input;
    return Math.max(held.slots / this.#part(held, slots), held.pages / this.#part(held, pages));
  }

  holdsNone(key: string): boolean {
    return this.#held.get(key)?.slots === 0;
  }

  holdsMorePages(key: string): boolean {
    const held = this.#held.get(key);
    return held !== undefined && held.pages > this.#part(held, this.input.pages);
  }

  /** The running request that gives its slot to `to`, if one has to. */
  slotFor(to: R, besides: Besides<R>): R | undefined {
    const entitled = !this.hasSlots(to.fairnessKey);
    return this.#giver(to, besides, {
      entitled,
      excess: (held) => held.slots / this.#part(held, this.input.slots),
    });
  }

  /** The running request that gives its pages to `to`, which needs so many of them. */
  pagesFor(to: R, needPages: number, besides: Besides<R>): R | undefined {
    const mine = this.#of(to);
    const entitled = mine.pages + needPages <= this.#part(mine, this.input.pages);
    return this.#giver(to, besides, {
      entitled,
      excess: (held) => (entitled ? held.pages / this.#part(held, this.input.pages) : held.pages),
    });
  }

  /** Of the key that exceeds its share most, the youngest request; the last one of a key only after its turn. */
  #giver(
    to: R,
    besides: Besides<R>,
    { entitled, excess }: { entitled: boolean; excess: (held: Holding) => number },
  ): R | undefined {
    const { served, stalledSteps } = this.input;
    if (!entitled && (stalledSteps < STALLED_STEPS || !this.holdsNone(to.fairnessKey))) return undefined;
    const mine = served(to.fairnessKey);
    let giver: R | undefined;
    let most = entitled ? 1 : 0;
    for (const request of this.input.running) {
      const { fairnessKey: key } = request;
      if (key === to.fairnessKey || besides(request)) continue;
      const held = this.#of(request);
      const exceeds = excess(held);
      if (exceeds < most || (entitled && exceeds <= 1)) continue;
      if (served(key) - mine < (entitled ? 0 : TURN_TOKENS)) continue;
      if (request.inTurn === true && (held.slots === 1 || !entitled)) continue;
      if (giver !== undefined && exceeds === most && !givesBefore(request, giver)) continue;
      giver = request;
      most = exceeds;
    }
    return giver;
  }

  #of({ fairnessKey, fairnessWeight: weight }: R): Holding {
    let held = this.#held.get(fairnessKey);
    if (held === undefined) {
      held = { weight, slots: 0, pages: 0 };
      this.#held.set(fairnessKey, held);
      this.#weights += weight;
    }
    return held;
  }

  #pagesOf({ heldPages, totalTokens, paused }: R): number {
    return paused ? heldPages : Math.max(heldPages, pagesFor(totalTokens + 1, this.input.pageTokens));
  }

  #part({ weight }: Holding, total: number): number {
    return (total * weight) / this.#weights;
  }
}

/** Those after their turn first, then the younger. */
function givesBefore(a: Sharing, b: Sharing): boolean {
  const inTurn = Number(a.inTurn ?? false) - Number(b.inTurn ?? false);
  return inTurn === 0 ? a.id > b.id : inTurn < 0;
}
