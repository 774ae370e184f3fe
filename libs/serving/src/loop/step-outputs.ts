import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { StepPlan } from '#native-engine/native.js';
import type { StepEntry } from './plan-writer.js';
import type { PooledState } from './pooled-state.js';
import type { Sequence } from './sequence.js';
import type { RequestOutcome, ServingMetrics } from './serving-metrics.js';
import { promptEvent, promptScore, scoredToken } from './step-results.js';
import { nothingLeft } from '../structure/structure-fault.js';

/** Turns what a step computed into the requests' events. */
export class StepOutputs {
  constructor(private readonly metrics: ServingMetrics) {}

  /** Reads one request's results; says how the request ended when it did. */
  read(entry: StepEntry, plan: StepPlan): RequestOutcome | undefined {
    const { sequence, firstSample, samples, draws, draft } = entry;
    if (sequence.pooled) return this.#readHidden(entry, plan, sequence.pooled);
    const scores = draws ? samples - 1 - draft.length : samples;
    for (let i = 0; i < scores; i++) {
      if (plan.outFinite[firstSample + i] === 0) return this.#notFinite(sequence);
      sequence.promptScores.push(promptScore(plan, firstSample + i, sequence.options.tokenizer));
    }
    const promptScored = scores > 0 && sequence.scoredTokens === sequence.promptTokens;
    if (promptScored) this.emitPrompt(sequence);
    if (draws) return this.#readDraws(entry, plan, firstSample + scores);
    if (sequence.maxTokens > 0 || sequence.computedTokens < sequence.totalTokens) return undefined;
    return this.finish(sequence, { reason: 'length', stopReason: null });
  }

