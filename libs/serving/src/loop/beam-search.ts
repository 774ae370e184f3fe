import type { BeamWish, ScoredToken, TokenChoice } from '#contracts/engine-protocol.js';

/** An answer as far as it goes: its last token, and the answer before it. */
export interface Beam {
  readonly before: Beam | undefined;
  readonly token: ScoredToken;
  /** Of the log-probabilities of all its tokens. */
  readonly sum: number;
  readonly length: number;
}

export interface FoundAnswer {
  readonly beam: Beam;
  /** sum / length ^ lengthPenalty */
  readonly score: number;
}

export interface BeamSearchOptions extends BeamWish {
  readonly width: number;
  readonly maxTokens: number;
  /** Before so many no token ends an answer. */
  readonly minTokens: number;
  /** Tokens that end an answer. */
  readonly endings: ReadonlySet<number>;
}

/** What may come next after one beam, most likely first; only the first step has it of no beam. */
export interface Continuations {
  readonly beam: Beam | undefined;
  /** Its `candidatesOf` most likely tokens at least. */
  readonly next: readonly TokenChoice[];
}

/** So many of the likeliest tokens after a beam are enough: as many may end answers as there are endings. */
export function candidatesOf({ width, endings }: Pick<BeamSearchOptions, 'width' | 'endings'>): number {
  return width + endings.size;
}

/**
 * The rules of beam search as Transformers' `generate(num_beams=width)` has them. Of all continuations of all beams the
 * likeliest go on; one that ends counts if it is among the `width` likeliest. Those that ended compete by their score.
 */
export class BeamSearch {
  #beams: readonly Beam[] = [];
  #found: readonly FoundAnswer[] = [];
  #isOver = false;

  constructor(private readonly options: BeamSearchOptions) {}

  /** Those that go on, likeliest first; none before the first step. */
  get beams(): readonly Beam[] {
    return this.#beams;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The answers that ended, best first: at most `width`. */
  get found(): readonly FoundAnswer[] {
    return this.#found;
  }

  advance(continuations: readonly Continuations[]): void {
    const { width, lengthPenalty } = this.options;
    const ranked = continuations.flatMap((each) => this.#continued(each));
    ranked.sort((a, b) => b.sum - a.sum);
    const ended = ranked.slice(0, width).filter((beam) => this.#ends(beam));
    const scored = ended.map((beam) => ({ beam, score: beam.sum / beam.length ** lengthPenalty }));
    this.#found = [...this.#found, ...scored].sort((a, b) => b.score - a.score).slice(0, width);
    this.#beams = ranked.filter((beam) => !this.#ends(beam)).slice(0, width);
    this.#isOver = this.#beams.length === 0 || !this.#mayImprove();
  }

  #continued({ beam: before, next }: Continuations): Beam[] {
    const length = (before?.length ?? 0) + 1;
    const allowed =
      length > this.options.minTokens ? next : next.filter(({ id }) => !this.options.endings.has(id));
    return allowed.map((choice) => ({
      before,
      token: { ...choice, top: [...next] },
      sum: (before?.sum ?? 0) + choice.logprob,
      length,
    }));
  }

  #ends({ token, length }: Beam): boolean {
    return length >= this.options.maxTokens || this.options.endings.has(token.id);
  }

  /** Whether an answer that goes on could, as far as is known, still get into those that were found. */
  #mayImprove(): boolean {
    const { width, lengthPenalty, earlyStopping, maxTokens } = this.options;
    const [best] = this.#beams;
    const worst = this.#found[width - 1];
    if (best === undefined || worst === undefined) return best !== undefined;
    if (earlyStopping === true) return false;
    const length = earlyStopping === 'never' && lengthPenalty > 0 ? maxTokens : best.length;
    return best.sum / length ** lengthPenalty > worst.score;
  }
}

/** The tokens of a beam from the first on. */
export function tokensOf(beam: Beam | undefined): ScoredToken[] {
  const tokens: ScoredToken[] = [];
  for (let at = beam; at !== undefined; at = at.before) tokens.push(at.token);
  return tokens.reverse();
}
