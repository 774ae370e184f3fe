import type { GenerateRequest } from '#contracts/engine-protocol.js';
import { currentRequest } from '#runtime/request-context.js';
import type { TraceSpan } from '#runtime/tracing/trace-span.js';
import type { GenerationPlan } from '../plan/generation-plan.js';
import { adapterOf, adaptersOf, type ServedModel } from '../life/served-model.js';
import type { RequestMeter } from '../meter/request-meter.js';

type Asked = Pick<GenerateRequest, 'input' | 'embedding'>;

/**
 * The span of an inference request, named and described as OpenTelemetry's semantic conventions for generative AI say;
 * what was asked and answered is not in it. Undefined where the request is not traced.
 */
export function beginGeneration(plan: GenerationPlan, tenantId: string): TraceSpan | undefined {
  const parent = currentRequest()?.span;
  const [first] = plan.sequences;
  if (!parent || !first) return undefined;
  const { request } = first;
  const operation = operationOf(request);
  const choices = plan.sequences.filter(({ prompt }) => prompt === first.prompt).length;
  const { temperature, topP, topK, presencePenalty, frequencyPenalty, seed } = request.sampling;
  return parent.begin(`${operation} ${plan.model}`, {
    attributes: {
      'gen_ai.operation.name': operation,
      'gen_ai.provider.name': 'lorikeet',
      'gen_ai.request.model': plan.model,
      ...(choices > 1 ? { 'gen_ai.request.choice.count': choices } : {}),
      ...(request.embedding
        ? {}
        : {
            'gen_ai.request.max_tokens': request.maxTokens,
            'gen_ai.request.temperature': temperature,
            'gen_ai.request.top_p': topP,
            'gen_ai.request.top_k': topK,
            'gen_ai.request.presence_penalty': presencePenalty,
            'gen_ai.request.frequency_penalty': frequencyPenalty,
            'gen_ai.request.seed': seed,
            'gen_ai.output.type': request.structure ? 'json' : 'text',
          }),
      'lorikeet.tenant.id': tenantId,
    },
  });
}

export interface GenerationEnd {
  readonly model: ServedModel;
  readonly meter: RequestMeter;
  readonly id: string;
  /** The code of what went wrong; undefined: nothing. */
  readonly fault: string | undefined;
}

export function endGeneration(span: TraceSpan, end: GenerationEnd): void {
  const { usage, ttft_ms, finishReasons } = end.meter;
  span.set({
    'gen_ai.response.id': end.id,
    'gen_ai.response.model': adaptersOf(end.model) ?? end.model.base.name,
    'gen_ai.response.finish_reasons': finishReasons.length > 0 ? finishReasons : undefined,
    'gen_ai.usage.input_tokens': usage.prompt_tokens,
    'gen_ai.usage.output_tokens': usage.completion_tokens,
    'gen_ai.usage.cache_read.input_tokens': usage.prompt_tokens_details.cached_tokens,
    'gen_ai.response.time_to_first_chunk': ttft_ms === undefined ? undefined : ttft_ms / 1000,
    'lorikeet.adapter.digest': adapterOf(end.model).adapter,
  });
  if (end.fault !== undefined) span.fail(end.fault);
  span.end();
}

function operationOf({ input, embedding }: Asked): string {
  if (embedding) return 'embeddings';
  return input.kind === 'chat' ? 'chat' : 'text_completion';
}
