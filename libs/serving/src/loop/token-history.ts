interface HistoryPlan {
  readonly historyToken: Int32Array;
  readonly historyCount: Int32Array;
}

/** Which tokens a request has seen and how often it generated each: what the penalties need. Copied into each step's plan. */
export class TokenHistory {
  readonly #at = new Map<number, number>();
  #tokens = new Int32Array(64);
  #counts = new Int32Array(64);

  constructor(prompt: Int32Array) {
    for (const token of prompt) this.#add(token, 0);
  }

  addGenerated(token: number): void {
    this.#add(token, 1);
  }

  get size(): number {
    return this.#at.size;
  }

  /** Writes what would be known had the `drafted` tokens been generated; returns where the entries end. */
  copyTo(
    { historyToken: tokens, historyCount: counts }: HistoryPlan,
    offset: number,
    drafted: readonly number[],
  ): number {
    tokens.set(this.#tokens.subarray(0, this.size), offset);
    counts.set(this.#counts.subarray(0, this.size), offset);
    let end = offset + this.size;
    for (const token of drafted) {
      const known = this.#at.get(token);
      const at = known === undefined ? indexOf(token, tokens, offset + this.size, end) : offset + known;
      if (at === end) {
        tokens[end] = token;
        counts[end++] = 1;
      } else counts[at] = (counts[at] as number) + 1;
    }
    return end;
  }

  #add(token: number, count: number): void {
    let at = this.#at.get(token);
    if (at === undefined) {
      at = this.#at.size;
      this.#at.set(token, at);
      if (at === this.#tokens.length) {
        this.#tokens = grown(this.#tokens);
        this.#counts = grown(this.#counts);
      }
      this.#tokens[at] = token;
    }
    this.#counts[at] = (this.#counts[at] as number) + count;
  }
}

function grown(array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}

/** `end` where it is not in [begin, end). */
function indexOf(token: number, tokens: Int32Array, begin: number, end: number): number {
  let at = begin;
  while (at < end && tokens[at] !== token) at++;
  return at;
}
