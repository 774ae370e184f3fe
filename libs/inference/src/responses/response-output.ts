import type { ChatDelta } from '#contracts/openai/chat-response.js';
import type { OutputItem, OutputLogprob } from '#contracts/openai/responses/items.js';
import { newItemId } from './response-items.js';

type Item<Type extends OutputItem['type']> = Extract<OutputItem, { type: Type }>;

/** The items of an answer as it is generated, and the events that tell of them, without their numbers. */
export class ResponseOutput {
  readonly items: OutputItem[] = [];
  /** The one that is being written; always the last. */
  #open: OutputItem | undefined;

  /** `logprobs`: of the tokens of the text. */
  add(
    { reasoning_content, content, tool_calls = [] }: ChatDelta,
    logprobs: readonly OutputLogprob[],
  ): object[] {
    return [
      ...(reasoning_content ? this.#reason(reasoning_content) : []),
      ...(content ? this.#say(content, logprobs) : []),
      ...tool_calls.flatMap(({ id, function: { name, arguments: text } }) => [
        ...(id === undefined ? [] : this.#call(id, name ?? '')),
        ...(text === '' ? [] : this.#argue(text)),
      ]),
    ];
  }

  /** Nothing more comes; `cut`: the last item is not whole. */
  end(cut: boolean): object[] {
    const begun = this.items.length === 0 ? this.#message().events : [];
    return [...begun, ...this.#close(cut)];
  }

  #reason(delta: string): object[] {
    const { item, events } = this.#reasoning();
    const [part] = item.content;
    if (part) part.text += delta;
    return [...events, { type: 'response.reasoning_text.delta', ...this.#inPart(item), delta }];
  }

  #say(delta: string, logprobs: readonly OutputLogprob[]): object[] {
    const { item, events } = this.#message();
    const [part] = item.content;
    if (part) {
      part.text += delta;
      part.logprobs.push(...logprobs);
    }
    return [...events, { type: 'response.output_text.delta', ...this.#inPart(item), delta, logprobs }];
  }

  #argue(delta: string): object[] {
    if (this.#open?.type !== 'function_call') return [];
    this.#open.arguments += delta;
    return [{ type: 'response.function_call_arguments.delta', ...this.#inItem(this.#open), delta }];
  }

  #call(call_id: string, name: string): object[] {
    const id = newItemId('fc');
    return this.#begin({ type: 'function_call', id, call_id, name, arguments: '', status: 'in_progress' });
  }

  #reasoning(): { item: Item<'reasoning'>; events: object[] } {
    if (this.#open?.type === 'reasoning') return { item: this.#open, events: [] };
    const item: Item<'reasoning'> = {
      type: 'reasoning',
      id: newItemId('rs'),
      summary: [],
      content: [],
      status: 'in_progress',
    };
    const begun = this.#begin(item);
    const part = { type: 'reasoning_text' as const, text: '' };
    item.content.push(part);
    return { item, events: [...begun, this.#part('added', item, { ...part })] };
  }

  #message(): { item: Item<'message'>; events: object[] } {
    if (this.#open?.type === 'message') return { item: this.#open, events: [] };
    const item: Item<'message'> = {
      type: 'message',
      id: newItemId('msg'),
      role: 'assistant',
      status: 'in_progress',
      content: [],
    };
    const begun = this.#begin(item);
    const part = { type: 'output_text' as const, text: '', annotations: [], logprobs: [] };
    item.content.push(part);
    return { item, events: [...begun, this.#part('added', item, { ...part, logprobs: [] })] };
  }

  #begin(item: OutputItem): object[] {
    const closed = this.#close(false);
    this.items.push(item);
    this.#open = item;
    const output_index = this.items.length - 1;
    return [...closed, { type: 'response.output_item.added', output_index, item: structuredClone(item) }];
  }

  #close(cut: boolean): object[] {
    const item = this.#open;
    if (!item) return [];
    const done = this.#doneEvents(item);
    item.status = cut ? 'incomplete' : 'completed';
    this.#open = undefined;
    const output_index = this.items.length - 1;
    return [...done, { type: 'response.output_item.done', output_index, item: structuredClone(item) }];
  }

  #doneEvents(item: OutputItem): object[] {
    if (item.type === 'function_call') {
      const { name, arguments: text } = item;
      return [
        { type: 'response.function_call_arguments.done', ...this.#inItem(item), name, arguments: text },
      ];
    }
    const [part] = item.content;
    if (!part) return [];
    const { text } = part;
    const whole =
      part.type === 'output_text'
        ? { type: 'response.output_text.done', ...this.#inPart(item), text, logprobs: [...part.logprobs] }
        : { type: 'response.reasoning_text.done', ...this.#inPart(item), text };
    return [whole, this.#part('done', item, structuredClone(part))];
  }

  #part(what: 'added' | 'done', item: OutputItem, part: object): object {
    return { type: `response.content_part.${what}`, ...this.#inPart(item), part };
  }

  #inItem({ id }: OutputItem) {
    return { item_id: id, output_index: this.items.length - 1 };
  }

  #inPart(item: OutputItem) {
    return { ...this.#inItem(item), content_index: 0 };
  }
}
