interface Owner {
  begun: number;
  readonly waiting: (() => void)[];
}

/**
 * Lets only so many requests of one owner begin within one turn of the event loop; the others begin in the next ones. What a
 * request computes before it first waits for something takes about a millisecond: hundreds that come together would hold
 * everybody's answers for a fraction of a second.
 */
export class StartTurns {
  readonly #owners = new Map<string, Owner>();
  #isTurning = false;

  constructor(private readonly perTurn = 4) {}

  /** Resolves when one more request of the owner may begin. */
  async begin(key: string): Promise<void> {
    const owner = this.#owners.get(key) ?? { begun: 0, waiting: [] };
    this.#owners.set(key, owner);
    this.#turn();
    if (owner.begun < this.perTurn) owner.begun += 1;
    else await new Promise<void>((resolve) => owner.waiting.push(resolve));
  }

  /** Asks for the next turn, where none is asked for yet. */
  #turn(): void {
    if (this.#isTurning) return;
    this.#isTurning = true;
    setImmediate(() => {
      this.#isTurning = false;
      for (const [key, owner] of this.#owners) this.#next(key, owner);
      if (this.#owners.size > 0) this.#turn();
    });
  }

  #next(key: string, owner: Owner): void {
    const next = owner.waiting.splice(0, this.perTurn);
    owner.begun = next.length;
    if (next.length === 0) this.#owners.delete(key);
    for (const begin of next) begin();
  }
}
