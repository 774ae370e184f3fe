import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { Injectable } from '@nestjs/common';
import { UsageService } from '#accounts/usage.service.js';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { faultOfEvent } from '#fleet/shared-fault.js';
import { AppError } from '#runtime/app-error.js';
import { noteSpent } from '#runtime/request-context.js';
import type { TraceSpan } from '#runtime/tracing/trace-span.js';
import type { AnswerHead } from '../answers/answer-format.js';
import { bySequence, type EngineCall, engineCalls } from '../plan/engine-calls.js';
import { formatsFor, type GenerationPlan, type SequenceRequest } from '../plan/generation-plan.js';
import { InferenceMetrics } from '../meter/inference-metrics.js';
import { type Merged, mergeStreams } from '#runtime/merge-streams.js';
import { checkDimensions } from '../plan/embedding-plan.js';
import { checkPromptLengths } from '../plan/prompt-length.js';
import { KeptRequests } from '../kept/kept-requests.service.js';
import { RequestMeter } from '../meter/request-meter.js';
import type { RequestRecord } from '../kept/request-record.js';
import { beginGeneration, endGeneration } from '../trace/generation-span.js';
import { type EngineScope, type RequestTrial, RequestTrials } from '../trials/request-trials.service.js';
import type { Asker } from './asker.js';
import { openInTurn } from './open-in-turn.js';
import {
  adapterOf,
  fingerprint,
  membersOf,
  servedName,
  type ServedModel,
  versionAlone,
} from './served-model.js';
import { ServedModels } from './served-models.service.js';

export interface InferenceCall {
  readonly plan: GenerationPlan;
  readonly caller: Asker;
  readonly requestId: string;
  /** Aborted when nobody waits for the answer any more; the service aborts it itself when the request ends. */
  readonly controller: AbortController;
  /** Nobody waits for it: it comes behind every other request. */
  readonly background?: boolean;
}

export interface Generation {
  readonly head: AnswerHead;
  /** Events of all sequences as they come; throws the first fault of any. */
  readonly events: AsyncIterable<Merged<GenerateEvent>>;
  /** So far. */
  readonly usage: () => CompletionUsage;
}

/** Resolves the model, sends each sequence to the fleet, and meters the request exactly once. */
@Injectable()
export class InferenceService {
  constructor(
    private readonly fleet: EngineFleet,
    private readonly models: ServedModels,
    private readonly usage: UsageService,
    private readonly metrics: InferenceMetrics,
    private readonly trials: RequestTrials,
    private readonly requests: KeptRequests,
  ) {}

  /** Throws what is wrong with the request; after that `events` must be read to its end or left. */
  async start(call: InferenceCall): Promise<Generation> {
    const { plan, controller } = call;
    const span = beginGeneration(plan, call.caller.tenant.id);
    const model = await this.#resolve(call, span);
    const meter = new RequestMeter(plan.sequences);
    const trial = this.trials.begin(versionAlone(model, plan.loraScale), plan.sequences, engineScope(call));
    const id = randomUUID().replaceAll('-', '');
    const running = { id, call, model, meter, trial, record: this.requests.begin(call), span };
    try {
      checkPromptLengths(plan, model.base, call.caller.tenant.quotas.max_context);
      const calls = engineCalls(trial.sequences);
      checkDimensions(plan, model.base);
      const { engines, events } = await this.#open(running, calls);
      const head = {
        id,
        created: Math.floor(Date.now() / 1000),
        model: plan.model,
        system_fingerprint: fingerprint(engines, model),
      };
      const merged = bySequence(mergeStreams(events), calls);
      return { head, events: this.#metered(merged, running), usage: () => meter.usage };
    } catch (error) {
      const fault = faultOf(error, controller.signal);
      this.#settle(running, fault);
      controller.abort(error);
      throw inFieldsOf(plan, fault);
    }
  }

  async #resolve(call: InferenceCall, span: TraceSpan | undefined): Promise<ServedModel> {
    try {
      return await this.models.find(call.caller, call.plan, call.controller.signal);
    } catch (error) {
      const { code } = faultOf(error, call.controller.signal);
      this.usage.recordRefusal(call.caller.tenant.id, code);
      this.requests.refuse(call, code);
      span?.fail(code);
      span?.end();
      throw error;
    }
  }

