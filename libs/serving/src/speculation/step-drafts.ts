import type { StepPlan } from '#native-engine/native.js';
import type { KvPages } from '../kv/kv-pages.js';
import type { StepEntry } from '../loop/plan-writer.js';
import type { Grant } from '../loop/scheduler.js';
import type { Sequence } from '../loop/sequence.js';
import type { StepTimes } from '../loop/step-cost.js';
import type { Drafter } from './drafter.js';
import { type DraftedGrant, draftAhead, draws, wantedGuesses } from './drafts.js';
import type { TextDrafts } from './text-drafts.js';

export interface StepDraftsOptions {
  readonly pages: KvPages;
  readonly stepTokens: number;
  /** Undefined: there is no draft model. */
  readonly drafter: Drafter | undefined;
  readonly text: TextDrafts;
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
    const { drafter, pages, stepTokens, text } = this.options;
    this.#began_ms = performance.now();
    if (drafter === undefined) return draftAhead(grants, { stepTokens, pages, text });
    const wanted = wantedGuesses(grants, stepTokens, usualTokens, text);
    const rows = grants.reduce((sum, { tokens }) => sum + tokens, 0);
    const guessed = await drafter.guess(wanted, { rows, draws: grants.filter(draws).length, times });
    this.#took_ms = performance.now() - this.#began_ms;
    return draftAhead(grants, { stepTokens, pages, text, guessed });
  }

  /** The request has as many tokens more. */
  noteVerified({ sequence, draft }: StepEntry, tokens: number): void {
    const kind = sequence.speculation?.kind;
    if (draft.length === 0 || tokens === 0 || kind === undefined) return;
    const { drafter, text } = this.options;
    if (kind === 'draft') drafter?.noteVerified(sequence, draft.length, tokens - 1);
    else text.noteVerified(sequence, kind, draft.length, tokens - 1);
  }

  /** After all of the step's entries were verified. */
  noteStep(plan: Pick<StepPlan, 'rows' | 'samples'>, entries: readonly StepEntry[], took_ms: number): void {
    const { drafter, text } = this.options;
    let [byModel, byText] = [0, 0];
    for (const { sequence, draft } of entries) {
      if (sequence.speculation?.kind === 'draft') byModel += draft.length;
      else byText += draft.length;
    }
    const step = {
      rows: plan.rows,
      onlyDraws: plan.rows === plan.samples,
      draws: entries.filter((entry) => entry.draws).length,
      took_ms,
      round_ms: performance.now() - this.#began_ms,
    };
    drafter?.noteStep({ ...step, drafted: byModel, others: byText });
    text.noteStep({ ...step, drafted: byText, others: byModel, reading_ms: this.#took_ms });
  }

  /** The request has ended, or lost its pages. */
  drop(sequence: Sequence): void {
    this.options.drafter?.drop(sequence);
    this.options.text.drop(sequence);
  }
}
