import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { inspectModel } from '../../libs/native-engine/src/load.js';

/*
 * config.json of published checkpoints, without their vision parts and labels. Each is honoured (what is missing then is
 * the weights) or refused with a field of its own named.
 */
const FILE = join(import.meta.dirname, '../golden/base-configs/configs.tsv');
/** As text: some hold what only Python's json reads (Infinity). */
const configs = new Map(
  readFileSync(FILE, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.split('\t') as [string, string]),
);
const HONOURED = [
  'Qwen--Qwen3-1.7B',
  'Qwen--Qwen3-235B-A22B',
  'Qwen--Qwen3-32B-FP8',
  'nvidia--Llama-3.1-70B-Instruct-FP8',
  'tests_cpu_hf_llama_config',
  'tests_cpu_hf_mistral_config',
  'tests_cpu_hf_mixtral_config',
  'tests_cpu_hf_phi3_config',
  'test_integration_tp32_models_llama_llama3.1_8b_config',
  'test_integration_tp32_models_llama_llama3.2_1b_config',
  'test_integration_tp32_models_llama_llama3.3_70b_config',
  'gemma_2_2b',
  'gemma_2_9b',
  'phi3',
  'qwen2.5_1.5b',
  'qwen2.5_14b',
  'model_meta-llama_Llama-3.1-70B',
  'gemma',
  'gemma3_text',
  'gemma4_text',
  'google--gemma-4-26B-A4B',
  'gpt_oss',
  'llama',
  'mistral',
  'mixtral',
  'olmoe',
  'qwen2',
  'qwen2_moe',
  'Mistral-7B-Instruct-v0.3',
  'phi-4',
  'llama-01',
  'mistral-03',
];
const REFUSED: Readonly<Record<string, string>> = {
  gte_qwen2_7b: 'is_causal',
  skywork_reward_llama: 'LlamaForSequenceClassification',
  e5_mistral_7b: 'MistralModel',
  'nvidia--Qwen3.6-27B-NVFP4': 'quant_algo',
  mamba2: 'mamba2',
  'test_integration_tp32_models_llama_llama3.2_1b_config_chunked_attention': 'attention_chunk_size',
};

const root = mkdtempSync(join(tmpdir(), 'lorikeet-configs-'));
afterAll(() => rmSync(root, { recursive: true }));

function verdictOf(name: string, text: string): string {
  const folder = join(root, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), text);
  try {
    inspectModel(folder);
    return 'opened without weights';
  } catch (error) {
    const message = (error as Error).message.replace(`${folder}: `, '').replace(folder, 'folder');
    return message.includes('holds neither model.safetensors') ? 'honoured' : message;
  }
}

/** Names of fields at any depth, and what says which class it is. */
function namesOf(text: string): readonly string[] {
  const keys = [...text.matchAll(/"([A-Za-z_0-9]+)":/g)].map((match) => match[1] as string);
  const classes = [...text.matchAll(/"(?:model_type|quant_method)":"([^"]*)"|"architectures":\["([^"]*)"/g)];
  return [...keys, ...classes.map((match) => (match[1] ?? match[2]) as string)];
}

describe('published config.json files', () => {
  it.each([...configs.keys()])('%s is honoured or refused by name', (name) => {
    const text = configs.get(name) as string;
    const verdict = verdictOf(name, text);
    const reason = REFUSED[name] ?? 'config.json';
    const named = namesOf(text).some((field) => verdict.includes(field)) || verdict.includes('model_type');
    // One that no list names may be either, yet never refused without a name.
    const honoured = HONOURED.includes(name) || (!(name in REFUSED) && verdict === 'honoured');
    expect({ honoured: verdict === 'honoured', reason: verdict.includes(reason), named }).toMatchObject(
      honoured ? { honoured: true } : { honoured: false, reason: true, named: true },
    );
  });

  it.each([
    ['quantize_config.json', '{"bits": 5, "group_size": 128}', 'quantize_config.json: bits'],
    ['quant_config.json', '{"w_bit": 4, "version": "GEMV"}', 'quant_config.json: version "gemv"'],
    ['hf_quant_config.json', '{"quantization": {"quant_algo": "NVFP4"}}', 'quant_algo "NVFP4"'],
  ])('refuses what %s alone says and is not implemented', (file, text, reason) => {
    const folder = join(root, file);
    mkdirSync(folder);
    writeFileSync(join(folder, file), text);
    expect(verdictOf(file, configs.get('Qwen--Qwen3-1.7B') as string)).toContain(reason);
  });
});
