import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { WantedFormats } from '#contracts/chat-formats.js';
import { formatsOf, type FormatSettings, type RenderedChat } from './chat-formats.js';

const TEMPLATES = join(import.meta.dirname, '../../../../test/golden/chat-templates/templates');
const AUTO: FormatSettings = { toolParser: 'auto', reasoningParser: 'auto' };
const ALL: WantedFormats = { tools: true, reasoning: true };

const chatOf = (source: string, more: Partial<RenderedChat> = {}): RenderedChat => ({
  text: '',
  source,
  own: false,
  continues: false,
  ...more,
});
const templateOf = (name: string) => readFileSync(join(TEMPLATES, `${name}.jinja`), 'utf8');

describe('how answers are written', () => {
  it.each([
    ['hermes', { tools: 'hermes' }],
    ['qwen2.5-tools', { tools: 'hermes' }],
    ['qwen3-thinking', { tools: 'hermes', reasoning: 'think' }],
    ['llama3-tools', { tools: 'llama3_json' }],
    ['mistral-tools', { tools: 'mistral' }],
    ['phi4-mini', { tools: 'phi' }],
    ['harmony', { tools: 'harmony', reasoning: 'harmony' }],
  ])('is known by the template of %s', (name, formats) => {
    expect(formatsOf(ALL, chatOf(templateOf(name)), AUTO).formats).toEqual(formats);
  });

  it.each([
    ['{{ "<start_function_call>call:" }}', 'gemma'],
    ['[func_name1(params_name1=params_value1), func_name2()]', 'pythonic'],
  ])('is known by what a template says: %s', (source, tools) => {
    expect(formatsOf(ALL, chatOf(source), AUTO).formats).toEqual({ tools });
  });

  it.each(['qwen3-coder-xml', 'chatml', 'gemma3', 'command-r', 'zephyr'])(
    'is not guessed for %s, whose calls cannot be read',
    (name) => {
      expect(() => formatsOf(ALL, chatOf(templateOf(name)), AUTO)).toThrowError(
        expect.objectContaining({
          code: 'invalid_request',
          details: expect.objectContaining({ param: 'tools' }),
        }),
      );
      expect(formatsOf({ tools: false, reasoning: false }, chatOf(templateOf(name)), AUTO).formats).toEqual(
        {},
      );
    },
  );

  it('shows the tokens that the formats need', () => {
    const { tokens } = formatsOf(ALL, chatOf(templateOf('qwen3-thinking')), AUTO);
    expect(tokens).toEqual(['<tool_call>', '</tool_call>', '<think>', '</think>']);
  });

  it("follows the version, then the base model's setting where its template is used, then the template", () => {
    const set: FormatSettings = { toolParser: 'mistral', reasoningParser: 'none' };
    const chat = chatOf(templateOf('qwen3-thinking'));
    expect(formatsOf(ALL, chat, set).formats).toEqual({ tools: 'mistral' });
    expect(formatsOf(ALL, { ...chat, own: true }, set).formats).toEqual({
      tools: 'hermes',
      reasoning: 'think',
    });
    const said: WantedFormats = { ...ALL, toolFormat: 'pythonic', reasoningFormat: 'none' };
    expect(formatsOf(said, chat, set).formats).toEqual({ tools: 'pythonic' });
    expect(() => formatsOf({ ...ALL, toolFormat: 'none' }, chat, set)).toThrowError(/no form of tool calls/);
  });

  it('knows a prompt that ends within the reasoning', () => {
    const chat = chatOf(templateOf('deepseek-r1'));
    const openOf = (text: string, continues = false) =>
      formatsOf({ tools: false, reasoning: true }, { ...chat, text, continues }, AUTO).formats
        .reasoningOpen ?? false;
    expect(openOf('<|Assistant|><think>\n')).toBe(true);
    expect(openOf('<|Assistant|><think>\n\n</think>\n\n')).toBe(false);
    expect(openOf('<|Assistant|>')).toBe(false);
    expect(openOf('<|Assistant|><think>\nWell,', true)).toBe(true);
    expect(openOf('<|Assistant|><think>\nWell,</think>So', true)).toBe(false);
  });
});
