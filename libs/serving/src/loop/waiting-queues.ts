interface Queued {
  /** Order of arrival. */
  readonly id: number;
  readonly fairnessKey: string;
  /** The lower comes first; absent: 0. */
  readonly priority?: number | undefined;
}

/** Requests that wait for a place in the batch: one queue for each fairness key, by priority and then in order of arrival. */
export class WaitingQueues<R extends Queued> {
  readonly #queues = new Map<string, R[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** As the scheduler reads them: no queue is empty. */
  get byKey(): ReadonlyMap<string, readonly R[]> {
    return this.#queues;
  }

  *[Symbol.iterator](): Iterator<R> {
    for (const queue of this.#queues.values()) yield* queue;
  }

  add(request: R): void {
    const queue = this.#queues.get(request.fairnessKey);
    this.#size++;
    if (queue === undefined) {
      this.#queues.set(request.fairnessKey, [request]);
      return;
    }
    // A preempted request goes back before those that came later.
    let at = queue.length;
    while (at > 0 && isBefore(request, queue[at - 1] as R)) at--;
    queue.splice(at, 0, request);
  }

  /** Returns whether it was there. */
  remove(request: R): boolean {
    const queue = this.#queues.get(request.fairnessKey);
    const at = queue?.indexOf(request) ?? -1;
    if (queue === undefined || at < 0) return false;
    queue.splice(at, 1);
    if (queue.length === 0) this.#queues.delete(request.fairnessKey);
    this.#size--;
    return true;
  }
}

function isBefore(a: Queued, b: Queued): boolean {
  const [first, second] = [a.priority ?? 0, b.priority ?? 0];
  return first === second ? a.id < b.id : first < second;
}