  #readHidden(
    { sequence, firstSample, firstHidden, samples }: StepEntry,
    plan: StepPlan,
    pooled: PooledState,
  ): RequestOutcome | undefined {
    const size = pooled.hiddenSize;
    for (let i = 0; i < samples; i++) {
      if (plan.outFinite[firstSample + i] === 0) return this.#notFinite(sequence);
      pooled.read(plan.outHidden.subarray((firstHidden + i) * size, (firstHidden + i + 1) * size));
    }
    if (sequence.computedTokens < sequence.totalTokens) return undefined;
    const { buffer } = pooled.vector;
    const values = Buffer.from(buffer).toString('base64');
    sequence.options.events.push({ type: 'embedding', values, normalized: pooled.normalized });
    return this.finish(sequence, { reason: 'stop', stopReason: null });
  }

  emitPrompt(sequence: Sequence): void {
    const { events, addedTokens, tokenizer } = sequence.options;
    events.push(promptEvent(sequence, addedTokens, tokenizer));
  }

  finish(
    sequence: Sequence,
    ending: Pick<Extract<GenerateEvent, { type: 'finish' }>, 'reason' | 'stopReason'>,
  ): RequestOutcome {
    const now_ms = performance.now();
    const { arrival_ms, events, isPart } = sequence.options;
    const firstToken_ms = sequence.firstToken_ms ?? now_ms;
    const firstGrant_ms = sequence.firstGrant_ms ?? now_ms;
    events.push({
      type: 'finish',
      reason: ending.reason,
      stopReason: ending.stopReason,
      text: '',
      usage: {
        promptTokens: sequence.promptTokens,
        cachedTokens: sequence.cachedTokens,
        completionTokens: sequence.generated,
        ...(sequence.adapterTokens === undefined ? {} : { adapterTokens: sequence.adapterTokens }),
        ...(sequence.options.predicted
          ? { predicted: sequence.speculation?.predicted ?? { accepted: 0, rejected: 0 } }
          : {}),
      },
      timing: {
        queue_ms: firstGrant_ms - arrival_ms,
        ttft_ms: firstToken_ms - arrival_ms,
        total_ms: now_ms - arrival_ms,
        ...adapterTimes(sequence),
      },
    });
    if (isPart === true) return ending.reason;
    this.metrics.queueSeconds.observe((firstGrant_ms - arrival_ms) / 1000);
    if (sequence.generated > 1) {
      const perToken_ms = (sequence.lastToken_ms - firstToken_ms) / (sequence.generated - 1);
      this.metrics.tpotSeconds.observe(perToken_ms / 1000);
    }
    return ending.reason;
  }

  /**
   * A drafted token that equals the one that was drawn in its place was the right past for the next draw, which then is
   * what a step of its own would have drawn: native draws by (seed, index of the token). The first that differs ends it.
   */
  #readDraws({ sequence, draft }: StepEntry, plan: StepPlan, first: number): RequestOutcome | undefined {
    let outcome: RequestOutcome | undefined;
    let accepted = 0;
    let drawn = 0;
    for (;;) {
      const sample = first + accepted;
      if (plan.outDrawn[sample] === 0) break;
      if (plan.outFinite[sample] === 0) return this.#notFinite(sequence);
      outcome = this.#readDraw(sequence, plan, sample);
      drawn++;
      if (outcome !== undefined || accepted === draft.length) break;
      if (plan.outToken[sample] !== draft[accepted]) break;
      accepted++;
      sequence.computedTokens++;
    }
    const isLate = drawn === accepted;
    if (outcome === undefined) this.#askMask(sequence, { drawn, isLate });
    if (draft.length > 0) {
      // What is behind a mask that was late was not checked.
      const checked = isLate ? accepted : draft.length;
      if (checked > 0) sequence.speculation?.learn(checked, accepted);
      this.metrics.draftedTokens.inc(draft.length);
      this.metrics.acceptedTokens.inc(accepted);
    }
    return outcome;
  }

  #readDraw(sequence: Sequence, plan: StepPlan, sample: number): RequestOutcome | undefined {
    const id = plan.outToken[sample] as number;
    const { events, stopRule, arrival_ms, isPart, tokenizer } = sequence.options;
    const now_ms = performance.now();
    if (sequence.firstToken_ms === undefined) {
      sequence.firstToken_ms = now_ms;
      if (isPart !== true) this.metrics.ttftSeconds.observe((now_ms - arrival_ms) / 1000);
    }
    sequence.lastToken_ms = now_ms;
    sequence.append(id);
    this.metrics.tokens.inc({ kind: 'completion' });
    const { text, ending } = stopRule.push(id);
    events.push({
      type: 'tokens',
      text,
      ids: [id],
      ...(sequence.logprobs === undefined
        ? {}
        : { scored: [scoredToken(plan, sample, { tokenizer, shown: stopRule.shown })] }),
    });
    return ending === undefined ? undefined : this.finish(sequence, ending);
  }

  /** Of the token behind those that were `drawn`. Where the last mask was late its token is computed once more, for its logits. */
  #askMask(
    sequence: Sequence,
    { drawn, isLate }: { readonly drawn: number; readonly isLate: boolean },
  ): void {
    const { mask } = sequence.options;
    if (mask && drawn > 0) mask.read([...sequence.generatedTokens.subarray(sequence.generated - drawn)]);
    if (!isLate) return;
    this.metrics.lateMasks.inc();
    sequence.computedTokens--;
    sequence.waitsForMask = mask?.isReady === false;
  }

  #notFinite(sequence: Sequence): RequestOutcome {
    const { events, mask, bans, stopRule } = sequence.options;
    const banned = new Set([
      ...bans.bannedAfter(sequence.generatedTokens),
      ...(stopRule.belowMin(0) ? stopRule.bannedUntilMin : []),
    ]);
    if (mask?.isReady && !mask.leavesAny(banned)) {
      const { code, message } = nothingLeft(mask.field);
      events.push({ type: 'error', code, message });
      return 'error';
    }
    events.push({
      type: 'error',
      code: 'internal_error',
      message: 'The model gave no finite scores for the next token (NaN, infinite, or every token banned).',
    });
    return 'error';
  }
}

function adapterTimes({ adapterAsked_ms: asked_ms, adapterReady_ms: ready_ms, options }: Sequence) {
  if (asked_ms === undefined || ready_ms === undefined) return {};
  const { arrival_ms } = options;
  return { adapter: { asked_ms: asked_ms - arrival_ms, ready_ms: ready_ms - arrival_ms } };
}
