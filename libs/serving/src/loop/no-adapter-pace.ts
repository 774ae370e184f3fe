import { nonNegativeFit } from './non-negative-fit.js';

/** What a step computes, whatever adapters its rows have. */
export interface StepWork {
  readonly rows: number;
  /** Requests, each of which may have a token drawn. */
  readonly requests: number;
  /** Pairs of a row and a token before it: what attention looks at. */
  readonly pairs: number;
}

export interface NoAdapterPace {
  /** Of the rate that the same steps would have had without adapters, 0 to 1. */
  readonly share: number;
  /** That rate: rows of one second of computing, in steps as they were of late. */
  readonly tokensPerSecond: number;
}

/** How much an earlier step without adapters counts against the one after it: about the last thousand decide. */
const KEPT = 0.999;
/** The same for all steps of which the share is told: about the last hundred. */
const KEPT_SHARE = 0.99;
/** Fewer steps without adapters tell nothing yet. */
const LEAST_STEPS = 8;

const featuresOf = ({ rows, requests, pairs }: StepWork): number[] => [1, rows, requests, pairs];

/**
 * Learns from steps without adapters what such a step takes, and tells how near to that the steps with adapters come. The
 * time is taken for linear in the step's work, and each step counts by its relative error, so that small ones count too.
 */
export class NoAdapterCeiling {
  readonly #products = featuresOf({ rows: 0, requests: 0, pairs: 0 }).map((_, __, all) => all.map(() => 0));
  readonly #right = this.#products.map(() => 0);
  #baseSteps = 0;
  #fit: readonly number[] | undefined;
  #stale = false;
  #rows = 0;
  #took_ms = 0;
  #without_ms = 0;

  note(work: StepWork, took_ms: number, hasAdapters: boolean): void {
    if (took_ms <= 0) return;
    if (!hasAdapters) this.#learn(work, took_ms);
    const without_ms = hasAdapters ? this.#predict(work) : took_ms;
    if (without_ms === undefined) return;
    this.#rows = this.#rows * KEPT_SHARE + work.rows;
    this.#took_ms = this.#took_ms * KEPT_SHARE + took_ms;
    // Noise would make some steps with adapters faster than without.
    this.#without_ms = this.#without_ms * KEPT_SHARE + Math.min(without_ms, took_ms);
  }

  /** Undefined until enough steps without adapters were seen. */
  get pace(): NoAdapterPace | undefined {
    if (this.#without_ms === 0 || this.#baseSteps < LEAST_STEPS) return undefined;
    return {
      share: this.#without_ms / this.#took_ms,
      tokensPerSecond: (1000 * this.#rows) / this.#without_ms,
    };
  }

  #learn(work: StepWork, took_ms: number): void {
    const features = featuresOf(work);
    const weight = 1 / took_ms ** 2;
    for (const [row, products] of this.#products.entries()) {
      for (const column of products.keys()) {
        const product = (features[row] ?? 0) * (features[column] ?? 0);
        products[column] = (products[column] ?? 0) * KEPT + product * weight;
      }
      this.#right[row] = (this.#right[row] ?? 0) * KEPT + (features[row] ?? 0) * took_ms * weight;
    }
    this.#baseSteps++;
    this.#stale = true;
  }

  #predict(work: StepWork): number | undefined {
    if (this.#baseSteps < LEAST_STEPS) return undefined;
    if (this.#stale) {
      this.#fit = nonNegativeFit(this.#products, this.#right);
      this.#stale = false;
    }
    const fit = this.#fit;
    if (!fit) return undefined;
    return featuresOf(work).reduce((sum, feature, index) => sum + feature * (fit[index] ?? 0), 0);
  }
}
