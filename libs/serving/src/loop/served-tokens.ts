/**
 * Virtual token counter (Sheng et al. 2024, "Fairness in Serving Large Language Models"): who was served less is next.
 * A key that was idle starts at the level of the active ones, so that nobody saves up turns by being away.
 */
export class ServedTokens {
  readonly #tokens = new Map<string, number>();
  readonly #requests = new Map<string, number>();
  /** Lowest counter of an active key; never falls. */
  #floor = 0;

  of(key: string): number {
    return this.#tokens.get(key) ?? this.#floor;
  }

  /** A request of `key` arrives. */
  enter(key: string): void {
    const requests = this.#requests.get(key) ?? 0;
    this.#requests.set(key, requests + 1);
    if (requests > 0) return;
    this.#raiseFloor(key);
    this.#tokens.set(key, Math.max(this.#tokens.get(key) ?? 0, this.#floor));
    this.#forgetIdle();
  }

  charge(key: string, tokens: number): void {
    this.#tokens.set(key, this.of(key) + tokens);
  }

  /** A request of `key` has ended. */
  leave(key: string): void {
    const requests = (this.#requests.get(key) ?? 0) - 1;
    if (requests > 0) this.#requests.set(key, requests);
    else this.#requests.delete(key);
  }

  get keys(): number {
    return this.#tokens.size;
  }

  #raiseFloor(entering: string): void {
    let lowest = Number.POSITIVE_INFINITY;
    for (const key of this.#requests.keys()) {
      if (key !== entering) lowest = Math.min(lowest, this.#tokens.get(key) ?? 0);
    }
    if (lowest !== Number.POSITIVE_INFINITY) this.#floor = Math.max(this.#floor, lowest);
  }

  /** An idle key at or below the floor would restart at the floor anyway. */
  #forgetIdle(): void {
    if (this.#tokens.size < 2 * this.#requests.size + 64) return;
    for (const [key, tokens] of this.#tokens) {
      if (!this.#requests.has(key) && tokens <= this.#floor) this.#tokens.delete(key);
    }
    // Debtors that left for good must not pile up: past this many the smallest debts are forgiven.
    const surplus = this.#tokens.size - this.#requests.size - MAX_DEBTORS;
    if (surplus <= 0) return;
    const idle = [...this.#tokens].filter(([key]) => !this.#requests.has(key));
    idle.sort((a, b) => a[1] - b[1]);
    for (const [key] of idle.slice(0, surplus)) this.#tokens.delete(key);
  }
}

const MAX_DEBTORS = 10_000;
