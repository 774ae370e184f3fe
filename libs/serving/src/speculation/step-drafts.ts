import type { StepPlan } from '#native-engine/native.js';
import type { KvPages } from '../kv/kv-pages.js';
import type { StepEntry } from '../loop/plan-writer.js';
import type { Grant } from '../loop/scheduler.js';
import type { Sequence } from '../loop/sequence.js';
import type { StepTimes } from '../loop/step-cost.js';
import type { Drafter } from './drafter.js';
import { type DraftedGrant, draftAhead, wantedGuesses } from './drafts.js';

export interface StepDraftsOptions {
  readonly pages: KvPages;
  readonly stepTokens: number;
  /** Undefined: there is no draft model. */
  readonly drafter: Drafter | undefined;
}

interface EngineSoFar {
  /** Tokens that requests usually generate. */
  readonly usualTokens: number;
  readonly times: StepTimes | undefined;
}

/** The drafts of each step: what the draft model guesses is computed before the step, all else is known. */
export class StepDrafts {
  #took_ms = 0;
  #began_ms = 0;
  #guessed: ReadonlyMap<Sequence, readonly number[]> = new Map();

  constructor(private readonly options: StepDraftsOptions) {}

  get drafter(): Drafter | undefined {
    return this.options.drafter;
  }

  /** What the draft model took before the step. */
  get took_ms(): number {
    return this.#took_ms;
  }

  async draft(
    grants: readonly Grant<Sequence>[],
    { usualTokens, times }: EngineSoFar,
  ): Promise<readonly DraftedGrant[]> {
    const { drafter, pages, stepTokens } = this.options;
    if (drafter === undefined) return draftAhead(grants, stepTokens, pages);
    this.#began_ms = performance.now();
    const wanted = wantedGuesses(grants, stepTokens, usualTokens);
    const rows = grants.reduce((sum, { tokens }) => sum + tokens, 0);
    this.#guessed = await drafter.guess(wanted, { rows, draws: grants.filter(draws).length, times });
    this.#took_ms = performance.now() - this.#began_ms;
    return draftAhead(grants, stepTokens, pages, this.#guessed);
  }

  /** The request has as many tokens more. */
  noteVerified({ sequence, draft }: StepEntry, tokens: number): void {
    if (draft.length === 0 || tokens === 0 || !this.#guessed.has(sequence)) return;
    this.options.drafter?.noteVerified(sequence, draft.length, tokens - 1);
  }

  /** After all of the step's entries were verified. */
  noteStep(plan: Pick<StepPlan, 'rows' | 'samples'>, entries: readonly StepEntry[], took_ms: number): void {
    this.options.drafter?.noteStep({
      rows: plan.rows,
      onlyDraws: plan.rows === plan.samples,
      draws: entries.filter((entry) => entry.draws).length,
      drafted: entries.reduce((sum, { draft }) => sum + draft.length, 0),
      took_ms,
      round_ms: performance.now() - this.#began_ms,
    });
  }

  /** The request has ended, or lost its pages. */
  drop(sequence: Sequence): void {
    this.options.drafter?.drop(sequence);
  }
}

function draws({ request, tokens }: Grant<Sequence>): boolean {
  return request.maxTokens > 0 && request.computedTokens + tokens === request.totalTokens;
}
