import { describe, expect, it } from 'vitest';
import type { AnswerFormats } from '#contracts/chat-formats.js';
import { readerOf } from './answer-reader.js';
import { joined, type Said } from './reader.js';

interface Read {
  content: string;
  reasoning: string;
  calls: { name: string; arguments: string }[];
}
const TOOLS = ['weather', 'search', 'now'];

function readIn(
  pieces: readonly string[],
  formats: AnswerFormats,
  tools: readonly string[] | undefined = TOOLS,
): Read {
  const reader = readerOf(formats, { tools: tools && new Set(tools), includeReasoning: true });
  const said: Said[] = [...pieces.flatMap((piece) => reader.push(piece)), ...reader.end()];
  const read: Read = { content: '', reasoning: '', calls: [] };
  for (const piece of joined(said)) {
    if (piece.kind === 'call') read.calls.push({ name: piece.name, arguments: '' });
    else if (piece.kind === 'arguments') {
      const call = read.calls.at(-1);
      if (!call) throw new Error('arguments without a call');
      call.arguments += piece.text;
    } else read[piece.kind] += piece.text;
  }
  return read;
}

/** The same whole, character by character, and cut anywhere. */
function read(text: string, formats: AnswerFormats, tools?: readonly string[]): Read {
  const whole = readIn([text], formats, tools);
  expect(readIn([...text], formats, tools), 'by characters').toEqual(whole);
  for (let at = 1; at < text.length; at++)
    expect(readIn([text.slice(0, at), text.slice(at)], formats, tools), `cut at ${at}`).toEqual(whole);
  return whole;
}

const says = (content: string): Read => ({ content, reasoning: '', calls: [] });
const calls = (...named: [string, string][]): Read => ({
  ...says(''),
  calls: named.map(([name, text]) => ({ name, arguments: text })),
});
const CITY = '{"city": "Par\\"is}", "n": [1, {"a": null}]}';

