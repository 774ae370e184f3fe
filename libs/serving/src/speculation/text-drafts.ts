import type { Sequence } from '../loop/sequence.js';
import type { RequestAcceptance } from './acceptance.js';
import type { Candidate, StepOutcome, WhenToDraft } from './draft-policy.js';
import type { DraftKind } from './speculation.js';

/** What may follow a request's known tokens, found in text and computed by nobody. */
export interface TextOffer {
  readonly sequence: Sequence;
  readonly kind: Exclude<DraftKind, 'draft'>;
  readonly tokens: readonly number[];
}

/** The step that is about to run, with what the draft model has guessed. */
interface Step {
  readonly rows: number;
  readonly draws: number;
}

const MOSTLY = 0.5;

/** As a draft model that knows every token already and takes no time: what its guesses cost are rows of the step. */
class TextGuess implements Candidate {
  readonly missing = 1;
  debt_ms = 0;
  isRead = false;
  most = 0;
  remaining = 0;

  constructor(readonly acceptance: RequestAcceptance) {}
}

/** When to check guesses from text: by the same rule as those of a draft model, with a ledger of their own. */
export class TextDrafts {
  /** Requests repeat themselves more or less often than callers foresee their answers: each kind is known by itself. */
  readonly #guesses = new Map<Sequence, Map<DraftKind, TextGuess>>();
  #accepted: { readonly candidate: TextGuess; readonly tokens: number }[] = [];

  constructor(private readonly policy: WhenToDraft) {}

  /** How many tokens of each offer to check; of one that is not there none. */
  take(offers: readonly TextOffer[], { rows, draws }: Step): ReadonlyMap<Sequence, number> {
    this.#accepted = [];
    if (offers.length === 0) return new Map();
    const sequences = new Map(offers.map((offer) => [this.#candidate(offer), offer.sequence]));
    const step = { rows, draws, times: undefined, draftRows: offers.length };
    const { depths } = this.policy.plan([...sequences.keys()], step);
    return new Map([...depths].map(([guess, depth]) => [sequences.get(guess) as Sequence, depth]));
  }

  /** Whether the next token may be one that its caller expects, and such were mostly right. */
  expects(sequence: Sequence): boolean {
    if (sequence.speculation?.isExpected(sequence.tokens) !== true) return false;
    return this.#guess(sequence, 'prediction').acceptance.share >= MOSTLY;
  }

  /** So many of a request's guesses became part of its text. */
  noteVerified(sequence: Sequence, kind: DraftKind, drafted: number, accepted: number): void {
    const candidate = this.#guess(sequence, kind);
    candidate.acceptance.note(drafted, accepted);
    if (accepted > 0) this.#accepted.push({ candidate, tokens: accepted });
  }

  /** After what became of all guesses is known. */
  noteStep(outcome: Omit<StepOutcome, 'accepted' | 'guessing_ms'>): void {
    this.policy.noteStep({ ...outcome, guessing_ms: 0, accepted: this.#accepted });
  }

  /** The request has ended, or lost its pages. */
  drop(sequence: Sequence): void {
    this.#guesses.delete(sequence);
  }

  #candidate({ sequence, kind, tokens }: TextOffer): TextGuess {
    const guess = this.#guess(sequence, kind);
    guess.most = tokens.length;
    guess.remaining = sequence.maxTokens - sequence.generated;
    return guess;
  }

  #guess(sequence: Sequence, kind: DraftKind): TextGuess {
    const own = this.#guesses.get(sequence) ?? new Map<DraftKind, TextGuess>();
    this.#guesses.set(sequence, own);
    const known = own.get(kind);
    if (known !== undefined) return known;
    const guess = new TextGuess(this.policy.begin(`${kind} ${sequence.adapter ?? ''}`));
    own.set(kind, guess);
    return guess;
  }
}
