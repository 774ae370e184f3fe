import type { ToolFormat } from '#contracts/chat-formats.js';
import type { WishedCalls } from '#contracts/engine-protocol.js';
import type { Tag, TagFormat, ValueSpelling } from '#contracts/structural-tag.js';
import { AppError } from '#runtime/app-error.js';

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
  /** Of the arguments; absent: JSON. */
  readonly spelling?: ValueSpelling;
  /** Of tools that can be called so; absent: all. */
  readonly toolName?: RegExp;
  /** Where calls are the whole answer: what an answer that is none begins with, as a pattern. */
  readonly otherwise?: string;
}

const named = (name: string, key: string): string => `{"name": ${JSON.stringify(name)}, "${key}": `;

const HARMONY_HEADER = '<|channel|>commentary to=';

/** `template`: the chat template's text, of families that have several forms. */
function formOf(format: ToolFormat, template: string): CallForm {
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
        otherwise: NO_OBJECT,
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
      return PYTHONIC;
    case 'gemma':
      return template.includes('<|tool_call>')
        ? marked('<|tool_call>', '<tool_call|>', '<|"|>')
        : marked('<start_function_call>', '<end_function_call>', '<escape>');
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

/** Names that can be read in front of what is no JSON. */
const PLAIN_NAME = /^[A-Za-z_][\w.-]*$/;

const NO_OBJECT = String.raw`([^{\s<][\s\S]*)?`;
const NO_LIST = String.raw`([^\[\s<][\s\S]*)?`;

const PYTHONIC: CallForm = {
  begin: (name) => name,
  end: '',
  open: '[',
  close: ']',
  separator: ', ',
  trigger: undefined,
  spelling: { kind: 'python' },
  toolName: PLAIN_NAME,
  otherwise: NO_LIST,
};

const marked = (open: string, close: string, quote: string): CallForm => ({
  begin: (name) => `${open}call:${name}`,
  end: close,
  open: '',
  close: '',
  separator: '',
  trigger: open,
  spelling: { kind: 'marked', quote, excluded: [quote, close] },
  toolName: PLAIN_NAME,
});

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

/** Calls, one at least. */
export function callsFormat(
  format: ToolFormat,
  template: string,
  { tools, required, parallel }: WishedCalls,
): TagFormat {
  const form = formOf(format, template);
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

function callTag(
  { begin, end, spelling, toolName }: CallForm,
  { name, schema, field }: Tool,
  isHeld: boolean,
): Tag {
  if (toolName?.test(name) === false) {
    const param = field.replace(/parameters$/, 'name');
    const message = `${param}: the name ${JSON.stringify(name)} cannot be written in this model's calls.`;
    throw new AppError('invalid_request', { message, param });
  }
  const json_schema = isHeld ? schema : ANY_OBJECT;
  const content = { type: 'json_schema' as const, json_schema, ...(spelling && { spelling }) };
  return { type: 'tag', begin: begin(name), content, end };
}

/** Text in which calls may stand. */
export function textWithCalls(format: ToolFormat, template: string, wished: WishedCalls): TagFormat {
  const form = formOf(format, template);
  // An answer that begins as a call does would be read as one.
  if (form.trigger === undefined) {
    const calls = callsFormat(format, template, wished);
    return { type: 'or', elements: [calls, { type: 'regex', pattern: form.otherwise ?? '' }] };
  }
  const tags = wished.tools.map((tool): Tag => {
    const { begin, content, end } = callTag(form, tool, tool.strict);
    return { type: 'tag', begin: form.open + begin, content, end: end + form.close };
  });
  const stop_after_first = !wished.parallel || form.separator === undefined;
  return { type: 'triggered_tags', triggers: [form.trigger], tags, stop_after_first };
}
