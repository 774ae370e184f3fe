import type { AnswerFormats, ReasoningFormat, ToolFormat, WantedFormats } from '#contracts/chat-formats.js';
import { AppError } from '#runtime/app-error.js';

interface Known {
  /** Found in a chat template that teaches the format. */
  readonly inTemplate: RegExp;
  /** Not if this is, too. */
  readonly unless?: RegExp;
  /** What must be seen of an answer, also where the tokenizer calls it special. */
  readonly tokens: readonly string[];
}

const HARMONY_TOKENS = ['start', 'end', 'message', 'channel', 'constrain', 'call', 'return'].map(
  (name) => `<|${name}|>`,
);

/** In the order in which they are looked for. */
const TOOLS: Readonly<Record<ToolFormat, Known>> = {
  harmony: { inTemplate: /<\|channel\|>/, tokens: HARMONY_TOKENS },
  gemma: {
    inTemplate: /<start_function_call>|<\|tool_call>/,
    tokens: [
      '<start_function_call>',
      '<end_function_call>',
      '<escape>',
      '<|tool_call>',
      '<tool_call|>',
      '<|"|>',
    ],
  },
  // Some families put XML, or a name and keys, between the same marks.
  hermes: {
    inTemplate: /<tool_call>/,
    unless: /<function=|<arg_key>|<parameter=/,
    tokens: ['<tool_call>', '</tool_call>'],
  },
  mistral: { inTemplate: /\[TOOL_CALLS\]/, tokens: ['[TOOL_CALLS]', '[/TOOL_CALLS]', '[ARGS]', '[CALL_ID]'] },
  phi: { inTemplate: /<\|tool\|>|<\|tool_call\|>|functools/, tokens: ['<|tool_call|>', '<|/tool_call|>'] },
  pythonic: { inTemplate: /func_name1\(|<\|python_start\|>/, tokens: ['<|python_tag|>', '<|python_start|>'] },
  llama3_json: { inTemplate: /<\|python_tag\|>|\bipython\b/, tokens: ['<|python_tag|>'] },
};

const REASONING: Readonly<Record<ReasoningFormat, Known>> = {
  harmony: { inTemplate: /<\|channel\|>/, tokens: HARMONY_TOKENS },
  think: { inTemplate: /<\/think>/, tokens: ['<think>', '</think>'] },
  mistral: { inTemplate: /\[THINK\]/, tokens: ['[THINK]', '[/THINK]'] },
};

/** All that formats are made of. */
export const MARK_TOKENS: readonly string[] = [
  ...new Set([TOOLS, REASONING].flatMap((known) => Object.values(known).flatMap(({ tokens }) => tokens))),
];

const OPEN_TAGS: Partial<Readonly<Record<ReasoningFormat, readonly [string, string]>>> = {
  think: ['<think>', '</think>'],
  mistral: ['[THINK]', '[/THINK]'],
};

/** What the base model's settings say of it: `auto` is as its template shows. */
export interface FormatSettings {
  readonly toolParser: ToolFormat | 'none' | 'auto';
  readonly reasoningParser: ReasoningFormat | 'none' | 'auto';
}

/** A chat as it was rendered. */
export interface RenderedChat {
  /** The prompt's text. */
  readonly text: string;
  /** The template's. */
  readonly source: string;
  /** The template is the adapter's own, of which the base model's settings say nothing. */
  readonly own: boolean;
  /** It ends within a message. */
  readonly continues: boolean;
}

export interface ResolvedFormats {
  readonly formats: AnswerFormats;
  readonly tokens: readonly string[];
}

/** How the answer to a chat is written. Throws invalid_request where calls of tools are wanted and none can be read. */
export function formatsOf(
  wanted: WantedFormats,
  chat: RenderedChat,
  settings: FormatSettings,
): ResolvedFormats {
  const asSet = chat.own ? ({ toolParser: 'auto', reasoningParser: 'auto' } as const) : settings;
  const tools = wanted.tools ? chosen(TOOLS, chat.source, wanted.toolFormat ?? asSet.toolParser) : undefined;
  if (wanted.tools && tools === undefined) throw noToolFormat();
  const reasoning = wanted.reasoning
    ? chosen(REASONING, chat.source, wanted.reasoningFormat ?? asSet.reasoningParser)
    : undefined;
  const open = reasoning !== undefined && endsWithin(chat, OPEN_TAGS[reasoning]);
  return {
    formats: {
      ...(tools === undefined ? {} : { tools }),
      ...(reasoning === undefined ? {} : { reasoning }),
      ...(open ? { reasoningOpen: true } : {}),
    },
    tokens: [
      ...(tools === undefined ? [] : TOOLS[tools].tokens),
      ...(reasoning === undefined ? [] : REASONING[reasoning].tokens),
    ],
  };
}

function chosen<Format extends string>(
  known: Readonly<Record<Format, Known>>,
  source: string,
  said: Format | 'none' | 'auto',
): Format | undefined {
  if (said === 'none') return undefined;
  if (said !== 'auto') return said;
  return (Object.keys(known) as Format[]).find((name) => {
    const { inTemplate, unless } = known[name];
    return inTemplate.test(source) && !unless?.test(source);
  });
}

function endsWithin({ text, continues }: RenderedChat, tags: readonly [string, string] | undefined): boolean {
  if (tags === undefined) return false;
  const [open, close] = tags;
  if (continues) return text.lastIndexOf(open) > text.lastIndexOf(close);
  return text.trimEnd().endsWith(open);
}

function noToolFormat(): AppError {
  return new AppError('invalid_request', {
    message:
      "tools: the model's chat template shows no form of tool calls that is known here, so none could be read from its " +
      'answer. tool_choice: "none" renders the tools and gives the text as it is; the operator may name a form ' +
      "(TOOL_PARSER), and an adapter's version may (label tool_parser).",
    param: 'tools',
  });
}
