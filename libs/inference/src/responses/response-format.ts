import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { ErrorEnvelope } from '#contracts/errors.js';
import type { ChatRequest } from '#contracts/openai/chat-request.js';
import type { ChatDelta } from '#contracts/openai/chat-response.js';
import type { CreateResponse } from '#contracts/openai/responses/create-response.js';
import type { OutputLogprob } from '#contracts/openai/responses/items.js';
import type { ResponseResource } from '#contracts/openai/responses/response.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import type { AnswerFormat, AnswerHead } from '../answers/answer-format.js';
import { ChatChoiceState } from '../answers/chat-choice.js';
import { scoredToken } from '../answers/chat-format.js';
import { serviceTier } from '../answers/service-tier.js';
import { tokenNaming } from '../answers/token-text.js';
import { ResponseOutput } from './response-output.js';

type TokensEvent = Extract<GenerateEvent, { type: 'tokens' }>;

/** Engine events as OpenAI's response, whole or as its stream of numbered events. */
export class ResponseFormat implements AnswerFormat {
  readonly #state: ChatChoiceState;
  readonly #output = new ResponseOutput();
  readonly #naming = tokenNaming(false);
  #events = 0;
  #finish: Extract<GenerateEvent, { type: 'finish' }> | undefined;
  /** Of tokens whose text has not been said yet. */
  #logprobs: OutputLogprob[] = [];
  /** Unix seconds. */
  #endedAt = 0;
  #tokens = 0;
  #reasoningTokens = 0;

  constructor(
    private readonly head: AnswerHead,
    private readonly request: CreateResponse,
    chat: ChatRequest,
  ) {
    this.#state = new ChatChoiceState(chat, '');
  }

  chunks(_sequence: number, event: GenerateEvent): object[] {
    return this.#numbered(this.#take(event));
  }

  closing(usage: CompletionUsage): object[] {
    const response = this.whole(usage);
    return this.#numbered([{ type: `response.${response.status}`, response }]);
  }

  failing({ error }: ErrorEnvelope): object[] {
    const { code, message, param, type } = error;
    const failure = { code: type === 'server_error' ? 'server_error' : 'invalid_prompt', message };
    const response = { ...this.#response('failed'), error: failure };
    return this.#numbered([
      { type: 'error', code, message, param },
      { type: 'response.failed', response },
    ]);
  }

  add(_sequence: number, event: GenerateEvent): void {
    this.#take(event);
  }

  whole(usage: CompletionUsage): ResponseResource {
    if (!this.#finish) throw new TypeError('the answer is not finished');
    const isCut = this.#finish.reason === 'length';
    const { prompt_tokens, completion_tokens, total_tokens, prompt_tokens_details } = usage;
    return {
      ...this.#response(isCut ? 'incomplete' : 'completed'),
      completed_at: isCut ? null : this.#endedAt,
      incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
      usage: {
        input_tokens: prompt_tokens,
        input_tokens_details: { cached_tokens: prompt_tokens_details.cached_tokens, cache_write_tokens: 0 },
        output_tokens: completion_tokens,
        output_tokens_details: { reasoning_tokens: this.#reasoningTokens },
        total_tokens,
      },
    };
  }

  #take(event: GenerateEvent): object[] {
    switch (event.type) {
      case 'start': {
        this.#state.begin(event.formats);
        const response = this.#response('in_progress');
        return [
          { type: 'response.created', response },
          { type: 'response.in_progress', response },
        ];
      }
      case 'tokens':
        this.#note(event);
        return this.#said(this.#state.push(event.text), event.ids.length);
      case 'finish': {
        this.#finish = event;
        this.#endedAt = Math.floor(Date.now() / 1000);
        const said = this.#said(this.#state.finish(event.text), 0);
        return [...said, ...this.#output.end(event.reason === 'length')];
      }
      default:
        return [];
    }
  }

  #note({ scored = [] }: TokensEvent): void {
    this.#logprobs.push(...scored.map((token) => scoredToken(token, this.#naming)));
  }

  /** Text lags behind its tokens: those that said nothing yet belong to what is said next. */
  #said(delta: ChatDelta, tokens: number): object[] {
    this.#tokens += tokens;
    if (delta.reasoning_content && !delta.content && !delta.tool_calls) this.#reasoningTokens = this.#tokens;
    if (!delta.reasoning_content && !delta.content && !delta.tool_calls) return [];
    const logprobs = delta.content ? this.#logprobs : [];
    this.#logprobs = [];
    return this.#output.add(delta, logprobs);
  }

  #numbered(events: readonly object[]): object[] {
    return events.map((event) => ({ ...event, sequence_number: this.#events++ }));
  }

  #response(status: ResponseResource['status']): ResponseResource {
    const { request, head } = this;
    const { effort = null } = request.reasoning ?? {};
    return {
      id: `resp_${head.id}`,
      object: 'response',
      created_at: head.created,
      status,
      completed_at: null,
      background: false,
      error: null,
      incomplete_details: null,
      instructions: request.instructions ?? null,
      max_output_tokens: request.max_output_tokens ?? null,
      model: head.model,
      output: structuredClone(this.#output.items),
      parallel_tool_calls: request.parallel_tool_calls ?? true,
      previous_response_id: request.previous_response_id ?? null,
      prompt_cache_key: request.prompt_cache_key ?? null,
      reasoning: { effort, summary: null },
      safety_identifier: request.safety_identifier ?? null,
      service_tier: serviceTier(request).service_tier ?? 'default',
      store: request.store ?? true,
      system_fingerprint: head.system_fingerprint,
      temperature: request.temperature ?? 1,
      text: { format: request.text?.format ?? { type: 'text' }, verbosity: 'medium' },
      tool_choice: request.tool_choice ?? 'auto',
      tools: (request.tools ?? []).map(shownTool),
      top_logprobs: request.top_logprobs ?? 0,
      top_p: request.top_p ?? 1,
      truncation: request.truncation ?? 'disabled',
      usage: null,
      user: request.user ?? null,
      metadata: request.metadata ?? {},
    };
  }
}

function shownTool(tool: NonNullable<CreateResponse['tools']>[number]): ResponseResource['tools'][number] {
  const { description = null, parameters = null, strict = null } = tool;
  return { ...tool, description, parameters, strict };
}
