import { describe, expect, it } from 'vitest';
import { changed, read, untied } from '../../../../test/support/adapter-shapes.js';
import { compareNames, contradicts, modelOf } from './base-name.js';

describe('the name of a base model', () => {
  it.each([
    ['unsloth/Llama-3.2-1B-Instruct-bnb-4bit', 'meta-llama/Llama-3.2-1B-Instruct'],
    ['unsloth/meta-llama-3.1-8b-unsloth-bnb-4bit', 'Meta-Llama-3.1-8B'],
    ['TheBloke/Llama-2-7B-GPTQ', 'NousResearch/Llama-2-7b-hf'],
    ['Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4', '/models/Qwen2.5-7B-Instruct'],
    ['org/Qwen2___5-1___5B-Instruct', 'Qwen2.5-1.5B-Instruct'],
    [
      '~/.cache/hub/models--deepseek-ai--deepseek-llm-7b-base/snapshots/0123456789abcdef0123456789abcdef01234567',
      'deepseek-llm-7b-base',
    ],
    ['C:\\models\\phi-2\\', 'microsoft/phi-2'],
    ['mlx-community/Qwen3-0.6B-4bit', 'Qwen3-0.6B'],
    ['Qwen2.5-7B-Instruct-Q4_K_M.gguf', 'Qwen2.5-7B-Instruct-AWQ'],
  ])('%s is a twin of %s', (a, b) => {
    expect(compareNames(a, [b])).toBe('same');
  });

  it.each([
    ['meta-llama/Llama-3.2-1B', 'meta-llama/Llama-3.2-1B-Instruct'],
    ['mistralai/Mistral-7B-Instruct-v0.2', 'mistralai/Mistral-7B-Instruct-v0.3'],
    ['Qwen/Qwen2-7B', 'Qwen/Qwen2.5-7B'],
    ['Qwen/Qwen3-8B', 'Qwen/Qwen3-0.6B'],
  ])('%s is another model than %s', (a, b) => {
    expect(compareNames(a, [b])).toBe('other');
  });

  it.each(['base', './checkpoint-1200', './output/', '', 'models/merged'])('%j says nothing', (name) => {
    expect(modelOf(name)).toBeUndefined();
    expect(compareNames(name, ['Qwen3-8B'])).toBe('unknown');
  });

  it('is a warning where it differs, and an error where the upload requires a match', () => {
    const base = { ...untied, name: 'llama-7b' };
    const named = (name: string | null) => changed({ base_model_name_or_path: name });
    expect(read(named('org/mistral-7b'), undefined, base)).toMatchObject({
      verdict: 'accepted',
      report: { warnings: [{ code: 'base_model_differs', field: 'base_model_name_or_path' }] },
    });
    expect(read(named('org/Llama-7B-GPTQ'), undefined, base).report.warnings).toEqual([]);
    const served = { ...base, name: 'production', knownAs: ['/models/llama-7b'] };
    expect(read(named('org/llama-7b'), undefined, served).report.warnings).toEqual([]);
    const strict = (name: string | null) => read(named(name), undefined, base, { mustMatchBase: true });
    expect(strict('org/llama-7b').verdict).toBe('accepted');
    for (const name of ['org/mistral-7b', 'checkpoint-7', null]) {
      expect(strict(name).report.errors.map(({ code }) => code)).toEqual(['base_model_mismatch']);
    }
  });
});

describe('the class of a base model', () => {
  it.each([
    ['MistralForCausalLM', true],
    ['LlamaForSequenceClassification', true],
    ['WhisperForConditionalGeneration', true],
    ['UNet2DConditionModel', true],
    ['LlamaForCausalLM', false],
    ['LlamaModel', false],
    ['OptimizedModule', false],
    ['AutoModelForCausalLMWithValueHead', false],
    ['PeftModelForCausalLM', false],
    ['something', false],
  ])('%s contradicts a LlamaForCausalLM: %s', (name, expected) => {
    expect(contradicts(name, 'LlamaForCausalLM')).toBe(expected);
  });

  it('refuses the adapter when it does', () => {
    const auto_mapping = { base_model_class: 'Qwen2ForCausalLM', parent_library: 'x' };
    expect(read(changed({ auto_mapping })).report.errors).toMatchObject([
      { code: 'base_model_mismatch', expected: 'LlamaForCausalLM', found: 'Qwen2ForCausalLM' },
    ]);
  });
});