describe('calls of tools', () => {
  it.each<[string, AnswerFormats['tools'], string, Read]>([
    [
      'Hermes',
      'hermes',
      `<tool_call>\n{"name": "weather", "arguments": ${CITY}}\n</tool_call>`,
      calls(['weather', CITY]),
    ],
    [
      'Hermes, several, behind a text',
      'hermes',
      `Let me see.\n<tool_call>\n{"name": "weather", "arguments": ${CITY}}\n</tool_call>\n<tool_call>{"arguments": {}, "name": "now"}</tool_call>`,
      { ...calls(['weather', CITY], ['now', '{}']), content: 'Let me see.' },
    ],
    ['a call without arguments', 'hermes', '<tool_call>{"name": "now"}</tool_call>', calls(['now', '{}'])],
    [
      'null for arguments',
      'hermes',
      '<tool_call>{"name": "now", "arguments": null}</tool_call>',
      calls(['now', '{}']),
    ],
    [
      'arguments as text',
      'hermes',
      '<tool_call>{"name": "search", "arguments": "{\\"q\\": 1}"}</tool_call>',
      calls(['search', '{"q": 1}']),
    ],
    [
      "OpenAI's own form",
      'hermes',
      '<tool_call>{"type": "function", "id": 7, "function": {"name": "search", "arguments": {"q": 1}}}</tool_call>',
      calls(['search', '{"q": 1}']),
    ],
    [
      'text behind a call',
      'hermes',
      '<tool_call>{"name": "now"}</tool_call>\n\nThat was it.',
      { ...calls(['now', '{}']), content: 'That was it.' },
    ],
    [
      'Mistral, a list',
      'mistral',
      `[TOOL_CALLS] [{"name": "weather", "arguments": ${CITY}, "id": "abcdefghi"}, {"name": "now", "arguments": {}}]`,
      calls(['weather', CITY], ['now', '{}']),
    ],
    [
      'Mistral, names first',
      'mistral',
      `Sure. [TOOL_CALLS]weather[CALL_ID]abcdefghi[ARGS]${CITY}[TOOL_CALLS]now[ARGS]{}`,
      { ...calls(['weather', CITY], ['now', '{}']), content: 'Sure.' },
    ],
    ['Mistral, name and braces', 'mistral', '[TOOL_CALLS]now{}', calls(['now', '{}'])],
    ['Llama 3', 'llama3_json', `{"name": "weather", "parameters": ${CITY}}`, calls(['weather', CITY])],
    [
      'Llama 3, several, with its tag',
      'llama3_json',
      '<|python_tag|>{"name": "weather", "parameters": {}}; {"name": "other", "parameters": {"q": "x"}}',
      calls(['weather', '{}']),
    ],
    [
      'Phi',
      'phi',
      `functools[{"name": "weather", "arguments": ${CITY}}, {"name": "now", "arguments": {}}]`,
      calls(['weather', CITY], ['now', '{}']),
    ],
    [
      'Phi 4 mini',
      'phi',
      '<|tool_call|>[{"name": "now", "arguments": {}}]<|/tool_call|>',
      calls(['now', '{}']),
    ],
    [
      'Python',
      'pythonic',
      `[weather(city='O\\'Hare', days=+3, at=(1.5, -.5), more={"a": [True, None]}, s="""x\ny"""), now()]`,
      calls(
        [
          'weather',
          '{"city": "O\'Hare", "days": 3, "at": [1.5, -0.5], "more": {"a": [true, null]}, "s": "x\\ny"}',
        ],
        ['now', '{}'],
      ),
    ],
    [
      'FunctionGemma',
      'gemma',
      '<start_function_call>call:weather{city:<escape>Par{is}<escape>,days:3,ok:true,l:[<escape>a<escape>,{b:null}]}<end_function_call>',
      calls(['weather', '{"city": "Par{is}", "days": 3, "ok": true, "l": ["a", {"b": null}]}']),
    ],
    [
      'Gemma 4',
      'gemma',
      'I look.<|tool_call>call:search{q:<|"|>x, "y"<|"|>}<tool_call|><|tool_call>call:now{}<tool_call|>',
      { ...calls(['search', '{"q": "x, \\"y\\""}'], ['now', '{}']), content: 'I look.' },
    ],
  ])('are read of %s', (_, tools, text, expected) => {
    if (text.includes('"other"')) {
      expect(read(text, { tools }).calls[0]).toEqual(expected.calls[0]);
      return;
    }
    expect(read(text, { tools })).toEqual(expected);
    for (const { arguments: json } of expected.calls) expect(() => JSON.parse(json) as unknown).not.toThrow();
  });

  it.each<[AnswerFormats['tools'], string]>([
    ['hermes', 'A <tool of {"name": "now"} and <tool_cal '],
    ['hermes', '  <tool_call>no json</tool_call> \n'],
    ['hermes', 'So: <tool_call>\n{"nam": 1}\n</tool_call>'],
    ['hermes', '<tool_call>\n{"na'],
    ['mistral', '[TOOL_CALL] x'],
    ['mistral', '[TOOL_CALLS] !'],
    ['llama3_json', '{"name": "stranger", "parameters": {}}'],
    ['llama3_json', '{"a": 1} is JSON'],
    ['llama3_json', 'Text {"name": "now", "parameters": {}}'],
    ['phi', 'The functools module, and functools.'],
    ['pythonic', '[1, 2]'],
    ['pythonic', '[stranger(a=1)]'],
    ['pythonic', '[now(1 + 1)] is'],
    ['pythonic', 'now()'],
    ['gemma', '<start_function_call>hello<end_function'],
    ['gemma', 'a <start_of_turn> b'],
    ['harmony', 'No channel at all'],
  ])('are not seen by %s in %j', (tools, text) => {
    const seen = read(text, { tools });
    expect(seen.calls).toEqual([]);
    expect(seen.content.trimEnd()).toContain(text.trim().slice(0, 12));
    if (tools !== 'gemma') expect(seen.content).toBe(text);
  });

  it('stream their arguments as they come', () => {
    const reader = readerOf({ tools: 'hermes' }, { tools: new Set(TOOLS), includeReasoning: true });
    expect(reader.push('<tool_call>{"name": "wea')).toEqual([]);
    expect(reader.push('ther", "argu')).toEqual([{ kind: 'call', name: 'weather' }]);
    expect(reader.push('ments": {"city": "P')).toEqual([{ kind: 'arguments', text: '{"city": "P' }]);
    expect(reader.push('aris"}}')).toEqual([{ kind: 'arguments', text: 'aris"}' }]);
    expect(reader.end()).toEqual([]);
  });

  it('are cut where the answer is', () => {
    expect(read('<tool_call>{"name": "weather", "arguments": {"ci', { tools: 'hermes' })).toEqual(
      calls(['weather', '{"ci']),
    );
  });

  it('are not looked for where no tools were given', () => {
    const text = '<tool_call>{"name": "now"}</tool_call>';
    expect(readIn([text], { tools: 'hermes' }, undefined).calls).toHaveLength(1); // the default of readIn
    const reader = readerOf({ tools: 'hermes' }, { tools: undefined, includeReasoning: true });
    expect(reader.push(text)).toEqual([{ kind: 'content', text }]);
  });
});

