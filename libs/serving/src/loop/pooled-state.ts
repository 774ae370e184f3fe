import { finished, type Pooling } from '../pooling.js';

/** A prompt's hidden states as they are made into one vector. Each is read once, in order, whatever the steps were. */
export class PooledState {
  readonly #sum: Float64Array;
  #read = 0;

  constructor(
    private readonly pooling: Pooling,
    private readonly promptTokens: number,
    readonly hiddenSize: number,
  ) {
    this.#sum = new Float64Array(hiddenSize);
  }

  /** Whether the row at `position` belongs to the vector and has not been read. */
  wants(position: number): boolean {
    const { kind } = this.pooling;
    if (kind === 'last') return position === this.promptTokens - 1;
    if (position < this.#read) return false;
    return kind === 'mean' || position === 0;
  }

  /** Up to where the prompt may be taken from the cache: what is to be read has to be computed. */
  get reusableTokens(): number {
    const { kind } = this.pooling;
    if (kind === 'last' || (kind === 'cls' && this.#read > 0)) return this.promptTokens - 1;
    return Math.min(this.#read, this.promptTokens - 1);
  }

  /** The next of the rows that it wants. */
  read(state: Float32Array): void {
    for (let i = 0; i < state.length; i++) this.#sum[i] = (this.#sum[i] as number) + (state[i] as number);
    this.#read++;
  }

  get normalized(): boolean {
    return this.pooling.normalize;
  }

  /** Once all is read. */
  get vector(): Float32Array {
    const count = this.pooling.kind === 'mean' ? this.promptTokens : 1;
    return finished(
      Float32Array.from(this.#sum, (sum) => sum / count),
      this.pooling,
    );
  }
}
