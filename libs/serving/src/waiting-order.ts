/** What decides whose turn it is. */
export interface Waiting {
  /** Order of arrival. */
  readonly id: number;
  readonly fairnessKey: string;
  readonly paused: boolean;
}

interface Queue<R> {
  readonly requests: readonly R[];
  taken: number;
  served: number;
}

/** The waiting requests that are not paused: each time the oldest of the key that was served least. */
export class WaitingOrder<R extends Waiting> {
  readonly #queues: Map<string, Queue<R>>;

  constructor(waiting: ReadonlyMap<string, readonly R[]>, served: (fairnessKey: string) => number) {
    this.#queues = new Map(
      [...waiting].map(([key, requests]) => [key, { requests, taken: 0, served: served(key) }]),
    );
  }

  next(): R | undefined {
    let best: Queue<R> | undefined;
    let bestHead: R | undefined;
    for (const queue of this.#queues.values()) {
      while (queue.requests[queue.taken]?.paused) queue.taken++;
      const head = queue.requests[queue.taken];
      if (head === undefined) continue;
      const before =
        best === undefined ||
        bestHead === undefined ||
        queue.served < best.served ||
        (queue.served === best.served && head.id < bestHead.id);
      if (!before) continue;
      best = queue;
      bestHead = head;
    }
    if (best !== undefined) best.taken++;
    return bestHead;
  }

  /** Counts what `request` is about to be served, so that the next one of its key comes later. */
  charge(request: R, tokens: number): void {
    const queue = this.#queues.get(request.fairnessKey);
    if (queue !== undefined) queue.served += tokens;
  }
}