describe('reasoning', () => {
  it.each<[string, AnswerFormats, Partial<Read>]>([
    [
      '<think>\nHm.\n\nWell.\n</think>\n\nHello\n',
      { reasoning: 'think' },
      { reasoning: 'Hm.\n\nWell.', content: 'Hello\n' },
    ],
    [
      'Hm.\n</think>\n\nHello',
      { reasoning: 'think', reasoningOpen: true },
      { reasoning: 'Hm.', content: 'Hello' },
    ],
    ['<think>\n\n</think>\n\nHello', { reasoning: 'think' }, { reasoning: '', content: 'Hello' }],
    [
      'Hello <think> no </think>',
      { reasoning: 'think' },
      { reasoning: '', content: 'Hello <think> no </think>' },
    ],
    ['<think>cut o', { reasoning: 'think' }, { reasoning: 'cut o', content: '' }],
    ['<thi', { reasoning: 'think' }, { reasoning: '', content: '<thi' }],
    ['[THINK]Hm.[/THINK]Hello', { reasoning: 'mistral' }, { reasoning: 'Hm.', content: 'Hello' }],
    [
      '<think>\nA tool.\n</think>\n\n<tool_call>{"name": "now"}</tool_call>',
      { reasoning: 'think', tools: 'hermes' },
      { reasoning: 'A tool.', content: '', calls: [{ name: 'now', arguments: '{}' }] },
    ],
    [
      '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello',
      { reasoning: 'harmony', tools: 'harmony' },
      { reasoning: 'Hm.', content: 'Hello' },
    ],
    [
      '<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.weather <|constrain|>json<|message|>{"city": "Paris"}<|call|>',
      { reasoning: 'harmony', tools: 'harmony' },
      { reasoning: 'Hm.', content: '', calls: [{ name: 'weather', arguments: '{"city": "Paris"}' }] },
    ],
    [
      '<|channel|>commentary<|message|>I look.<|end|><|start|>assistant to=functions.now<|channel|>commentary json<|message|>{}',
      { reasoning: 'harmony', tools: 'harmony' },
      { reasoning: '', content: 'I look.', calls: [{ name: 'now', arguments: '{}' }] },
    ],
    [
      '<|channel|>commentary to=functions.now<|message|>{"a": "<|end|>\\"<|call|>"}<|call|>',
      { tools: 'harmony' },
      { reasoning: '', content: '', calls: [{ name: 'now', arguments: '{"a": "<|end|>\\"<|call|>"}' }] },
    ],
  ])('is split off: %j', (text, formats, expected) => {
    expect(read(text, formats)).toEqual({ calls: [], ...expected });
  });

  it('is left out where it is not wanted', () => {
    const reader = readerOf({ reasoning: 'think' }, { tools: undefined, includeReasoning: false });
    expect([...reader.push('<think>a</think>b'), ...reader.end()]).toEqual([{ kind: 'content', text: 'b' }]);
  });
});
