/** Before as many were compiled nothing is known. */
const KNOWN = 4;
/** Later ones count for this share. */
const AVERAGED = 8;
/** Repetitions of more are counted by the library at each step; what those take to compile, their length does not tell. */
const MOST_REPEATED = 24;

/** What grammars take to compile, by their length. */
export class CompileTimes {
  #compiled = 0;
  #perCharacter_ms = 0;

  constructor(private readonly quick_ms: number) {}

  note(grammar: string, took_ms: number): void {
    this.#compiled++;
    const share = 1 / Math.min(AVERAGED, this.#compiled);
    this.#perCharacter_ms += (took_ms / grammar.length - this.#perCharacter_ms) * share;
  }

  /** Whether it will probably be compiled in so short a time that it may hold up others. */
  isQuick(grammar: string): boolean {
    if (this.#compiled < KNOWN || mostRepeated(grammar) > MOST_REPEATED) return false;
    return this.#perCharacter_ms * grammar.length <= this.quick_ms;
  }
}

const mostRepeated = (grammar: string): number =>
  [...grammar.matchAll(/[)\]\w"]\{(\d+)(?:,(\d*))?\}/g)].reduce(
    (most, [, from, to]) => Math.max(most, Number(from), Number(to ?? 0)),
    0,
  );
