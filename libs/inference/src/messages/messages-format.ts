import type {
  AnthropicAnswer,
  AnthropicStop,
  AnthropicUsage,
  ContentBlock,
} from '#contracts/anthropic/messages-response.js';
import type { GenerateEvent } from '#contracts/engine-protocol.js';
import type { ChatRequest } from '#contracts/openai/chat-request.js';
import type { ChatDelta, ChatMessage } from '#contracts/openai/chat-response.js';
import type { CompletionUsage } from '#contracts/openai/usage.js';
import type { AnswerFormat, AnswerHead } from '../answers/answer-format.js';
import { ChatChoiceState } from '../answers/chat-choice.js';

type Finish = Extract<GenerateEvent, { type: 'finish' }>;
type BlockDelta =
  | { readonly type: 'text_delta'; readonly text: string }
  | { readonly type: 'thinking_delta'; readonly thinking: string }
  | { readonly type: 'input_json_delta'; readonly partial_json: string };

/** Engine events as Anthropic's message, whole or as its stream of events. */
export class MessagesFormat implements AnswerFormat {
  readonly #state: ChatChoiceState;
  #finish: Finish | undefined;
  /** The block at hand in a stream, by its number. */
  #block: { readonly index: number; readonly type: ContentBlock['type'] } | undefined;
  #blocks = 0;

  constructor(
    private readonly head: AnswerHead,
    request: ChatRequest,
  ) {
    this.#state = new ChatChoiceState(request, '');
  }

  chunks(_sequence: number, event: GenerateEvent, usage: () => CompletionUsage): object[] {
    switch (event.type) {
      case 'start':
        this.#state.begin(event.formats);
        return [
          {
            type: 'message_start',
            message: { ...this.#message(usage()), content: [], stop_reason: null, stop_sequence: null },
          },
        ];
      case 'tokens':
        return this.#said(this.#state.push(event.text));
      case 'finish':
        this.#finish = event;
        return [...this.#said(this.#state.finish(event.text)), ...this.#endBlock()];
      default:
        return [];
    }
  }

  closing(usage: CompletionUsage): object[] {
    return [{ type: 'message_delta', delta: this.#stop(), usage: usageOf(usage) }, { type: 'message_stop' }];
  }

  add(_sequence: number, event: GenerateEvent): void {
    if (event.type === 'start') this.#state.begin(event.formats);
    if (event.type === 'tokens') this.#state.push(event.text);
    if (event.type === 'finish') {
      this.#state.finish(event.text);
      this.#finish = event;
    }
  }

  whole(usage: CompletionUsage): AnthropicAnswer {
    return { ...this.#message(usage), content: blocksOf(this.#state.message), ...this.#stop() };
  }

  #message(usage: CompletionUsage) {
    return {
      id: `msg_${this.head.id}`,
      type: 'message' as const,
      role: 'assistant' as const,
      model: this.head.model,
      usage: usageOf(usage),
    };
  }

  #stop(): { stop_reason: AnthropicStop; stop_sequence: string | null } {
    if (!this.#finish) throw new TypeError('the answer is not finished');
    const { reason, stopReason } = this.#finish;
    if (reason === 'length') return { stop_reason: 'max_tokens', stop_sequence: null };
    if (typeof stopReason === 'string') return { stop_reason: 'stop_sequence', stop_sequence: stopReason };
    const called = this.#state.reasonOf(reason) === 'tool_calls';
    return { stop_reason: called ? 'tool_use' : 'end_turn', stop_sequence: null };
  }

  #said({ reasoning_content: thinking, content: text, tool_calls: calls = [] }: ChatDelta): object[] {
    const events: object[] = [];
    if (thinking) {
      events.push(...this.#inBlock('thinking', { type: 'thinking', thinking: '', signature: '' }));
      events.push(this.#delta({ type: 'thinking_delta', thinking }));
    }
    if (text) {
      events.push(...this.#inBlock('text', { type: 'text', text: '', citations: null }));
      events.push(this.#delta({ type: 'text_delta', text }));
    }
    for (const { id, function: called } of calls) {
      if (id !== undefined) {
        const begun = { type: 'tool_use' as const, id, name: called.name ?? '', input: {} };
        events.push(...this.#beginBlock(begun));
      }
      if (called.arguments !== '')
        events.push(this.#delta({ type: 'input_json_delta', partial_json: called.arguments }));
    }
    return events;
  }

  #inBlock(type: ContentBlock['type'], begun: ContentBlock): object[] {
    return this.#block?.type === type ? [] : this.#beginBlock(begun);
  }

  #beginBlock(content_block: ContentBlock): object[] {
    const ended = this.#endBlock();
    const index = this.#blocks++;
    this.#block = { index, type: content_block.type };
    return [...ended, { type: 'content_block_start', index, content_block }];
  }

  #endBlock(): object[] {
    if (!this.#block) return [];
    const { index } = this.#block;
    this.#block = undefined;
    return [{ type: 'content_block_stop', index }];
  }

  #delta(delta: BlockDelta): object {
    return { type: 'content_block_delta', index: this.#block?.index ?? 0, delta };
  }
}

function blocksOf({ reasoning_content: thinking, content, tool_calls = [] }: ChatMessage): ContentBlock[] {
  return [
    ...(thinking ? [{ type: 'thinking' as const, thinking, signature: '' }] : []),
    ...(content ? [{ type: 'text' as const, text: content, citations: null }] : []),
    ...tool_calls.map(callBlock),
  ];
}

/** What the model wrote as arguments and is no JSON object, cut off perhaps, can only be text here. */
function callBlock({
  id,
  function: { name, arguments: text },
}: NonNullable<ChatMessage['tool_calls']>[number]): ContentBlock {
  const input = objectOf(text);
  if (input === undefined) return { type: 'text', text: `${name} ${text}`, citations: null };
  return { type: 'tool_use', id, name, input };
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isObject ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function usageOf({
  prompt_tokens,
  completion_tokens,
  prompt_tokens_details,
}: CompletionUsage): AnthropicUsage {
  const { cached_tokens } = prompt_tokens_details;
  return {
    input_tokens: prompt_tokens - cached_tokens,
    output_tokens: completion_tokens,
    cache_read_input_tokens: cached_tokens,
    cache_creation_input_tokens: 0,
  };
}
