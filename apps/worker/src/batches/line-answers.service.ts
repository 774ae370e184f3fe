import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { BackgroundCallers } from '#accounts/background-callers.service.js';
import type { Caller } from '#accounts/request-caller.js';
import type { Batch } from '#batches/batch.entity.js';
import type { BatchLine } from '#batches/batch-line.js';
import type { LineResult } from '#batches/batch-states.service.js';
import type { ErrorCode } from '#contracts/errors.js';
import { AdmissionService, type Admitted } from '#inference/life/admission.service.js';
import { type Generation, InferenceService } from '#inference/life/inference.service.js';
import { AppError, toEnvelope } from '#runtime/app-error.js';
import { newId, publicId } from '#stores/ids.js';
import { asDependencyError } from '#stores/postgres/database-error.js';
import { backoff } from '../patience.js';
import { BatchMetrics } from './batch-metrics.js';
import { asPartOfBatch } from './line-span.js';
import { type LineQuestion, LineQuestions } from './line-questions.service.js';

/** Nothing is wrong with the line: it is asked again for as long as the batch has time. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'engine_unavailable',
  'overloaded',
  'dependency_unavailable',
  'maintenance',
  'tenant_suspended',
  'insufficient_quota',
  'rate_limit_exceeded',
]);
/** These may pass too, or be the line's own fault. */
const DOUBTFUL: ReadonlySet<ErrorCode> = new Set(['internal_error', 'version_not_ready', 'request_timeout']);
const MOST_DOUBTS = 5;
const LONGEST_WAIT_MS = 5_000;

const NO_TOKENS = { inputTokens: 0, cachedTokens: 0, outputTokens: 0, reasoningTokens: 0 };

interface Answer {
  readonly status: number;
  readonly body: object;
  readonly usage: LineResult['usage'];
}

/** Asks a line as its endpoint would, in the background, until there is an answer that no waiting changes. */
@Injectable()
export class LineAnswers {
  constructor(
    private readonly callers: BackgroundCallers,
    private readonly questions: LineQuestions,
    private readonly admission: AdmissionService,
    private readonly inference: InferenceService,
    private readonly metrics: BatchMetrics,
  ) {}

  /** Undefined: `signal` aborted first. */
  answer(batch: Batch, line: BatchLine, signal: AbortSignal): Promise<LineResult | undefined> {
    const id = publicId('batch_req_', newId());
    return asPartOfBatch(batch, line, id, () => this.#answer(batch, line, id, signal));
  }

  async #answer(
    batch: Batch,
    line: BatchLine,
    id: string,
    signal: AbortSignal,
  ): Promise<LineResult | undefined> {
    this.metrics.running.inc();
    try {
      const { status, body, usage } = await this.#untilAnswered(batch, line, id, signal);
      const response = { status_code: status, request_id: id, body };
      const isError = status !== 200;
      const written = { id, custom_id: line.customId, response, error: null };
      return { line: line.number, isError, body: JSON.stringify(written), usage };
    } catch (error) {
      if (signal.aborted) return undefined;
      throw error;
    } finally {
      this.metrics.running.dec();
    }
  }

  async #untilAnswered(
    batch: Batch,
    line: BatchLine,
    requestId: string,
    signal: AbortSignal,
  ): Promise<Answer> {
    let doubts = 0;
    for (const pause of backoff(signal)) {
      signal.throwIfAborted();
      try {
        return await this.#ask(batch, line, requestId, signal);
      } catch (error) {
        signal.throwIfAborted();
        const fault = faultOf(error);
        if (DOUBTFUL.has(fault.code)) doubts += 1;
        if (!mayPass(fault) || doubts >= MOST_DOUBTS) return failure(fault);
        this.metrics.waited(fault.code);
        await waitFor(fault, pause, signal);
      }
    }
    throw new Error('backoff never ends');
  }

  async #ask(batch: Batch, line: BatchLine, requestId: string, signal: AbortSignal): Promise<Answer> {
    const caller = await this.callers.of(batch.tenantId, batch.keyId);
    if (!caller) throw new AppError('tenant_suspended');
    const question = await this.questions.of(batch.endpoint, line.body, caller, signal);
    const admitted = await this.admission.decide({ plan: question.plan, caller });
    if (admitted.refusal) throw admitted.refusal;
    return this.#generate({ question, caller, admitted, requestId }, signal);
  }

  async #generate({ question, caller, admitted, requestId }: Asked, signal: AbortSignal): Promise<Answer> {
    const controller = new AbortController();
    const forward = (): void => controller.abort(signal.reason);
    signal.addEventListener('abort', forward, { once: true });
    if (signal.aborted) forward();
    let generation: Generation | undefined;
    try {
      const { plan } = question;
      generation = await this.inference.start({ plan, caller, requestId, controller, background: true });
      const format = question.format(generation.head);
      for await (const { source, value } of generation.events) format.add(source, value);
      const body = format.whole(generation.usage());
      await question.keep?.(body);
      return { status: 200, body, usage: usageOf(generation, body) };
    } finally {
      signal.removeEventListener('abort', forward);
      admitted.settle(generation?.usage().total_tokens ?? 0);
    }
  }
}

interface Asked {
  readonly question: LineQuestion;
  readonly caller: Caller;
  readonly admitted: Admitted;
  readonly requestId: string;
}

function faultOf(error: unknown): AppError {
  const known = asDependencyError(error);
  return known instanceof AppError ? known : new AppError('internal_error', { cause: error });
}

/** A rate limit that the line alone passes never lets it through. */
function mayPass(fault: AppError): boolean {
  if (fault.code === 'rate_limit_exceeded') return fault.retryable;
  return PASSING.has(fault.code) || DOUBTFUL.has(fault.code);
}

async function waitFor(fault: AppError, pause: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const { retryAfter_s } = fault.details;
  if (fault.code === 'rate_limit_exceeded' && retryAfter_s !== undefined)
    await sleep(Math.min(retryAfter_s * 1000, LONGEST_WAIT_MS), undefined, { signal });
  else await pause();
}

function failure(fault: AppError): Answer {
  const { status, body } = toEnvelope(fault);
  return { status, body, usage: NO_TOKENS };
}

function usageOf(generation: Generation, body: object): LineResult['usage'] {
  const { prompt_tokens, completion_tokens, prompt_tokens_details } = generation.usage();
  const { usage } = body as { usage?: { output_tokens_details?: { reasoning_tokens?: number } } };
  return {
    inputTokens: prompt_tokens,
    cachedTokens: prompt_tokens_details.cached_tokens,
    outputTokens: completion_tokens,
    reasoningTokens: usage?.output_tokens_details?.reasoning_tokens ?? 0,
  };
}