  #open({ id, call, model, span }: Running, calls: readonly EngineCall[]) {
    const { controller, plan } = call;
    setMaxListeners(calls.length + 10, controller.signal);
    return openInTurn(calls, ({ request, n }, index) =>
      this.fleet.generate(
        {
          ...request,
          ...(n > 1 ? { n } : {}),
          ...formatsFor(request, model.parts[0]?.version.formats),
          ...engineScope(call),
          requestId: `${id}-${index}`,
          ...turnOf(call, request),
          ...adapterOf(model, plan.loraScale),
        },
        controller.signal,
        span,
      ),
    );
  }

  async *#metered(
    merged: AsyncIterable<Merged<GenerateEvent>>,
    running: Running,
  ): AsyncGenerator<Merged<GenerateEvent>> {
    const { call, meter, trial, record } = running;
    let fault: AppError | undefined = new AppError('client_closed_request');
    try {
      for await (const item of merged) {
        meter.note(item.source, item.value);
        trial.note(item.source, item.value);
        record?.note(item.source, item.value);
        if (item.value.type === 'error') throw faultOfEvent(item.value);
        yield item;
      }
      fault = undefined;
    } catch (error) {
      fault = faultOf(error, call.controller.signal);
      throw fault;
    } finally {
      this.#settle(running, fault);
      // The other sequences of a failed or abandoned request end with it.
      call.controller.abort(fault ?? new AppError('client_closed_request'));
    }
  }

  #settle(running: Running, fault: AppError | undefined): void {
    const { id, call, model, meter, trial, record, span } = running;
    if (record) this.requests.end({ call, served: servedName(model), meter, record }, fault?.code);
    const { usage, queue_ms, ttft_ms, total_ms, tpots_ms } = meter;
    this.metrics.observe({ fault, usage, ttft_ms, total_ms });
    noteSpent({
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
      completionTokens: usage.completion_tokens,
      ttft_ms,
    });
    if (span) endGeneration(span, { id, model, meter, fault: fault?.code });
    // What the client or a shutdown ended says nothing of the version.
    if (!call.controller.signal.aborted) trial.end(fault, meter);
    this.usage.record({
      tenantId: call.caller.tenant.id,
      keyId: call.caller.keyId,
      ...servedName(model),
      ...membersOf(model),
      model: call.plan.model,
      requestId: call.requestId,
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
      completionTokens: usage.completion_tokens,
      errorCode: fault?.code,
      queue_ms,
      ttft_ms,
      total_ms,
      tpots_ms,
    });
  }
}

/** A request between its admission and its end. */
interface Running {
  readonly id: string;
  readonly call: InferenceCall;
  readonly model: ServedModel;
  readonly meter: RequestMeter;
  readonly trial: RequestTrial;
  /** Absent: the tenant wants nothing kept. */
  readonly record: RequestRecord | undefined;
  /** Absent: the request is not traced. */
  readonly span: TraceSpan | undefined;
}

/** What holds for everything that is asked on a caller's behalf. */
function engineScope({ plan: { cacheSalt }, caller: { tenant } }: InferenceCall): EngineScope {
  const { max_context } = tenant.quotas;
  // An id has no space, so that no salt makes one tenant's scope another's.
  return {
    cacheSalt: cacheSalt === undefined ? tenant.id : `${tenant.id} ${cacheSalt}`,
    ...(max_context === undefined ? {} : { maxContext: max_context }),
  };
}

/** An engine shares its steps out by these: what runs in the background gets what little no other request wants. */
const BACKGROUND_SHARE = 0.001;
const LEAST_WEIGHT = 0.001;
const BACKGROUND_PRIORITY = 1_000_000;

/** When the turn of a request comes. */
function turnOf({ caller: { tenant }, background }: InferenceCall, { priority = 0 }: SequenceRequest) {
  if (!background) return { fairnessKey: tenant.id, fairnessWeight: tenant.weight };
  return {
    fairnessKey: `${tenant.id} background`,
    fairnessWeight: Math.max(LEAST_WEIGHT, tenant.weight * BACKGROUND_SHARE),
    priority: Math.min(priority + BACKGROUND_PRIORITY, 2 ** 31 - 1),
  };
}

/** Why a request failed; an abort says more in its reason than in the error that it caused. */
function faultOf(error: unknown, signal: AbortSignal): AppError {
  if (signal.aborted && signal.reason instanceof AppError) return signal.reason;
  if (error instanceof AppError && error.code !== 'client_closed_request') return error;
  if (signal.aborted)
    return new AppError('engine_unavailable', { message: 'The server is shutting down.', cause: error });
  return error instanceof AppError ? error : new AppError('internal_error', { cause: error });
}

/** The engine calls every input a prompt, and does not know where a scale was written. */
function inFieldsOf({ promptField, loraScale }: GenerationPlan, fault: AppError): AppError {
  const { details, message, code } = fault;
  if (details.param === 'lora_scale' && loraScale === undefined)
    return new AppError(code, {
      ...details,
      message: message.replace('lora_scale', 'model'),
      param: 'model',
    });
  if (details.param !== 'prompt' || promptField === 'prompt') return fault;
  return new AppError(code, { ...details, message, param: promptField });
}
