/** How many lines of one tenant this worker asks at once, over all its batches; who waits first comes first. */
export class TenantSlots {
  readonly #taken = new Map<string, number>();
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(private readonly perTenant: number) {}

  /** Waits for a slot; returns how to give it back. Rejects when `signal` aborts. */
  async take(tenantId: string, signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    const taken = this.#taken.get(tenantId) ?? 0;
    if (taken < this.perTenant) this.#taken.set(tenantId, taken + 1);
    else await this.#turn(tenantId, signal);
    let isHeld = true;
    return () => {
      if (isHeld) this.#giveBack(tenantId);
      isHeld = false;
    };
  }

  #turn(tenantId: string, signal: AbortSignal): Promise<void> {
    const queue = this.#waiting.get(tenantId) ?? [];
    this.#waiting.set(tenantId, queue);
    return new Promise((resolve, reject) => {
      const turn = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        queue.splice(queue.indexOf(turn), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', leave, { once: true });
      queue.push(turn);
    });
  }

  #giveBack(tenantId: string): void {
    const next = this.#waiting.get(tenantId)?.shift();
    if (next) return next();
    const left = (this.#taken.get(tenantId) ?? 1) - 1;
    this.#waiting.delete(tenantId);
    if (left > 0) this.#taken.set(tenantId, left);
    else this.#taken.delete(tenantId);
  }
}
