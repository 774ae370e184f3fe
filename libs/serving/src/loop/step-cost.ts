/** What a step takes: `overhead_ms` whatever is in it, and `row_ms` for each of its rows. */
export interface StepTimes {
  readonly overhead_ms: number;
  readonly row_ms: number;
}

/** How much an earlier step counts against the one after it: about the last hundred decide. */
const KEPT = 0.99;
/** Below this share of their mean the rows of the last steps were all the same and tell nothing of a row's cost. */
const LEAST_SPREAD = 0.05;

/** Learns from steps what the next one will take: a straight line through their rows and times, newer ones counting more. */
export class StepCost {
  #weight = 0;
  #rows = 0;
  #ms = 0;
  #rowsRows = 0;
  #rowsMs = 0;
  #row_ms: number | undefined;

  note(rows: number, took_ms: number): void {
    this.#weight = this.#weight * KEPT + 1;
    this.#rows = this.#rows * KEPT + rows;
    this.#ms = this.#ms * KEPT + took_ms;
    this.#rowsRows = this.#rowsRows * KEPT + rows * rows;
    this.#rowsMs = this.#rowsMs * KEPT + rows * took_ms;
    const meanRows = this.#rows / this.#weight;
    const mean_ms = this.#ms / this.#weight;
    const variance = this.#rowsRows / this.#weight - meanRows ** 2;
    if (variance < (LEAST_SPREAD * meanRows) ** 2) return;
    const slope_ms = (this.#rowsMs / this.#weight - meanRows * mean_ms) / variance;
    // A row costs something, and no more than a step divided by its rows.
    this.#row_ms = Math.min(Math.max(slope_ms, (0.01 * mean_ms) / meanRows), mean_ms / meanRows);
  }

  /** Undefined before the first step. */
  get times(): StepTimes | undefined {
    if (this.#weight === 0) return undefined;
    const meanRows = this.#rows / this.#weight;
    const mean_ms = this.#ms / this.#weight;
    const row_ms = Math.min(this.#row_ms ?? Number.POSITIVE_INFINITY, mean_ms / meanRows);
    return { row_ms, overhead_ms: mean_ms - row_ms * meanRows };
  }
}
