import type { EngineStatus } from '#contracts/engine-protocol.js';
import type { MaskMemory } from '#native-engine/native.js';
import type { Logger } from '#runtime/logger.js';
import { KvPages, pagesFor } from '../kv/kv-pages.js';
import { PlanWriter } from '../loop/plan-writer.js';
import type { Sequence } from '../loop/sequence.js';
import { DraftGuess, type Vocabularies } from './draft-guess.js';
import type { DraftModel } from './draft-model.js';
import type { DraftPlan, PlannedStep, StepOutcome, WhenToDraft } from './draft-policy.js';

export interface DrafterOptions {
  readonly model: DraftModel;
  readonly policy: WhenToDraft;
  readonly limits: { readonly stepTokens: number; readonly sequences: number; readonly pageTokens: number };
  /** Tokens that masks speak of. */
  readonly maskedTokens: number;
  readonly logger: Logger;
  readonly maskMemory: () => MaskMemory | undefined;
}

/** A request whose next token comes in this step, and how many it may guess behind it. */
export interface Wanted {
  readonly sequence: Sequence;
  readonly most: number;
  /** Tokens that it will probably still generate. */
  readonly remaining: number;
}

type Step = Omit<PlannedStep, 'draftRows'>;
type Outcome = Omit<StepOutcome, 'guessing_ms' | 'reading_ms' | 'accepted'>;

interface Round {
  readonly plan: DraftPlan<DraftGuess>;
  /** Those that guess, in the order of their requests. */
  readonly guessing: DraftGuess[];
}

const NO_DRAFTS: ReadonlyMap<Sequence, readonly number[]> = new Map();

/**
 * The draft model: a smaller model of the same tokenizer that guesses tokens of all requests, whatever their adapter, before
 * the model checks them in its step. It has a cache of its own, in which it reads a request's tokens when that pays. It never
 * fails a request: without pages, or after a fault, there are no guesses.
 */
export class Drafter {
  readonly #guesses = new Map<Sequence, DraftGuess>();
  readonly #pages: KvPages;
  readonly #writer: PlanWriter<DraftGuess>;
  readonly #vocabulary: Vocabularies;
  #guessing_ms = 0;
  #reading_ms = 0;
  #accepted: { readonly candidate: DraftGuess; readonly tokens: number }[] = [];
  #isBroken = false;

  constructor(private readonly options: DrafterOptions) {
    const { model, limits, maskedTokens, maskMemory } = options;
    const { kvPages, hiddenSize, vocabSize } = model.native.description;
    this.#pages = new KvPages(kvPages, limits.pageTokens);
    const capacity = { rows: limits.stepTokens, sequences: limits.sequences, hiddenSize };
    this.#writer = new PlanWriter(limits.pageTokens, capacity, maskMemory);
    this.#vocabulary = { draft: vocabSize, masked: maskedTokens };
  }

  /** While its model is open. */
  get status(): NonNullable<EngineStatus['draft']> {
    const { name, native } = this.options.model;
    const { pages, freePages, pageTokens } = this.#pages;
    const { weightBytes, kvBytes, scratchBytes } = native.memory();
    return { name, kv: { pages, freePages, pageTokens }, memory: { weightBytes, kvBytes, scratchBytes } };
  }

