import type { AnswerFormats, ReasoningFormat } from '#contracts/chat-formats.js';
import type { GenerateRequest } from '#contracts/engine-protocol.js';
import type { TagFormat } from '#contracts/structural-tag.js';
import type { StructureWish } from '#contracts/structure-wish.js';
import type { RenderedChat } from '../text/chat-formats.js';
import { callsFormat, textWithCalls } from './call-forms.js';

export interface AnswerForm {
  readonly wish: StructureWish;
  /** The caller's field that wished for it. */
  readonly field: string;
}

type Asked = Pick<GenerateRequest, 'structure' | 'calls'>;

const fixed = (value: string): TagFormat => ({ type: 'const_string', value });
const either = (...elements: TagFormat[]): TagFormat => ({ type: 'or', elements });
const inTurn = (...elements: TagFormat[]): TagFormat => ({ type: 'sequence', elements });
const upTo = (begin: string, end: string): TagFormat => ({
  type: 'tag',
  begin,
  content: { type: 'any_text' },
  end,
});
const SPACE: TagFormat = { type: 'regex', pattern: String.raw`\n{0,2}` };

const TAGS: Readonly<Record<Exclude<ReasoningFormat, 'harmony'>, readonly [string, string]>> = {
  think: ['<think>', '</think>'],
  mistral: ['[THINK]', '[/THINK]'],
};

/** The whole of the answer to a request that wishes for a structure, or for calls of tools; undefined: it may be any. */
export function answerForm(
  asked: Asked,
  formats: AnswerFormats,
  chat: RenderedChat | undefined,
): AnswerForm | undefined {
  const { structure } = asked;
  const isPlain = formats.tools === undefined && formats.reasoning === undefined;
  if (isPlain || chat === undefined) return structure;
  const body = bodyOf(asked, formats, chat);
  if (body === undefined) return undefined;
  const form = behindReasoning(body.format, formats, chat);
  const compact = structure?.wish.compact;
  return { field: body.field, wish: { kind: 'structural_tag', format: form, ...(compact && { compact }) } };
}

/** What comes behind the reasoning. */
function bodyOf(
  { structure, calls }: Asked,
  formats: AnswerFormats,
  chat: RenderedChat,
): { readonly format: TagFormat; readonly field: string } | undefined {
  const answer = structure && inChannel(formatOf(structure.wish), formats, chat);
  const { tools } = formats;
  if (calls === undefined || tools === undefined)
    return answer && structure && { format: answer, field: structure.field };
  const field = calls.required ? 'tool_choice' : 'tools';
  const format =
    calls.required || answer !== undefined
      ? callsFormat(tools, chat.source, calls)
      : textWithCalls(tools, chat.source, calls);
  if (answer === undefined || structure === undefined || calls.required) return { format, field };
  return { format: either(format, answer), field: structure.field };
}

/** gpt-oss says what is meant for the reader in a channel. */
function inChannel(format: TagFormat, { tools, reasoning }: AnswerFormats, chat: RenderedChat): TagFormat {
  const isHarmony = tools === 'harmony' || reasoning === 'harmony';
  return isHarmony && !chat.continues ? inTurn(fixed('<|channel|>final<|message|>'), format) : format;
}

/** Reasoning is free, and comes first. */
function behindReasoning(body: TagFormat, formats: AnswerFormats, chat: RenderedChat): TagFormat {
  const { reasoning, reasoningOpen = false } = formats;
  if (reasoning === 'harmony' || formats.tools === 'harmony') {
    if (chat.continues) return body;
    const analysis = upTo('<|channel|>analysis<|message|>', '<|end|>');
    return either(body, inTurn(analysis, fixed('<|start|>assistant'), body));
  }
  if (reasoning === undefined) return body;
  const [open, close] = TAGS[reasoning];
  if (reasoningOpen) return inTurn(upTo('', close), SPACE, body);
  return chat.continues ? body : either(body, inTurn(upTo(open, close), SPACE, body));
}

function formatOf(wish: StructureWish): TagFormat {
  switch (wish.kind) {
    case 'json_object':
      return { type: 'json_schema', json_schema: { type: 'object', additionalProperties: true } };
    case 'json_schema':
      return { type: 'json_schema', json_schema: wish.schema };
    case 'regex':
      return { type: 'regex', pattern: wish.pattern };
    case 'choice':
      return either(...wish.choices.map(fixed));
    case 'grammar':
      return { type: 'grammar', grammar: wish.grammar };
    case 'structural_tag':
      return wish.format;
  }
}
