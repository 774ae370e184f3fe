import type { GenerateEvent, ScoredToken, TokenChoice } from '#contracts/engine-protocol.js';
import type { ChatRequest } from '#contracts/openai/chat-request.js';
import type {
  ChatChoice,
  ChatChunkChoice,
  ChatCompletion,
  ChatCompletionChunk,
  ChatLogprobs,
} from '#contracts/openai/chat-response.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import type { AnswerFormat, AnswerHead } from './answer-format.js';
import { tokenName } from './token-text.js';

interface ChoiceState {
  content: string;
  logprobs: ChatLogprobs | null;
  finish: Extract<GenerateEvent, { type: 'finish' }> | undefined;
  tokenIds: number[];
}

/** Engine events of /v1/chat/completions as OpenAI's chat.completion, whole or in chunks. */
export class ChatFormat implements AnswerFormat {
  readonly #choices: ChoiceState[];
  #promptTokenIds: number[] | undefined;

  constructor(
    private readonly head: AnswerHead,
    private readonly request: ChatRequest,
  ) {
    this.#choices = Array.from({ length: request.n ?? 1 }, () => ({
      content: '',
      logprobs: request.logprobs ? { content: [], refusal: null } : null,
      finish: undefined,
      tokenIds: [],
    }));
  }

  chunks(sequence: number, event: GenerateEvent): ChatCompletionChunk[] {
    const choice = this.#chunkChoice(sequence, event);
    if (!choice) return [];
    const isFirst = event.type === 'start' && this.request.return_token_ids;
    return [this.#chunk([choice], isFirst ? { prompt_token_ids: event.promptTokenIds ?? [] } : {})];
  }

  usageChunk(usage: CompletionUsage): ChatCompletionChunk {
    return { ...this.#chunk([]), usage };
  }

  add(sequence: number, event: GenerateEvent): void {
    const choice = this.#choice(sequence);
    if (event.type === 'start') this.#promptTokenIds = event.promptTokenIds;
    if (event.type === 'tokens') {
      choice.content += event.text;
      choice.tokenIds.push(...event.ids);
      choice.logprobs?.content.push(...(event.scored ?? []).map(scoredToken));
    }
    if (event.type === 'finish') {
      choice.content += event.text;
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
    };
  }

  #choice(sequence: number): ChoiceState {
    const choice = this.#choices[sequence];
    if (!choice) throw new RangeError(`there is no sequence ${sequence}`);
    return choice;
  }

  #wholeChoice({ content, logprobs, finish, tokenIds }: ChoiceState, index: number): ChatChoice {
    if (!finish) throw new TypeError(`choice ${index} is not finished`);
    return {
      index,
      message: { role: 'assistant', content, refusal: null },
      logprobs,
      finish_reason: finish.reason,
      stop_reason: finish.stopReason,
      ...(this.request.return_token_ids ? { token_ids: tokenIds } : {}),
    };
  }

  /** What the event adds; undefined when a client would learn nothing from it. */
  #chunkChoice(index: number, event: GenerateEvent): ChatChunkChoice | undefined {
    const { logprobs, return_token_ids } = this.request;
    switch (event.type) {
      case 'start':
        return { index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null };
      case 'tokens': {
        if (event.text === '' && !logprobs && !return_token_ids) return undefined;
        return {
          index,
          delta: { content: event.text },
          logprobs: logprobs ? { content: (event.scored ?? []).map(scoredToken), refusal: null } : null,
          finish_reason: null,
          ...(return_token_ids ? { token_ids: event.ids } : {}),
        };
      }
      case 'finish':
        return {
          index,
          delta: event.text === '' ? {} : { content: event.text },
          logprobs: null,
          finish_reason: event.reason,
          stop_reason: event.stopReason,
        };
      case 'prompt':
        return undefined;
      case 'error':
        throw new TypeError('an error event has no place in an answer');
    }
  }

  #chunk(
    choices: ChatChunkChoice[],
    more: Pick<ChatCompletionChunk, 'prompt_token_ids'> = {},
  ): ChatCompletionChunk {
    const usage = this.request.stream_options?.include_usage ? { usage: null } : {};
    return { ...this.#head('chat.completion.chunk'), choices, ...usage, ...more };
  }

  #head<const T extends string>(object: T) {
    const { id, created, model, system_fingerprint } = this.head;
    return { id: `chatcmpl-${id}`, object, created, model, system_fingerprint };
  }
}

function scoredToken({ top, ...token }: ScoredToken): ChatLogprobs['content'][number] {
  return { ...plainToken(token), top_logprobs: top.map(plainToken) };
}

function plainToken(token: TokenChoice): { token: string; logprob: number; bytes: number[] } {
  return { token: tokenName(token), logprob: token.logprob, bytes: token.bytes };
}
