/** What decides whose turn it is. */
export interface Waiting {
  /** Order of arrival. */
  readonly id: number;
  readonly fairnessKey: string;
  /** Share of the key: of two that always wait, one with weight 2 is served twice the tokens. */
  readonly fairnessWeight: number;
  readonly paused: boolean;
}

interface Queue<R> {
  readonly requests: readonly R[];
  at: number;
  served: number;
  /** How much of its share the key holds. */
  fill: number;
}

/**
 * The waiting requests that are not paused: each time the first of the key that was served least; of keys that were served
 * the same, the one that holds less of its share. The keys are a binary
 * heap, because an engine may have as many of them as requests.
 */
export class WaitingOrder<R extends Waiting> {
  readonly #heap: Queue<R>[] = [];
  /** The queue of the last request; not in the heap until it is known what the request cost. */
  #last: Queue<R> | undefined;

  constructor(
    waiting: ReadonlyMap<string, readonly R[]>,
    served: (fairnessKey: string) => number,
    private readonly fillOf: (fairnessKey: string) => number = () => 0,
  ) {
    for (const [key, requests] of waiting) {
      this.#push({ requests, at: 0, served: served(key), fill: 0 });
    }
  }

  next(): R | undefined {
    if (this.#last !== undefined) this.#push(this.#last);
    this.#last = this.#pop();
    return this.#last?.requests[this.#last.at++];
  }

  /** Nothing more of the last request's key. */
  dropKey(): void {
    this.#last = undefined;
  }

  /** Counts what the last request is about to be served, so that the next one of its key comes later. */
  charge(cost: number): void {
    if (this.#last !== undefined) this.#last.served += cost;
  }

  #push(queue: Queue<R>): void {
    while (queue.requests[queue.at]?.paused) queue.at++;
    const next = queue.requests[queue.at];
    if (next === undefined) return;
    queue.fill = this.fillOf(next.fairnessKey);
    const heap = this.#heap;
    let at = heap.length;
    heap.push(queue);
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!isBefore(queue, heap[above] as Queue<R>)) break;
      heap[at] = heap[above] as Queue<R>;
      at = above;
    }
    heap[at] = queue;
  }

  #pop(): Queue<R> | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const moved = heap.pop();
    if (top === undefined || moved === undefined || heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let below = at * 2 + 1;
      const right = heap[below + 1];
      if (right !== undefined && isBefore(right, heap[below] as Queue<R>)) below++;
      const least = heap[below];
      if (least === undefined || !isBefore(least, moved)) break;
      heap[at] = least;
      at = below;
    }
    heap[at] = moved;
    return top;
  }
}

function isBefore<R extends Waiting>(a: Queue<R>, b: Queue<R>): boolean {
  if (a.served !== b.served) return a.served < b.served;
  if (a.fill !== b.fill) return a.fill < b.fill;
  return (a.requests[a.at] as R).id < (b.requests[b.at] as R).id;
}