  /** What is guessed behind the known tokens of each. */
  async guess(wanted: readonly Wanted[], step: Step): Promise<ReadonlyMap<Sequence, readonly number[]>> {
    this.#guessing_ms = 0;
    this.#reading_ms = 0;
    this.#accepted = [];
    if (this.#isBroken || wanted.length === 0) return NO_DRAFTS;
    const candidates = wanted.map((one) => this.#candidate(one)).filter((one) => one !== undefined);
    const draftRows = this.options.limits.stepTokens;
    const plan = this.options.policy.plan(candidates, { ...step, draftRows });
    const round = this.#withPages(plan);
    try {
      await this.#run(round);
    } catch (err) {
      this.options.logger.error({ err }, 'the draft model failed, and guesses no more');
      this.#isBroken = true;
      this.#dropAll();
      return NO_DRAFTS;
    }
    return new Map(round.guessing.map(({ sequence, guessed }) => [sequence, guessed]));
  }

  /** So many of a request's guesses became part of its text. */
  noteVerified(sequence: Sequence, drafted: number, accepted: number): void {
    const candidate = this.#guesses.get(sequence);
    if (candidate === undefined) return;
    candidate.acceptance.note(drafted, accepted);
    if (accepted > 0) this.#accepted.push({ candidate, tokens: accepted });
  }

  /** After what became of all its guesses is known. */
  noteStep(outcome: Outcome): void {
    this.options.policy.noteStep({
      ...outcome,
      guessing_ms: this.#guessing_ms,
      reading_ms: this.#reading_ms,
      accepted: this.#accepted,
    });
  }

  /** The request has ended, or lost its own pages. */
  drop(sequence: Sequence): void {
    const guess = this.#guesses.get(sequence);
    if (guess === undefined) return;
    this.#guesses.delete(sequence);
    this.options.policy.end(guess);
    this.#pages.release(guess.pages);
  }

  #dropAll(): void {
    for (const sequence of this.#guesses.keys()) this.drop(sequence);
  }

  /** Undefined: the draft model cannot guess for it. */
  #candidate({ sequence, most, remaining }: Wanted): DraftGuess | undefined {
    let guess = this.#guesses.get(sequence);
    if (guess === undefined) {
      const acceptance = this.options.policy.begin(sequence.adapter);
      guess = new DraftGuess(sequence, acceptance, this.#vocabulary);
      this.#guesses.set(sequence, guess);
    }
    guess.restart();
    // The last guess is not read, so it needs no position.
    const positions = this.options.model.native.description.maxPositions - sequence.totalTokens;
    guess.most = Math.max(0, Math.min(most, positions + 1));
    guess.remaining = remaining;
    return positions >= 0 && guess.isReadable ? guess : undefined;
  }

  /** Leaves those out for which there are no pages. */
  #withPages({ depths, reads }: DraftPlan<DraftGuess>): Round {
    const held = <T>(wanted: ReadonlyMap<DraftGuess, T>, end: (guess: DraftGuess, value: T) => number) =>
      new Map([...wanted].filter(([guess, value]) => this.#grow(guess, end(guess, value))));
    const plan = {
      depths: held(depths, (guess, depth) => guess.totalTokens + depth - 1),
      reads: held(reads, (guess, rows) => guess.computedTokens + rows),
    };
    return { plan, guessing: [...plan.depths.keys()] };
  }

  #grow(guess: DraftGuess, tokens: number): boolean {
    const { pageTokens } = this.options.limits;
    if (pagesFor(tokens, pageTokens) - guess.pages.length > this.#pages.freePages) return false;
    this.#pages.grow(guess.pages, tokens);
    return true;
  }

  /** One step for each token that is guessed at most; what is only read is read in the first. */
  async #run({ plan, guessing }: Round): Promise<void> {
    const reads = [...plan.reads].map(([request, tokens]) => ({ request, tokens }));
    let level = guessing;
    for (let depth = 1; level.length > 0 || (depth === 1 && reads.length > 0); depth++) {
      const draws = level.map((request) => ({ request, tokens: request.missing }));
      level = await this.#step(draws, depth === 1 ? reads : []);
      level = level.filter((guess) => (plan.depths.get(guess) ?? 0) > depth);
    }
  }

  /** Those for which another token may be guessed. */
  async #step(draws: readonly Grant[], reads: readonly Grant[]): Promise<DraftGuess[]> {
    const { model, policy } = this.options;
    const begin_ms = performance.now();
    const entries = this.#writer.write([...draws, ...reads], []);
    const { plan } = this.#writer;
    const { native_ms } = await model.native.step(plan);
    const took_ms = Math.max(native_ms, performance.now() - begin_ms);
    policy.noteDraftStep(plan.rows, took_ms);
    const rows = draws.reduce((sum, { tokens }) => sum + tokens, 0);
    const guessing_ms =
      rows === 0 ? 0 : reads.length === 0 ? took_ms : Math.min(took_ms, policy.draft_ms(rows));
    this.#guessing_ms += guessing_ms;
    this.#reading_ms += took_ms - guessing_ms;
    const going: DraftGuess[] = [];
    for (const { sequence: guess, tokens, firstSample, draws: drawn } of entries) {
      guess.computedTokens += tokens;
      if (!drawn || plan.outFinite[firstSample] === 0) continue;
      if (guess.take(plan.outToken[firstSample] as number)) going.push(guess);
    }
    return going;
  }
}

interface Grant {
  readonly request: DraftGuess;
  readonly tokens: number;
}
