import { StructureError } from './errors.js';

/** How large and how laborious a wish may be: counts, not seconds, so that the same wish is always judged the same. */
export interface StructureLimits {
  /** Of the schema, pattern, grammar or all choices together, as JSON text. */
  readonly inputBytes: number;
  /** Of schemas within schemas and of groups within patterns. */
  readonly depth: number;
  /** States of all automata that are built for one wish, those in between included. */
  readonly automatonStates: number;
  /** Elementary steps of the translation: some ten million are a second. */
  readonly work: number;
  /** Of the grammar's text. */
  readonly grammarBytes: number;
}

export const DEFAULT_LIMITS: StructureLimits = {
  inputBytes: 128 * 1024,
  depth: 64,
  automatonStates: 20_000,
  work: 3_000_000,
  grammarBytes: 512 * 1024,
};

/** What one wish has used of its limits. */
export class Budget {
  #states = 0;
  #work = 0;

  constructor(readonly limits: StructureLimits = DEFAULT_LIMITS) {}

  /** Of what was sent, or an estimate of it from below. */
  input(bytes: number): void {
    const { inputBytes } = this.limits;
    if (bytes > inputBytes) throw new StructureError('too_large', `it is larger than ${inputBytes} bytes`);
  }

  states(count: number): void {
    this.#states += count;
    if (this.#states > this.limits.automatonStates)
      throw new StructureError('too_large', 'its patterns and bounds need too many states');
  }

  work(steps: number): void {
    this.#work += steps;
    if (this.#work > this.limits.work)
      throw new StructureError('too_large', 'it is too laborious to translate');
  }
}
