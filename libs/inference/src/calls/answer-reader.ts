import type { AnswerFormats, ToolFormat } from '#contracts/chat-formats.js';
import { GemmaCalls } from './gemma-calls.js';
import { Harmony } from './harmony.js';
import { JsonCalls, type JsonCallMarks } from './json-calls.js';
import { PlainReader } from './plain-reader.js';
import { PythonicCalls } from './pythonic-calls.js';
import type { Reader } from './reader.js';
import { type ReasoningTags, TaggedReasoning, WithoutReasoning } from './tagged-reasoning.js';

export interface WantedOfAnswer {
  /** Names of the request's tools; undefined: calls are not looked for. */
  readonly tools: ReadonlySet<string> | undefined;
  readonly includeReasoning: boolean;
}

const PYTHON_TAG = '<|python_tag|>';

/** Families whose calls are JSON. */
const JSON_CALLS: Partial<Readonly<Record<ToolFormat, JsonCallMarks>>> = {
  hermes: { opens: ['<tool_call>'], closes: ['</tool_call>'] },
  mistral: { opens: ['[TOOL_CALLS]'], closes: ['[/TOOL_CALLS]'], named: { id: '[CALL_ID]', args: '[ARGS]' } },
  llama3_json: { opens: [PYTHON_TAG], closes: [], bare: true },
  phi: { opens: ['<|tool_call|>', 'functools'], closes: ['<|/tool_call|>'] },
};

const GEMMA_CALLS = [
  { open: '<start_function_call>', close: '<end_function_call>', quote: '<escape>' },
  { open: '<|tool_call>', close: '<tool_call|>', quote: '<|"|>' },
];

const REASONING_TAGS: Readonly<Record<'think' | 'mistral', ReasoningTags>> = {
  think: { open: '<think>', close: '</think>' },
  mistral: { open: '[THINK]', close: '[/THINK]' },
};

/** What reads one answer that is written in these formats. */
export function readerOf(formats: AnswerFormats, { tools, includeReasoning }: WantedOfAnswer): Reader {
  const reader = readerWithReasoning(formats, tools);
  return includeReasoning ? reader : new WithoutReasoning(reader);
}

function readerWithReasoning(formats: AnswerFormats, tools: ReadonlySet<string> | undefined): Reader {
  const { reasoning, reasoningOpen = false } = formats;
  if (reasoning === 'harmony' || formats.tools === 'harmony') return new Harmony(tools !== undefined);
  const answer = tools === undefined ? new PlainReader() : callReader(formats.tools, tools);
  if (reasoning === undefined) return answer;
  return new TaggedReasoning(REASONING_TAGS[reasoning], answer, reasoningOpen);
}

function callReader(format: AnswerFormats['tools'], tools: ReadonlySet<string>): Reader {
  const isTool = (name: string): boolean => tools.has(name);
  if (format === undefined) return new PlainReader();
  if (format === 'pythonic') return new PythonicCalls([PYTHON_TAG, '<|python_start|>'], isTool);
  if (format === 'gemma') return new GemmaCalls(GEMMA_CALLS);
  const marks = JSON_CALLS[format];
  return marks ? new JsonCalls(marks, isTool) : new PlainReader();
}
