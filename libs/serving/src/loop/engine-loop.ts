import { nativeErrorKind } from '#native-engine/native-error.js';
import type { NativeModel } from '#native-engine/native.js';
import { AppError } from '#runtime/app-error.js';
import type { Logger } from '#runtime/logger.js';
import { AdapterAdmission } from '../residency/adapter-admission.js';
import type { AdapterResidency } from '../residency/adapter-residency.js';
import type { StepDrafts } from '../speculation/step-drafts.js';
import type { KvPages } from '../kv/kv-pages.js';
import { NoAdapterCeiling, type NoAdapterPace, type StepWork } from './no-adapter-pace.js';
import type { PlanWriter, StepEntry } from './plan-writer.js';
import type { PrefixCache } from '../kv/prefix-cache.js';
import { type PendingCopy, PrefixEntry } from '../kv/prefix-entry.js';
import type { RequestMetrics } from './request-metrics.js';
import { type Grant, type ScheduleLimits, schedule } from './scheduler.js';
import type { Sequence } from './sequence.js';
import { ServedTokens } from './served-tokens.js';
import { RecentMean } from '../recent-mean.js';
import { StepCost } from './step-cost.js';
import type { RequestOutcome, ServingMetrics } from './serving-metrics.js';
import type { StepOutputs } from './step-outputs.js';
import { WaitingOrder } from './waiting-order.js';
import { WaitingQueues } from './waiting-queues.js';
import { WakeSignal } from './wake-signal.js';

export interface EngineLoopOptions {
  readonly native: Pick<NativeModel, 'step'>;
  readonly pages: KvPages;
  readonly prefixes: PrefixCache;
  readonly residency: AdapterResidency;
  readonly writer: PlanWriter;
  readonly outputs: StepOutputs;
  readonly limits: ScheduleLimits;
  readonly drafts: StepDrafts;
  readonly metrics: ServingMetrics;
  readonly requestMetrics: RequestMetrics;
  readonly logger: Logger;
  /** The device is gone until the process has ended; the step's requests have been told. */
  readonly onDeviceLost: (error: unknown) => void;
}

/**
 * schedule -> step -> postprocess, one step at a time. Everything but the steps themselves (those of a draft model come
 * before) is synchronous, so what requests do meanwhile (submit, cancel) falls either while native computes or while the loop
 * sleeps. It sleeps without a timer.
 */
export class EngineLoop {
  readonly #running: Sequence[] = [];
  readonly #waiting = new WaitingQueues<Sequence>();
  readonly #served = new ServedTokens();
  readonly #wake = new WakeSignal();
  readonly #cost = new StepCost();
  readonly #ceiling = new NoAdapterCeiling();
  #computedAt_ms = Number.NEGATIVE_INFINITY;
  readonly #rows = new RecentMean();
  /** Tokens that requests generated. */
  readonly #lengths = new RecentMean();
  readonly #adapters: AdapterAdmission;
  #step = 0;
  /** Of those that the next step admits. */
  #copies: readonly PendingCopy[] = [];
  /** Steps since a waiting request entered. */
  #stalledSteps = 0;
  #lastStepEnd_ms: number | undefined;
  #closing = false;
  #closedBy: AppError | undefined;
  #finished: Promise<void> | undefined;

