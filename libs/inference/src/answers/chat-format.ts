import type { GenerateEvent, ScoredToken, TokenChoice } from '#contracts/engine-protocol.js';
import type { ChatRequest } from '#contracts/openai/chat-request.js';
import type {
  ChatChoice,
  ChatChunkChoice,
  ChatCompletion,
  ChatCompletionChunk,
  ChatLogprobs,
} from '#contracts/openai/chat-response.js';
import type { CompletionUsage, PromptLogprobs } from '#contracts/openai/usage.js';
import { textOf } from '../plan/chat-plan.js';
import type { AnswerFormat, AnswerHead } from './answer-format.js';
import { ChatChoiceState } from './chat-choice.js';
import { promptLogprobs } from './prompt-logprobs.js';
import { serviceTier } from './service-tier.js';
import { type TokenNaming, tokenNaming } from './token-text.js';

interface Choice {
  readonly state: ChatChoiceState;
  readonly logprobs: ChatLogprobs | null;
  readonly tokenIds: number[];
  finish: Extract<GenerateEvent, { type: 'finish' }> | undefined;
}

/** Engine events of /v1/chat/completions as OpenAI's chat.completion, whole or in chunks. */
export class ChatFormat implements AnswerFormat {
  readonly #choices: Choice[];
  readonly #naming: TokenNaming;
  /** What the answer goes on with, where the request wants it repeated. */
  readonly #echoed: string;
  #promptTokenIds: number[] | undefined;
  #promptLogprobs: PromptLogprobs | undefined;

  constructor(
    private readonly head: AnswerHead,
    private readonly request: ChatRequest,
  ) {
    this.#naming = tokenNaming(request.return_tokens_as_token_ids);
    this.#echoed = echoedOf(request);
    this.#choices = Array.from({ length: request.n ?? 1 }, () => ({
      state: new ChatChoiceState(request, this.#echoed),
      logprobs: request.logprobs ? { content: [], refusal: null } : null,
      finish: undefined,
      tokenIds: [],
    }));
  }

  chunks(sequence: number, event: GenerateEvent, usage: () => CompletionUsage): ChatCompletionChunk[] {
    const choice = this.#chunkChoice(sequence, event);
    if (!choice) return [];
    const isFirst = event.type === 'start' && this.request.return_token_ids;
    const sofar = this.request.stream_options?.continuous_usage_stats ? usage() : null;
    const more = isFirst ? { prompt_token_ids: event.promptTokenIds ?? [] } : {};
    return [{ ...this.#chunk([choice], sofar), ...more }];
  }

  closing(usage: CompletionUsage): ChatCompletionChunk[] {
    return this.request.stream_options?.include_usage ? [this.#chunk([], usage)] : [];
  }

  add(sequence: number, event: GenerateEvent): void {
    const choice = this.#choice(sequence);
    if (event.type === 'start') choice.state.begin(event.formats);
    if (event.type === 'start') this.#promptTokenIds = event.promptTokenIds;
    const { prompt_logprobs: count } = this.request;
    if (event.type === 'prompt' && typeof count === 'number')
      this.#promptLogprobs ??= promptLogprobs(event, count);
    if (event.type === 'tokens') {
      choice.state.push(event.text);
      choice.tokenIds.push(...event.ids);
      choice.logprobs?.content.push(...(event.scored ?? []).map((token) => scoredToken(token, this.#naming)));
    }
    if (event.type === 'finish') {
      choice.state.finish(event.text);
      choice.finish = event;
    }
  }

  whole(usage: CompletionUsage): ChatCompletion {
    const promptTokenIds = this.request.return_token_ids
      ? { prompt_token_ids: this.#promptTokenIds ?? [] }
      : {};
    return {
      ...this.#head('chat.completion'),
      choices: this.#choices.map((choice, index) => this.#wholeChoice(choice, index)),
      usage,
      ...promptTokenIds,
      ...(this.#promptLogprobs ? { prompt_logprobs: this.#promptLogprobs } : {}),
    };
  }

  #choice(sequence: number): Choice {
    const choice = this.#choices[sequence];
    if (!choice) throw new RangeError(`there is no sequence ${sequence}`);
    return choice;
  }

  #wholeChoice({ state, logprobs, finish, tokenIds }: Choice, index: number): ChatChoice {
    if (!finish) throw new TypeError(`choice ${index} is not finished`);
    return {
      index,
      message: state.message,
      logprobs,
      finish_reason: state.reasonOf(finish.reason),
      stop_reason: finish.stopReason,
      ...(this.request.return_token_ids ? { token_ids: tokenIds } : {}),
    };
  }

  /** What the event adds; undefined when a client would learn nothing from it. */
  #chunkChoice(index: number, event: GenerateEvent): ChatChunkChoice | undefined {
    const { logprobs, return_token_ids } = this.request;
    const { state } = this.#choice(index);
    switch (event.type) {
      case 'start':
        state.begin(event.formats);
        return {
          index,
          delta: { role: 'assistant', content: this.#echoed },
          logprobs: null,
          finish_reason: null,
        };
      case 'tokens': {
        const delta = state.push(event.text);
        const isEmpty = Object.keys(delta).length === 0;
        if (isEmpty && !logprobs && !return_token_ids) return undefined;
        return {
          index,
          delta: isEmpty ? { content: '' } : delta,
          logprobs: logprobs ? this.#logprobs(event.scored ?? []) : null,
          finish_reason: null,
          ...(return_token_ids ? { token_ids: event.ids } : {}),
        };
      }
      case 'finish':
        return {
          index,
          delta: state.finish(event.text),
          logprobs: null,
          finish_reason: state.reasonOf(event.reason),
          stop_reason: event.stopReason,
        };
      case 'prompt':
        return undefined;
      case 'error':
        throw new TypeError('an error event has no place in an answer');
    }
  }

  #logprobs(scored: readonly ScoredToken[]): ChatLogprobs {
    return { content: scored.map((token) => scoredToken(token, this.#naming)), refusal: null };
  }

  /** With include_usage every chunk has the member. */
  #chunk(choices: ChatChunkChoice[], usage: CompletionUsage | null): ChatCompletionChunk {
    const counted = this.request.stream_options?.include_usage ? { usage } : {};
    return { ...this.#head('chat.completion.chunk'), choices, ...counted };
  }

  #head<const T extends string>(object: T) {
    const { id, created, model, system_fingerprint } = this.head;
    return {
      id: `chatcmpl-${id}`,
      object,
      created,
      model,
      system_fingerprint,
      ...serviceTier(this.request),
    };
  }
}

export function scoredToken(
  { top, ...token }: ScoredToken,
  naming: TokenNaming,
): ChatLogprobs['content'][number] {
  return { ...plainToken(token, naming), top_logprobs: top.map((choice) => plainToken(choice, naming)) };
}

function plainToken(
  token: TokenChoice,
  naming: TokenNaming,
): { token: string; logprob: number; bytes: number[] } {
  return { token: naming(token), logprob: token.logprob, bytes: token.bytes };
}

/** vLLM's `echo`: an answer that goes on with the assistant's last message begins with it. */
function echoedOf({ echo, messages }: ChatRequest): string {
  const last = messages.at(-1);
  return echo && last?.role === 'assistant' ? textOf(last.content ?? '') : '';
}
