import { randomBytes } from 'node:crypto';
import type { CreateResponse } from '#contracts/openai/responses/create-response.js';
import type { InputItem, ItemContent, MessageItem } from '#contracts/openai/responses/items.js';
import type { InputItemResource } from '#contracts/openai/responses/response.js';

export type ItemPrefix = 'msg' | 'fc' | 'fco' | 'rs';

export function newItemId(prefix: ItemPrefix): string {
  return `${prefix}_${randomBytes(24).toString('hex')}`;
}

/** What a request says now, as items. */
export function itemsOf(input: CreateResponse['input']): readonly InputItem[] {
  return typeof input === 'string' ? [{ type: 'message', role: 'user', content: input }] : input;
}

/** The items as they are kept and listed: each with an id, its type, and its content as parts. */
export function keptItems(items: readonly InputItem[]): InputItemResource[] {
  return items.map((item) => {
    const status = 'completed';
    switch (item.type) {
      case 'function_call':
        return { ...item, id: item.id ?? newItemId('fc'), status };
      case 'function_call_output':
        return { ...item, id: item.id ?? newItemId('fco'), status };
      case 'reasoning':
        return { ...item, id: item.id ?? newItemId('rs'), status };
      default:
        return keptMessage(item);
    }
  });
}

function keptMessage({ role, content, id }: MessageItem): InputItemResource {
  const type = role === 'assistant' ? 'output_text' : 'input_text';
  const parts = partsOf(content).map((text) =>
    type === 'output_text' ? { type, text, annotations: [], logprobs: [] } : { type, text },
  );
  return { id: id ?? newItemId('msg'), type: 'message', role, content: parts, status: 'completed' };
}

function partsOf(content: ItemContent): string[] {
  return typeof content === 'string' ? [content] : content.map(({ text }) => text);
}

export function textOfContent(content: ItemContent): string {
  return partsOf(content).join('\n');
}
