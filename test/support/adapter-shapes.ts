import { readAdapter } from '#adapters/peft/read-adapter.js';
import type { BaseModel } from '#contracts/base-model.js';
import { DTYPE_BITS, type Dtype } from '#safetensors/dtype.js';
import { readSafetensors } from '#safetensors/reader.js';
import { writeSafetensors } from '#safetensors/writer.js';
import { llamaBase } from './llama-base.js';

/* Adapters that exist only as a config and a list of shapes, for tests of what the reader makes of them. */

const config = new URL('../golden/cases/llama-gqa/model/config.json', import.meta.url);
export const untied = llamaBase(config);
export const tied = llamaBase(config, { tie_word_embeddings: true });
export const biased = llamaBase(config, { attention_bias: true });

export type Shapes = Record<string, readonly number[] | { shape: readonly number[]; dtype: Dtype }>;
export const Q = (layer: number) => `base_model.model.model.layers.${layer}.self_attn.q_proj`;
/** q_proj of all three layers with rank 4. */
export const QUERIES: Shapes = Object.fromEntries(
  [0, 1, 2].flatMap((layer) => [
    [`${Q(layer)}.lora_A.weight`, [4, 64]],
    [`${Q(layer)}.lora_B.weight`, [64, 4]],
  ]),
);
export const QUERY_CONFIG = {
  peft_type: 'LORA',
  task_type: 'CAUSAL_LM',
  r: 4,
  lora_alpha: 8,
  target_modules: ['q_proj'],
};

export function headerOf(shapes: Shapes) {
  const tensors = Object.entries(shapes).map(([name, value]) => {
    const { shape, dtype } = Array.isArray(value)
      ? { shape: value, dtype: 'F16' as const }
      : (value as { shape: number[]; dtype: Dtype });
    const bits = shape.reduce((product, size) => product * size, DTYPE_BITS[dtype]);
    return { name, dtype, shape, bytes: new Uint8Array(bits / 8) };
  });
  return readSafetensors(writeSafetensors(tensors)).header;
}

/** What readAdapter says; the tensors' values do not matter to it. */
export function read(
  fields: object | string,
  shapes: Shapes = QUERIES,
  base: BaseModel = untied,
  options: { readonly mustMatchBase?: boolean } = {},
) {
  const configJson = typeof fields === 'string' ? fields : JSON.stringify(fields);
  return readAdapter({
    configJson,
    header: headerOf(shapes),
    base,
    weights: { sha256: 'a'.repeat(64), bytes: 1 },
    ...options,
  });
}

/** The distinct error codes, in the order of the report. */
export const codes = (fields: object | string, shapes?: Shapes, base?: BaseModel) => [
  ...new Set(read(fields, shapes, base).report.errors.map(({ code }) => code)),
];
export const changed = (fields: object) => ({ ...QUERY_CONFIG, ...fields });
export const without = (shapes: Shapes, ...names: string[]): Shapes =>
  Object.fromEntries(Object.entries(shapes).filter(([name]) => !names.includes(name)));
