import type { StepTimes } from '../loop/step-cost.js';
import { Acceptances, type RequestAcceptance } from './acceptance.js';
import { bestDepths, type DepthCosts } from './depths.js';
import { RowTimes } from './row-times.js';
import { TimeLedger } from './time-ledger.js';

/** A request that the draft model could guess for. */
export interface Candidate {
  readonly acceptance: RequestAcceptance;
  /** Its known tokens that the draft model has not read; at least one. */
  readonly missing: number;
  /** Tokens to guess at most. */
  readonly most: number;
  /** Tokens that it will probably still generate. */
  readonly remaining: number;
  /** What reading its tokens was reckoned to take and it has not brought in. */
  debt_ms: number;
  /** The draft model is about to read what it misses. */
  isRead: boolean;
}

/** The step that is about to run, without drafts. */
export interface PlannedStep {
  readonly rows: number;
  /** Requests that get a token in it. */
  readonly draws: number;
  /** What steps take by and large; undefined: none was measured. */
  readonly times: StepTimes | undefined;
  /** Rows that the draft model may compute in one of its own steps. */
  readonly draftRows: number;
}

export interface DraftPlan<C> {
  /** How many tokens to guess for whom. */
  readonly depths: ReadonlyMap<C, number>;
  /** How many of whose missing tokens the draft model reads beside, so that it can guess for them later. */
  readonly reads: ReadonlyMap<C, number>;
}

/** What became of a step. */
export interface StepOutcome {
  readonly rows: number;
  /** Every row gave a token: no prompt was computed. */
  readonly onlyDraws: boolean;
  readonly draws: number;
  /** Rows that guesses took. */
  readonly drafted: number;
  /** Rows that guesses took which were none of the policy's. */
  readonly others: number;
  readonly took_ms: number;
  /** Of the draft model, without what it read. */
  readonly guessing_ms: number;
  /** Of the draft model, for what it read. */
  readonly reading_ms: number;
  /** From before the guesses until what became of them was told: with all that lies between the two models' steps. */
  readonly round_ms: number;
  readonly accepted: readonly { readonly candidate: Candidate; readonly tokens: number }[];
}

/** So many tokens behind, a request is read and guessed for in one. */
const CLOSE_TOKENS = 16;
/** After so many steps with drafts one without shows again what that takes. */
const STEPS_WITH_DRAFTS = 64;
/** Tokens from which an adapter's acceptance is known well enough to read long prompts for. */
const KNOWN_TOKENS = 8;
const TRIED_DEPTH = 2;
/** What is read shall come in again, and by how much more. */
const READING_MARGIN = 1.25;

/**
 * When to guess, for whom and how far: by the times that steps of both models were measured to take and by how often guesses
 * were right, so that the step with them gives more tokens for its time. Where they do not pay (for a request, an adapter,
 * or at a load at which rows are not cheap any more) there are none, but for trials out of the time that may be lost.
 */
export class DraftPolicy {
  readonly #target = new RowTimes();
  readonly #draft = new RowTimes();
  /** Rounds without drafts, by the requests that got a token in them. */
  readonly #rounds = new RowTimes();
  readonly #ledger = new TimeLedger();
  readonly #acceptances = new Acceptances();
  #plans = 0;
  #sincePlain = 0;
  /** Since the last step of the model. */
  #draftNoted = false;

  /** `costShare`: what a step of the draft model takes of one of the model, before that was measured. */
  constructor(private readonly costShare: number) {}

  begin(adapter: string | undefined): RequestAcceptance {
    return this.#acceptances.begin(adapter);
  }

