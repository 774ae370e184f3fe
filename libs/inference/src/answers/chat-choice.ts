import { randomBytes, randomInt } from 'node:crypto';
import type { AnswerFormats } from '#contracts/chat-formats.js';
import type { FinishReason } from '#contracts/engine-protocol.js';
import type { ChatRequest } from '#contracts/openai/chat-request.js';
import type { ChatDelta, ChatFinish, ChatMessage } from '#contracts/openai/chat-response.js';
import { type WantedOfAnswer, readerOf } from '../calls/answer-reader.js';
import { PlainReader } from '../calls/plain-reader.js';
import type { Reader, Said } from '../calls/reader.js';
import { callableTools } from '../plan/tool-calls.js';

type Calls = NonNullable<ChatMessage['tool_calls']>;

/** What a request wants told apart of each of its answers. */
function wantedOf(request: ChatRequest): WantedOfAnswer {
  const tools = callableTools(request);
  return {
    tools: tools.length > 0 ? new Set(tools.map(({ function: { name } }) => name)) : undefined,
    includeReasoning: request.include_reasoning ?? true,
  };
}

/** One answer of a chat as far as it is generated: its text, its reasoning, its calls of tools. */
export class ChatChoiceState {
  #reader: Reader = new PlainReader();
  #format: AnswerFormats['tools'];
  #content: string;
  #reasoning = '';
  readonly #calls: Calls = [];
  /** A call came after the only one that is wanted. */
  #ignoresCall = false;

  constructor(
    private readonly request: ChatRequest,
    /** What the content begins with. */
    echoed: string,
  ) {
    this.#content = echoed;
  }

  /** Before any text. */
  begin(formats: AnswerFormats | undefined): void {
    if (formats === undefined) return;
    this.#format = formats.tools;
    this.#reader = readerOf(formats, wantedOf(this.request));
  }

  /** What the text adds for a client that reads along. */
  push(text: string): ChatDelta {
    return this.#take(this.#reader.push(text));
  }

  /** The last text. */
  finish(text: string): ChatDelta {
    return this.#take([...this.#reader.push(text), ...this.#reader.end()]);
  }

  reasonOf(reason: FinishReason): ChatFinish {
    return reason === 'stop' && this.#calls.length > 0 ? 'tool_calls' : reason;
  }

  get message(): ChatMessage {
    const isOnlyText = this.#calls.length === 0 && this.#reasoning === '';
    return {
      role: 'assistant',
      content: this.#content === '' && !isOnlyText ? null : this.#content,
      refusal: null,
      ...(this.#reasoning === '' ? {} : { reasoning_content: this.#reasoning }),
      ...(this.#calls.length === 0 ? {} : { tool_calls: this.#calls }),
    };
  }

  #take(said: readonly Said[]): ChatDelta {
    const delta: ChatDelta = {};
    for (const piece of said) {
      switch (piece.kind) {
        case 'content':
          this.#content += piece.text;
          delta.content = (delta.content ?? '') + piece.text;
          break;
        case 'reasoning':
          this.#reasoning += piece.text;
          delta.reasoning_content = (delta.reasoning_content ?? '') + piece.text;
          break;
        case 'call':
          this.#begin(piece.name, delta);
          break;
        case 'arguments':
          this.#argue(piece.text, delta);
      }
    }
    return delta;
  }

  #begin(name: string, delta: ChatDelta): void {
    this.#ignoresCall = this.request.parallel_tool_calls === false && this.#calls.length > 0;
    if (this.#ignoresCall) return;
    const index = this.#calls.length;
    const call = {
      id: newCallId(this.#format),
      type: 'function' as const,
      function: { name, arguments: '' },
    };
    this.#calls.push(call);
    delta.tool_calls = [...(delta.tool_calls ?? []), { index, ...call, function: { name, arguments: '' } }];
  }

  #argue(text: string, delta: ChatDelta): void {
    const index = this.#calls.length - 1;
    const call = this.#calls[index];
    if (this.#ignoresCall || !call) return;
    call.function.arguments += text;
    const said = delta.tool_calls?.find((each) => each.index === index);
    if (said) said.function.arguments += text;
    else delta.tool_calls = [...(delta.tool_calls ?? []), { index, function: { arguments: text } }];
  }
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';

/** Mistral's templates refuse ids of any other length than nine. */
function newCallId(format: AnswerFormats['tools']): string {
  if (format !== 'mistral') return `call_${randomBytes(12).toString('hex')}`;
  return Array.from({ length: 9 }, () => LETTERS[randomInt(LETTERS.length)]).join('');
}
