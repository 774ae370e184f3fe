import { expect, it } from 'vitest';
import type { BaseModel } from '#contracts/base-model.js';
import type { SafetensorsHeader } from '#safetensors/header.js';
import { asNamedIn } from './base-names.js';
import { denseChanges } from './dense/dense-changes.js';

const NAMES = ['model.embed_tokens', 'model.layers.0.self_attn.q_proj', 'lm_head'];
const base = {
  tieWordEmbeddings: false,
  modules: NAMES.map((name) => ({ name, kind: 'linear', out: 4, in: 4, bias: false })),
} as unknown as BaseModel;

function headerOf(...modules: string[]): SafetensorsHeader {
  const tensors = modules.flatMap((module) =>
    ['lora_A', 'lora_B'].map((part) => ({
      name: `base_model.model.${module}.${part}.weight`,
      dtype: 'F32' as const,
      shape: [4, 4],
      begin: 0,
      end: 64,
    })),
  );
  return { tensors, dataStart: 0, fileBytes: 0, metadata: new Map() };
}

it.each([
  ['model.language_model.layers.0.self_attn.q_proj', 'lm_head'],
  ['language_model.model.layers.0.self_attn.q_proj', 'language_model.lm_head'],
])('finds the text model of a vision-language class at %s, and its head at %s', (longer, head) => {
  const header = headerOf(longer, head);
  const named = asNamedIn(header, base);
  expect(named.base.modules.map(({ name }) => name)).toEqual(expect.arrayContaining([longer, head]));
  expect([named.own(longer), named.own(head)]).toEqual([[{ module: NAMES[1] }], [{ module: NAMES[2] }]]);
  // The parity check's second reading takes the same modules.
  expect(denseChanges({ config: {}, header, base }).map(({ module }) => module)).toEqual([
    NAMES[1],
    NAMES[2],
  ]);
});

it('leaves the names of a text model alone', () => {
  expect(asNamedIn(headerOf(NAMES[1] as string), base).base).toBe(base);
});
