import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import type { Caller } from '#accounts/caller.js';
import { UsageService } from '#accounts/usage.service.js';
import { ModelResolver } from '#adapters/model-resolver.service.js';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import { AppError } from '#runtime/app-error.js';
import type { AnswerHead } from './answer-format.js';
import type { GenerationPlan } from './generation-plan.js';
import { InferenceMetrics } from './inference-metrics.js';
import { type Merged, mergeStreams } from './merge-streams.js';
import { RequestMeter } from './request-meter.js';
import { checkBase, fingerprint, type ServedModel } from './served-model.js';

export interface InferenceCall {
  readonly plan: GenerationPlan;
  readonly caller: Caller;
  readonly requestId: string;
  /** Aborted by the client's leaving or a shutdown; the service aborts it itself when the request ends. */
  readonly controller: AbortController;
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
    private readonly models: ModelResolver,
    private readonly usage: UsageService,
    private readonly metrics: InferenceMetrics,
  ) {}

  /** Throws what is wrong with the request; after that `events` must be read to its end or left. */
  async start(call: InferenceCall): Promise<Generation> {
    const { plan, controller } = call;
    const model = await this.#resolve(call);
    const meter = new RequestMeter(plan.sequences);
    const id = randomUUID().replaceAll('-', '');
    try {
      const streams = await this.#open(call, model, id);
      const head = {
        id,
        created: Math.floor(Date.now() / 1000),
        model: plan.model,
        system_fingerprint: fingerprint(
          streams.map(({ engine }) => engine),
          model,
        ),
      };
      const merged = mergeStreams(streams.map(({ events }) => events));
      return { head, events: this.#metered(merged, call, model, meter), usage: () => meter.usage };
    } catch (error) {
      controller.abort(error);
      this.#settle(call, model, meter, error);
      throw inFieldsOf(plan, faultOf(error, controller.signal));
    }
  }

  async #resolve({ plan, caller }: InferenceCall): Promise<ServedModel> {
    const base = await this.fleet.base();
    if (plan.model === base.name) return { base, version: undefined };
    const model = { base, version: await this.models.resolve(caller.tenant.id, plan.model, plan.user) };
    checkBase(model);
    return model;
  }

  #open({ plan, caller, controller }: InferenceCall, { version }: ServedModel, id: string) {
    const { tenant } = caller;
    return Promise.all(
      plan.sequences.map(({ request }, index) =>
        this.fleet.generate(
          {
            ...request,
            requestId: `${id}-${index}`,
            cacheSalt: tenant.id,
            fairnessKey: tenant.id,
            fairnessWeight: tenant.weight,
            ...(tenant.quotas.max_context === undefined ? {} : { maxContext: tenant.quotas.max_context }),
            ...(version ? { adapter: version.digest } : {}),
          },
          controller.signal,
        ),
      ),
    );
  }

  async *#metered(
    merged: AsyncIterable<Merged<GenerateEvent>>,
    call: InferenceCall,
    model: ServedModel,
    meter: RequestMeter,
  ): AsyncGenerator<Merged<GenerateEvent>> {
    let fault: AppError | undefined = new AppError('client_closed_request');
    try {
      for await (const item of merged) {
        meter.note(item.source, item.value);
        if (item.value.type === 'error') throw new AppError(item.value.code, { message: item.value.message });
        yield item;
      }
      fault = undefined;
    } catch (error) {
      fault = faultOf(error, call.controller.signal);
      throw fault;
    } finally {
      // The other sequences of a failed or abandoned request end with it.
      call.controller.abort(fault ?? new AppError('client_closed_request'));
      this.#settle(call, model, meter, fault);
    }
  }

  #settle(call: InferenceCall, { version }: ServedModel, meter: RequestMeter, fault: unknown): void {
    const { usage, ttft_ms, total_ms, tpot } = meter;
    this.metrics.observe({ fault, usage, ttft_ms, total_ms });
    this.usage.record({
      tenantId: call.caller.tenant.id,
      keyId: call.caller.keyId,
      adapterId: version?.adapterId,
      adapter: version?.callName,
      version: version?.version,
      model: call.plan.model,
      requestId: call.requestId,
      promptTokens: usage.prompt_tokens,
      cachedTokens: usage.prompt_tokens_details.cached_tokens,
      completionTokens: usage.completion_tokens,
      error: fault !== undefined,
      ttft_ms,
      total_ms,
      tpotSequences: tpot.sequences,
      tpot_ms: tpot.sum_ms,
    });
  }
}

/** Why a request failed; an abort says more in its reason than in the error that it caused. */
function faultOf(error: unknown, signal: AbortSignal): AppError {
  if (signal.aborted && signal.reason instanceof AppError) return signal.reason;
  if (error instanceof AppError && error.code !== 'client_closed_request') return error;
  if (signal.aborted)
    return new AppError('engine_unavailable', { message: 'The server is shutting down.', cause: error });
  return error instanceof AppError ? error : new AppError('internal_error', { cause: error });
}

/** The engine calls every input a prompt; a chat's field is `messages`. */
function inFieldsOf({ sequences }: GenerationPlan, fault: AppError): AppError {
  if (fault.details.param !== 'prompt' || sequences[0]?.request.input.kind !== 'chat') return fault;
  return new AppError(fault.code, { ...fault.details, message: fault.message, param: 'messages' });
}
