interface Owner {
  held: number;
  readonly waiting: (() => void)[];
}

/**
 * Places of which each is held by one owner at a time. Where all are held, the owner who holds the fewest of those that
 * wait gets the next one, in turn among equals, and no owner holds more than `perOwner`: whoever wants hundreds at once
 * leaves room for whoever wants one.
 */
export class FairPlaces {
  /** In the order of their last turn. */
  readonly #owners = new Map<string, Owner>();
  #free: number;

  constructor(
    places: number,
    private readonly perOwner: number,
  ) {
    this.#free = places;
  }

  /** Resolves to true when the owner has a place, which has to be given back, or to false after so long without. */
  async take(key: string, patience_ms: number): Promise<boolean> {
    const owner = this.#owner(key);
    if (owner.waiting.length === 0 && this.#mayHave(owner)) {
      this.#give(key, owner);
      return true;
    }
    return new Promise((resolve) => {
      const given = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(() => {
        owner.waiting.splice(owner.waiting.indexOf(given), 1);
        this.#forgetIdle(key, owner);
        resolve(false);
      }, patience_ms);
      owner.waiting.push(given);
    });
  }

  giveBack(key: string): void {
    const owner = this.#owner(key);
    owner.held -= 1;
    this.#free += 1;
    this.#forgetIdle(key, owner);
    const next = this.#next();
    if (!next) return;
    const [nextKey, nextOwner] = next;
    const given = nextOwner.waiting.shift();
    this.#give(nextKey, nextOwner);
    given?.();
  }

  #owner(key: string): Owner {
    const known = this.#owners.get(key);
    if (known) return known;
    const owner: Owner = { held: 0, waiting: [] };
    this.#owners.set(key, owner);
    return owner;
  }

  #mayHave(owner: Owner): boolean {
    return this.#free > 0 && owner.held < this.perOwner;
  }

  #give(key: string, owner: Owner): void {
    this.#free -= 1;
    owner.held += 1;
    this.#owners.delete(key);
    this.#owners.set(key, owner);
  }

  #next(): [string, Owner] | undefined {
    let best: [string, Owner] | undefined;
    for (const entry of this.#owners) {
      const [, owner] = entry;
      if (owner.waiting.length === 0 || !this.#mayHave(owner)) continue;
      if (!best || owner.held < best[1].held) best = entry;
    }
    return best;
  }

  #forgetIdle(key: string, owner: Owner): void {
    if (owner.held === 0 && owner.waiting.length === 0) this.#owners.delete(key);
  }
}
