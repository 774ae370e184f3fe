import { randomUUID } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import { UsageService } from '#accounts/usage.service.js';
import { ModelResolver, type ResolvedVersion } from '#adapters/registry/model-resolver.service.js';
import { chatInput } from '#contracts/chat-input.js';
import type { GenerateEvent, GenerateRequest } from '#contracts/engine-protocol.js';
import { NEUTRAL_SAMPLING } from '#contracts/sampling.js';
import { EngineFleet } from '#fleet/engine-fleet.js';
import type { Question } from '#pipelines/hooks/pipeline-ports.js';
import { AppError } from '#runtime/app-error.js';

/** Under which "key" the usage of evaluations stands. */
const EVALUATION_KEY_ID = 'evaluation';

/** Asks one version one question, on the engines that serve everybody. Its tokens are metered like any other's. */
@Injectable()
export class VersionAnswers {
  constructor(
    private readonly fleet: EngineFleet,
    private readonly models: ModelResolver,
    private readonly usage: UsageService,
  ) {}

  /** The greedy answer. */
  async ask(question: Question, signal: AbortSignal): Promise<string> {
    const { tenantId, adapter, version } = question.address;
    const model = `${adapter}@${version}`;
    const served = await this.models.resolve(tenantId, { model, base: await this.fleet.base() });
    const request = requestOf(question, served);
    const began_ms = performance.now();
    const stop = new AbortController();
    try {
      const { events } = await this.fleet.generate(request, AbortSignal.any([signal, stop.signal]));
      const answer = await readAnswer(events);
      this.#meter(question, served, answer, { request, total_ms: performance.now() - began_ms });
      return answer.text;
    } finally {
      stop.abort(); // an answer that was left unread ends in the engine too
    }
  }

  #meter(
    { address }: Question,
    served: ResolvedVersion,
    { usage, queue_ms, ttft_ms }: Answer,
    { request, total_ms }: { request: GenerateRequest; total_ms: number },
  ): void {
    const { promptTokens, cachedTokens, completionTokens } = usage;
    this.usage.record({
      tenantId: address.tenantId,
      keyId: EVALUATION_KEY_ID,
      adapterId: served.adapterId,
      adapter: served.adapter,
      version: served.version,
      model: `${served.adapter}@${served.version}`,
      requestId: request.requestId,
      promptTokens,
      cachedTokens,
      completionTokens,
      errorCode: undefined,
      queue_ms,
      ttft_ms,
      total_ms,
      tpots_ms: completionTokens > 1 ? [(total_ms - ttft_ms) / (completionTokens - 1)] : [],
    });
  }
}

interface Answer {
  readonly text: string;
  readonly usage: Extract<GenerateEvent, { type: 'finish' }>['usage'];
  readonly queue_ms: number;
  readonly ttft_ms: number;
}

function requestOf(
  { address, case: asked, maxTokens }: Question,
  { digest }: ResolvedVersion,
): GenerateRequest {
  const { prompt = '', messages } = asked;
  return {
    requestId: `evaluation-${randomUUID()}`,
    cacheSalt: address.tenantId,
    fairnessKey: address.tenantId,
    adapter: digest,
    input: messages ? chatInput({ messages, addGenerationPrompt: true }) : { kind: 'text', text: prompt },
    maxTokens,
    minTokens: 0,
    ignoreEos: false,
    stop: [],
    stopTokenIds: [],
    includeStop: false,
    sampling: NEUTRAL_SAMPLING,
    returnPromptTokens: false,
  };
}

async function readAnswer(events: AsyncIterable<GenerateEvent>): Promise<Answer> {
  let text = '';
  for await (const event of events) {
    if (event.type === 'error') throw new AppError(event.code, { message: event.message });
    if (event.type === 'tokens') text += event.text;
    if (event.type === 'finish')
      return {
        text: text + event.text,
        usage: event.usage,
        queue_ms: event.timing.queue_ms,
        ttft_ms: event.timing.ttft_ms,
      };
  }
  throw new AppError('engine_unavailable', { message: 'The engine ended an answer before its end.' });
}