  plan<C extends Candidate>(candidates: readonly C[], step: PlannedStep): DraftPlan<C> {
    this.#plans++;
    // What the step would take without is what guesses are held against: that has to be known first, and again and again.
    if (!this.#target.knows(step.draws) || ++this.#sincePlain > STEPS_WITH_DRAFTS) return NOTHING;
    const costs = this.#costs(step);
    const near = nearest(candidates, step.draftRows);
    for (const candidate of near) candidate.isRead = false;
    let depths = bestDepths(near, shareOf, { ...costs, most_ms: this.#ledger.credit_ms });
    const reads = this.#reads(candidates, near, { step, costs });
    if (depths.size === 0 && reads.size === 0) depths = this.#trial(candidates, near, { step, costs, reads });
    return { depths, reads };
  }

  /** The draft model took so long for so many rows. */
  noteDraftStep(rows: number, took_ms: number): void {
    this.#draft.note(rows, took_ms);
    this.#draftNoted = true;
  }

  /** What so many rows more in a step of the draft model take. */
  draft_ms(rows: number): number {
    return this.#draft.of(rows) ?? this.costShare * (this.#target.of(rows) ?? 0);
  }

  noteStep(outcome: StepOutcome): void {
    const { rows, onlyDraws, draws, drafted, others, took_ms, accepted } = outcome;
    const { guessing_ms, reading_ms, round_ms } = outcome;
    const isPlain = drafted + others === 0;
    if (onlyDraws) {
      const drift = this.#target.note(rows, took_ms);
      if (!this.#draftNoted) this.#draft.drift(drift);
      this.#draftNoted = false;
    }
    if (isPlain) this.#sincePlain = 0;
    if (onlyDraws && isPlain && guessing_ms + reading_ms === 0) this.#rounds.note(draws, round_ms);
    if (!this.#target.knows(draws)) return;
    const step_ms = this.#target.of(draws) as number;
    this.#ledger.earn(took_ms, step_ms);
    const tokens = accepted.reduce((sum, { tokens: of }) => sum + of, 0);
    let left_ms = this.#gained_ms(outcome, tokens);
    if (left_ms > 0) {
      const perToken_ms = left_ms / tokens;
      for (const { candidate, tokens: of } of accepted) left_ms -= this.#repay(candidate, of * perToken_ms);
    }
    this.#ledger.gain(left_ms, step_ms);
  }

  /**
   * What the guesses of a step brought in. By the clock, where a round without them shows what as many tokens take: the work
   * around the steps, and what the two models take from each other's caches, is in no other figure.
   */
  #gained_ms(outcome: StepOutcome, tokens: number): number {
    const { rows, onlyDraws, draws, drafted, others, guessing_ms, reading_ms, round_ms } = outcome;
    if (drafted === 0 && guessing_ms === 0) return 0;
    if (onlyDraws && others === 0 && this.#rounds.knows(draws))
      return (this.#rounds.of(draws) as number) * (1 + tokens / draws) - (round_ms - reading_ms);
    const saved_ms = (tokens * (this.#target.of(draws) as number)) / Math.max(1, draws);
    return saved_ms - guessing_ms - this.#target.added(rows - drafted, drafted);
  }

  /** The request goes, or loses what was read of it. */
  end(candidate: Candidate): void {
    this.#ledger.writeOff(candidate.debt_ms);
    candidate.debt_ms = 0;
  }

  #repay(candidate: Candidate, ms: number): number {
    const paid_ms = Math.min(candidate.debt_ms, ms);
    candidate.debt_ms -= paid_ms;
    this.#ledger.repay(paid_ms);
    return paid_ms;
  }

  #costs({ rows, draws }: PlannedStep): DepthCosts {
    return {
      token_ms: (this.#target.of(draws) as number) / draws,
      draft_ms: (more) => this.draft_ms(more),
      verify_ms: (drafted, more) => this.#target.added(rows + drafted, more),
    };
  }

  #reads<C extends Candidate>(candidates: readonly C[], near: readonly C[], at: Planning): Map<C, number> {
    const reads = new Map<C, number>();
    const known = new Set(near);
    let rows = this.#rowsAtOnce(at.step, near);
    for (const candidate of candidates) {
      if (known.has(candidate) || rows < 1) continue;
      if (!candidate.isRead && !this.#worthReading(candidate, near.length + 1, at)) continue;
      this.#read(candidate, at.step);
      rows -= take(candidate, rows, reads);
    }
    return reads;
  }

  /** No more than take the draft model as long as the step that they delay. */
  #rowsAtOnce(step: PlannedStep, near: readonly Candidate[]): number {
    const free = step.draftRows - near.reduce((sum, { missing }) => sum + missing, 0);
    const step_ms = this.#target.of(step.draws) as number;
    let rows = step.draftRows;
    while (rows > CLOSE_TOKENS && this.#reading_ms(rows, step) > step_ms) rows /= 2;
    return Math.min(free, Math.floor(rows));
  }

  #worthReading(candidate: Candidate, sharers: number, { step, costs }: Planning): boolean {
    const { credit_ms, owed_ms } = this.#ledger;
    const { share, adapterTried } = candidate.acceptance;
    let [saved_ms, tokens, right] = [0, 1, 1];
    for (let depth = 1; depth <= candidate.most; depth++) {
      right *= share;
      const cost_ms = costs.draft_ms(sharers) / sharers + costs.verify_ms(depth - 1, 1);
      if (right * costs.token_ms <= cost_ms) break;
      saved_ms += right * costs.token_ms - cost_ms;
      tokens += right;
    }
    saved_ms *= candidate.remaining / tokens;
    const cost_ms = this.#reading_ms(candidate.missing, step);
    if (credit_ms - owed_ms >= cost_ms) return saved_ms > cost_ms;
    const trusted = adapterTried >= KNOWN_TOKENS && credit_ms >= 0;
    return (
      trusted &&
      saved_ms > READING_MARGIN * cost_ms &&
      owed_ms < this.#ledger.limit_ms(costs.token_ms * step.draws)
    );
  }

  #read(candidate: Candidate, step: PlannedStep): void {
    if (candidate.isRead) return;
    const cost_ms = this.#reading_ms(candidate.missing, step);
    candidate.isRead = true;
    candidate.debt_ms += cost_ms;
    this.#ledger.owe(cost_ms);
  }

  /** Reading so many tokens, by the draft model's own times where it has read as many. */
  #reading_ms(tokens: number, { times, draftRows }: PlannedStep): number {
    const rows = Math.min(tokens, draftRows);
    const steps = tokens / rows;
    if (times === undefined || this.#draft.most * 2 >= rows) return steps * this.draft_ms(rows);
    return steps * this.costShare * (times.overhead_ms + times.row_ms * rows);
  }

  /**
   * A few guesses for the one whose adapter was not tried for longest, where they can be afforded. Where even right ones
   * would not pay, as far as is known, half as much is spent on finding out.
   */
  #trial<C extends Candidate>(
    candidates: readonly C[],
    near: readonly C[],
    { step, costs, reads }: Planning & { readonly reads: Map<C, number> },
  ): Map<C, number> {
    const depths = new Map<C, number>();
    const able = candidates.filter(({ most }) => most > 0);
    const pays = bestDepths(able, () => 1, costs).size > 0;
    const isNear = new Set(near);
    const [candidate] = able.toSorted(
      (a, b) =>
        a.acceptance.lastTrial - b.acceptance.lastTrial || Number(isNear.has(b)) - Number(isNear.has(a)),
    );
    if (candidate === undefined) return depths;
    const depth = Math.min(candidate.most, TRIED_DEPTH);
    const more_ms = (depth - 1) * costs.draft_ms(1) + costs.verify_ms(0, depth);
    const guess_ms = costs.draft_ms(Math.min(candidate.missing, CLOSE_TOKENS)) + more_ms;
    const cost_ms = isNear.has(candidate) ? guess_ms : guess_ms + this.#reading_ms(candidate.missing, step);
    if (cost_ms * (pays ? 1 : 2) > this.#ledger.credit_ms - this.#ledger.owed_ms) return depths;
    if (isNear.has(candidate)) {
      candidate.acceptance.beginTrial(this.#plans);
      return depths.set(candidate, depth);
    }
    this.#read(candidate, step);
    take(candidate, this.#rowsAtOnce(step, near), reads);
    return depths;
  }
}

/** What a drafter needs to know of it. */
export type WhenToDraft = Pick<
  DraftPolicy,
  'begin' | 'plan' | 'noteDraftStep' | 'draft_ms' | 'noteStep' | 'end'
>;

interface Planning {
  readonly step: PlannedStep;
  readonly costs: DepthCosts;
}

const NOTHING = { depths: new Map<never, number>(), reads: new Map<never, number>() };

const shareOf = ({ acceptance }: Candidate): number => acceptance.share;

/** Those that the draft model can guess for in its next step. */
function nearest<C extends Candidate>(candidates: readonly C[], rows: number): C[] {
  let left = rows;
  return candidates.filter(({ missing, most }) => {
    if (missing > CLOSE_TOKENS || missing > left || most < 1) return false;
    left -= missing;
    return true;
  });
}

/** The last known token is left for the step that guesses. */
function take<C extends Candidate>(candidate: C, most: number, reads: Map<C, number>): number {
  const rows = Math.min(most, candidate.missing - 1);
  if (rows > 0) reads.set(candidate, rows);
  return rows;
}
