import type { ToolFormat } from '#contracts/chat-formats.js';
import type { WishedCalls } from '#contracts/engine-protocol.js';
import type { Tag, TagFormat } from '#contracts/structural-tag.js';

/* How each family writes calls of tools, as structures: libs/inference/src/calls reads the same forms. */

type Tool = WishedCalls['tools'][number];

/** A call as text: what stands before its arguments, and behind them. */
interface CallForm {
  readonly begin: (name: string) => string;
  readonly end: string;
  /** Around all calls of an answer. */
  readonly open: string;
  readonly close: string;
  /** Between two calls; undefined: there is one at most. */
  readonly separator: string | undefined;
  /** What free text must not hold but at the beginning of a call; undefined: a call is the whole answer. */
  readonly trigger: string | undefined;
}

const named = (name: string, key: string): string => `{"name": ${JSON.stringify(name)}, "${key}": `;

const HARMONY_HEADER = '<|channel|>commentary to=';

/** `template`: the chat template's text, of families that have several forms. Undefined: calls cannot be held to anything. */
function formOf(format: ToolFormat, template: string): CallForm | undefined {
  switch (format) {
    case 'hermes':
      return {
        begin: (name) => `<tool_call>\n${named(name, 'arguments')}`,
        end: '}\n</tool_call>',
        open: '',
        close: '',
        separator: '\n',
        trigger: '<tool_call>',
      };
    case 'mistral':
      return template.includes('[ARGS]') ? MISTRAL_NAMED : listed('[TOOL_CALLS]', '');
    case 'phi':
      return template.includes('functools')
        ? listed('functools', '')
        : listed('<|tool_call|>', '<|/tool_call|>');
    case 'llama3_json':
      return {
        begin: (name) => named(name, 'parameters'),
        end: '}',
        open: '',
        close: '',
        separator: undefined,
        trigger: undefined,
      };
    case 'harmony':
      return {
        begin: (name) => `${HARMONY_HEADER}functions.${name} <|constrain|>json<|message|>`,
        end: '',
        open: '',
        close: '',
        separator: undefined,
        trigger: HARMONY_HEADER,
      };
    case 'pythonic':
    case 'gemma':
      return undefined;
  }
}

const MISTRAL_NAMED: CallForm = {
  begin: (name) => `[TOOL_CALLS]${name}[ARGS]`,
  end: '',
  open: '',
  close: '',
  separator: '',
  trigger: '[TOOL_CALLS]',
};

/** Calls in one JSON list. */
const listed = (mark: string, close: string): CallForm => ({
  begin: (name) => named(name, 'arguments'),
  end: '}',
  open: `${mark}[`,
  close: `]${close}`,
  separator: ', ',
  trigger: mark,
});

const ANY_OBJECT = { type: 'object', additionalProperties: true };
const fixed = (value: string): TagFormat => ({ type: 'const_string', value });

/** Calls, one at least; undefined: those of this family cannot be held to anything. */
export function callsFormat(
  format: ToolFormat,
  template: string,
  { tools, required, parallel }: WishedCalls,
): TagFormat | undefined {
  const form = formOf(format, template);
  if (form === undefined) return undefined;
  const tags = tools.map((tool) => callTag(form, tool, required || tool.strict));
  const calls: TagFormat = {
    type: 'tags_with_separator',
    tags,
    separator: form.separator ?? '',
    at_least_one: true,
    stop_after_first: !parallel || form.separator === undefined,
  };
  return { type: 'sequence', elements: [fixed(form.open), calls, fixed(form.close)] };
}

function callTag({ begin, end }: CallForm, { name, schema }: Tool, isHeld: boolean): Tag {
  const json_schema = isHeld ? schema : ANY_OBJECT;
  return { type: 'tag', begin: begin(name), content: { type: 'json_schema', json_schema }, end };
}

/** Text in which calls may stand. */
export function textWithCalls(
  format: ToolFormat,
  template: string,
  wished: WishedCalls,
): TagFormat | undefined {
  const form = formOf(format, template);
  const calls = callsFormat(format, template, wished);
  if (form === undefined || calls === undefined) return undefined;
  // An answer that begins as an object does would be read as a call.
  if (form.trigger === undefined)
    return { type: 'or', elements: [calls, { type: 'regex', pattern: NO_OBJECT }] };
  const tags = wished.tools.map((tool): Tag => {
    const { begin, content, end } = callTag(form, tool, tool.strict);
    return { type: 'tag', begin: form.open + begin, content, end: end + form.close };
  });
  const stop_after_first = !wished.parallel || form.separator === undefined;
  return { type: 'triggered_tags', triggers: [form.trigger], tags, stop_after_first };
}

const NO_OBJECT = String.raw`([^{\s<][\s\S]*)?`;
