/**
 * Which of a worker's places each tenant holds, and which of its jobs were sent back to wait for one. Beside those that a
 * tenant may hold there is one more, so that another's job finds one free however long the others take.
 */
export class TenantPlaces {
  readonly #held = new Map<string, number>();
  readonly #sentBack = new Map<string, string[]>();
  /** How many jobs run at once. Who asks for one at a time gets that. */
  readonly count: number;

  constructor(private readonly perTenant: number) {
    this.count = perTenant > 1 ? perTenant + 1 : 1;
  }

  /** False: the tenant holds all that it may, and the job waits until `giveBack` names it. */
  take(tenantId: string, jobId: string): boolean {
    const held = this.#held.get(tenantId) ?? 0;
    if (held < this.perTenant) {
      this.#held.set(tenantId, held + 1);
      return true;
    }
    const waiting = this.#sentBack.get(tenantId) ?? [];
    if (!waiting.includes(jobId)) this.#sentBack.set(tenantId, [...waiting, jobId]);
    return false;
  }

  /** Returns the tenant's job that was sent back first. */
  giveBack(tenantId: string): string | undefined {
    const held = (this.#held.get(tenantId) ?? 1) - 1;
    if (held > 0) this.#held.set(tenantId, held);
    else this.#held.delete(tenantId);
    const [next, ...others] = this.#sentBack.get(tenantId) ?? [];
    if (others.length > 0) this.#sentBack.set(tenantId, others);
    else this.#sentBack.delete(tenantId);
    return next;
  }
}