  constructor(private readonly options: EngineLoopOptions) {
    this.#adapters = new AdapterAdmission({
      residency: options.residency,
      // Loads for as many requests as could enter at once; half of the passes before others must make room.
      limits: {
        loads: options.limits.sequences,
        passes: Math.ceil(options.limits.passes / 2),
        requests: 4 * options.limits.sequences,
      },
      onReady: () => this.#wake.notify(),
      onFailed: (sequence, error) => this.fail(sequence, error),
    });
  }

  start(): void {
    this.#finished ??= this.#run();
  }

  get runningRequests(): number {
    return this.#running.length;
  }

  get waitingRequests(): number {
    return this.#waiting.size;
  }

  /** Tokens that are known and still to be computed. */
  get queuedTokens(): number {
    let tokens = 0;
    for (const sequence of this.#running) tokens += sequence.totalTokens - sequence.computedTokens;
    for (const sequence of this.#waiting) tokens += sequence.totalTokens;
    return tokens;
  }

  /** `queuedTokens` and what the requests will probably generate, by what others did. */
  get backlogTokens(): number {
    const usual = this.#lengths.value ?? USUAL_COMPLETION_TOKENS;
    let tokens = this.queuedTokens;
    for (const requests of [this.#running, this.#waiting]) {
      for (const { maxTokens, generated } of requests) {
        tokens += Math.max(0, Math.min(maxTokens - generated, Math.max(1, Math.round(usual - generated))));
      }
    }
    return tokens;
  }

  /** Tokens that a step has computed of late; undefined before the first. */
  get rowsPerStep(): number | undefined {
    return this.#rows.value;
  }

  /** Rows that one second of computing is worth where steps are full. */
  get tokensPerSecond(): number | undefined {
    const row_ms = this.#cost.times?.row_ms ?? 0;
    return row_ms > 0 ? 1000 / row_ms : undefined;
  }

  /** How near the steps of late came to the same ones without adapters; undefined where none was of late, or none without. */
  get noAdapterPace(): NoAdapterPace | undefined {
    return performance.now() - this.#computedAt_ms < OF_LATE_MS ? this.#ceiling.pace : undefined;
  }

  submit(sequence: Sequence): void {
    this.#served.enter(sequence.fairnessKey);
    this.#waiting.add(sequence);
    // A search goes on by requests of its own, also while everything ends.
    if (this.#closedBy !== undefined) this.fail(sequence, this.#closedBy);
    this.#wake.notify();
  }

  /** A request that asks for nothing to be computed. */
  endWithoutStep(sequence: Sequence): void {
    this.#served.enter(sequence.fairnessKey);
    this.#retire(sequence, this.options.outputs.finish(sequence, { reason: 'length', stopReason: null }));
  }

  /** Ends a request whose reader is gone: now, or when the step that computes it is over. */
  cancel(sequence: Sequence): void {
    this.#end(sequence, 'cancelled');
  }

  /** The reader does not keep up: the request takes no part until `resume`. */
  pause(sequence: Sequence): void {
    sequence.paused = true;
  }

  resume(sequence: Sequence): void {
    sequence.paused = false;
    this.#wake.notify();
  }

  /** Its mask is there: should it have been left out of a step for want of it, it takes part again. */
  maskReady(sequence: Sequence): void {
    if (!sequence.waitsForMask || sequence.options.mask?.isReady !== true) return;
    sequence.waitsForMask = false;
    this.#wake.notify();
  }

  /** Fails a request from outside, with an error event. */
  fail(sequence: Sequence, error: AppError): void {
    if (sequence.state === 'ended') return;
    sequence.failure = error;
    sequence.options.events.push({ type: 'error', code: error.code, message: error.message });
    this.#end(sequence, 'error');
  }

  /** As `fail`, for what went wrong with the engine and not with this request. */
  #failShared(sequence: Sequence, error: AppError): void {
    const { code, message } = error;
    if (sequence.state !== 'ended') {
      sequence.options.events.push({ type: 'error', code, message, shared: true });
    }
    this.fail(sequence, error);
  }

  /** Fails what is left with `error`, and resolves when no step runs any more. */
  async close(error: AppError): Promise<void> {
    this.#closing = true;
    this.#closedBy = error;
    for (const sequence of [...this.#running, ...this.#waiting]) this.fail(sequence, error);
    this.#wake.notify();
    await this.#finished;
  }

  async #run(): Promise<void> {
    while (!this.#closing) {
      const grants = this.#schedule();
      if (grants === undefined) continue;
      if (grants.length === 0) {
        this.#lastStepEnd_ms = undefined; // idle time is no overhead
        await this.#wake.wait();
      } else await this.#runStep(grants);
    }
  }

  /** Decides the next step and gives it its pages; undefined when something was preempted for nothing yet. */
  #schedule(): readonly Grant<Sequence>[] | undefined {
    const { pages, prefixes, limits, drafts, metrics } = this.options;
    this.#claimAdapters();
    const entry = new PrefixEntry(this.options);
    const decision = schedule({
      running: this.#running,
      waiting: this.#waiting.byKey,
      served: (key) => this.#served.of(key),
      freePages: pages.freePages,
      limits,
      reuse: (sequence) => entry.find(sequence),
      isComputed: (page) => prefixes.isComputed(page),
      times: this.#cost.times,
      stalledSteps: this.#stalledSteps,
    });
    this.#stalledSteps =
      decision.admitted.length > 0 || this.#waiting.size === 0 ? 0 : this.#stalledSteps + 1;
    for (const [sequence, passes] of decision.passed) sequence.passes = passes;
    for (const sequence of decision.admitted) {
      this.#waiting.remove(sequence);
      entry.attach(sequence);
      sequence.enter();
      sequence.firstGrant_ms ??= performance.now();
      this.#running.push(sequence);
    }
    for (const victim of decision.preempted) {
      this.#removeRunning(victim);
      prefixes.release(victim);
      drafts.drop(victim);
      victim.state = 'waiting';
      victim.preemptions++;
      this.#waiting.add(victim);
      metrics.preemptions.inc();
    }
    for (const { request, tokens } of decision.grants) {
      pages.grow(request.pages, request.computedTokens + tokens);
    }
    this.#copies = entry.copies();
    if (decision.grants.length === 0 && decision.preempted.size > 0) return undefined;
    return decision.grants;
  }

  #claimAdapters(): void {
    let wanted = false;
    for (const sequence of this.#waiting) wanted ||= sequence.adapterState !== 'ready';
    if (!wanted) return;
    const order = new WaitingOrder(this.#waiting.byKey, (key) => this.#served.of(key));
    this.#adapters.advance(inTurn(order), this.#waiting);
  }

  async #runStep(grants: readonly Grant<Sequence>[]): Promise<void> {
    const { native, drafts, writer, metrics, logger } = this.options;
    this.#step++;
    let entries: readonly StepEntry[] = [];
    let took_ms = 0;
    for (const { request } of grants) request.takePart(this.#step);
    const work = workOf(grants);
    const hasAdapters = grants.some(({ request }) => request.adapter !== undefined);
    try {
      const usualTokens = this.#lengths.value ?? USUAL_COMPLETION_TOKENS;
      const drafted = await drafts.draft(grants, { usualTokens, times: this.#cost.times });
      entries = writer.write(drafted, this.#copies);
      const begin_ms = performance.now();
      if (this.#lastStepEnd_ms !== undefined) {
        metrics.stepOutsideSeconds.observe((begin_ms - this.#lastStepEnd_ms - drafts.took_ms) / 1000);
      }
      const { native_ms } = await native.step(writer.plan);
      this.#lastStepEnd_ms = performance.now();
      took_ms = Math.max(native_ms, this.#lastStepEnd_ms - begin_ms);
      metrics.stepNativeSeconds.observe(native_ms / 1000);
      metrics.stepRows.observe(writer.plan.rows);
      this.#rows.add(writer.plan.rows);
      this.#cost.note(writer.plan.rows, native_ms);
      this.#ceiling.note({ ...work, rows: writer.plan.rows }, native_ms, hasAdapters);
      this.#computedAt_ms = this.#lastStepEnd_ms;
    } catch (err) {
      logger.error({ err, requests: grants.length }, 'a step failed');
      for (const { request } of grants) request.inStep = false;
      const error = stepFault(err);
      for (const { request } of grants) {
        if (request.endsAfterStep === undefined) this.#failShared(request, error);
        else this.#retire(request, request.endsAfterStep);
      }
      if (nativeErrorKind(err) === 'device_lost') this.options.onDeviceLost(err);
      return;
    } finally {
      for (const copy of this.#copies) copy.done();
    }
    for (const { request } of grants) request.inStep = false;
    for (const entry of entries) this.#afterStep(entry);
    drafts.noteStep(writer.plan, entries, took_ms);
  }

  #afterStep(entry: StepEntry): void {
    const { sequence, tokens } = entry;
    sequence.computedTokens += tokens;
    this.#charge(sequence, tokens);
    if (sequence.endsAfterStep !== undefined) {
      this.#retire(sequence, sequence.endsAfterStep);
      return;
    }
    const { generated } = sequence;
    try {
      const outcome = this.options.outputs.read(entry, this.options.writer.plan);
      this.options.drafts.noteVerified(entry, sequence.generated - generated);
      this.#bill(sequence, (sequence.generated - generated) * OUTPUT_COST);
      this.options.prefixes.publish(sequence);
      if (outcome !== undefined) this.#retire(sequence, outcome);
    } catch (err) {
      this.options.logger.error({ err }, 'the results of a step could not be read');
      this.#failShared(sequence, new AppError('internal_error'));
    }
  }

  #charge(sequence: Sequence, tokens: number): void {
    const { metrics } = this.options;
    const fresh = Math.max(0, sequence.computedTokens - sequence.chargedTokens);
    const freshPrompt = Math.max(
      0,
      Math.min(sequence.computedTokens, sequence.promptTokens) - sequence.chargedTokens,
    );
    if (freshPrompt > 0) metrics.tokens.inc({ kind: 'prompt' }, freshPrompt);
    if (fresh < tokens) metrics.tokens.inc({ kind: 'recomputed' }, tokens - fresh);
    sequence.chargedTokens += fresh;
    this.#bill(sequence, freshPrompt * INPUT_COST);
  }

  #bill(sequence: Sequence, cost: number): void {
    if (cost > 0) this.#served.charge(sequence.fairnessKey, cost / sequence.fairnessWeight);
  }

  /** Pages and adapter of a request stay until the step that uses them is over. */
  #end(sequence: Sequence, outcome: RequestOutcome): void {
    if (sequence.inStep) sequence.endsAfterStep ??= outcome;
    else this.#retire(sequence, outcome);
  }

  /** The one way out: everything that the request holds goes back. */
  #retire(sequence: Sequence, outcome: RequestOutcome): void {
    if (sequence.state === 'ended') return;
    if (sequence.state === 'running') this.#removeRunning(sequence);
    else this.#waiting.remove(sequence);
    sequence.state = 'ended';
    clearTimeout(sequence.stallTimer);
    sequence.options.mask?.end();
    // Whatever ended it, its reader must not wait for more; after a finish or an error this changes nothing.
    const { events } = sequence.options;
    events.push({ type: 'error', code: 'client_closed_request', message: 'The request was cancelled.' });
    this.options.prefixes.release(sequence);
    this.options.drafts.drop(sequence);
    this.#served.leave(sequence.fairnessKey);
    this.#count(sequence, outcome);
    this.#adapters.release(sequence);
    sequence.options.onEnd(sequence.failure);
    this.#wake.notify();
  }

  #count(sequence: Sequence, outcome: RequestOutcome): void {
    if (sequence.options.isPart === true) return;
    if (outcome === 'stop' || outcome === 'length') this.#lengths.add(sequence.generated);
    this.options.metrics.requests.inc({ outcome });
    this.options.requestMetrics.ended(sequence, outcome);
  }

  #removeRunning(sequence: Sequence): void {
    const at = this.#running.indexOf(sequence);
    if (at >= 0) this.#running.splice(at, 1);
  }
}

/** What a step's requests are told: for want of memory, they may succeed elsewhere or later. */
function stepFault(cause: unknown): AppError {
  switch (nativeErrorKind(cause)) {
    case 'out_of_memory':
      return new AppError('engine_unavailable', { message: 'The engine ran out of memory.', cause });
    case 'closed':
    case 'device':
    case 'device_lost':
      return new AppError('engine_unavailable', {
        message: 'The engine stopped while it computed this.',
        cause,
      });
    default:
      return new AppError('internal_error', { message: 'The engine failed while it computed this.', cause });
  }
}

function workOf(grants: readonly Grant<Sequence>[]): StepWork {
  let [rows, pairs] = [0, 0];
  for (const { request, tokens } of grants) {
    rows += tokens;
    pairs += tokens * (request.computedTokens + tokens / 2);
  }
  return { rows, requests: grants.length, pairs };
}

/** A pace that is older says nothing of what happens now. */
const OF_LATE_MS = 60_000;

/** What tokens count for in fairness, after Sheng et al.: a generated one takes a step of its own. */
const INPUT_COST = 1;
const OUTPUT_COST = 2;

/** Before any request has ended. */
const USUAL_COMPLETION_TOKENS = 64;

function* inTurn(order: WaitingOrder<Sequence>): Generator<Sequence> {
  for (let next = order.next(); next !== undefined; next = order.next()) {
    // As if each were served in its turn, so that the keys take turns here as they will in the batch.
    order.charge((next.totalTokens - next.chargedTokens) / next.fairnessWeight);
    yield next;
  }
}
