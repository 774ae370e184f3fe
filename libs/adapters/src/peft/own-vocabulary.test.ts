import { describe, expect, it } from 'vitest';
import type { BaseModel } from '#contracts/base-model.js';
import { goldenBase } from '../../../../test/support/golden-base.js';
import { headerOf } from '../../../../test/support/adapter-shapes.js';
import { readAdapter } from './read-adapter.js';

/* What PEFT makes of such adapters is held to its numbers by test/golden/resized.test.ts. */

const PLAIN = goldenBase('llama-gqa');
const V = PLAIN.vocabSize;
const BASE: BaseModel = { ...PLAIN, extraTokens: 8, tokenizerSize: V - 10 };
const EMBED = 'base_model.model.model.embed_tokens';
const HEAD = 'base_model.model.lm_head';
const Q = 'base_model.model.model.layers.0.self_attn.q_proj';
const QUERIES = { [`${Q}.lora_A.weight`]: [4, 64], [`${Q}.lora_B.weight`]: [64, 4] };
const both = (rows: number) => ({ [`${EMBED}.weight`]: [rows, 64], [`${HEAD}.weight`]: [rows, 64] });

function read(tensors: Record<string, number[]>, config: object = {}, base = BASE) {
  const given = {
    peft_type: 'LORA',
    r: 4,
    lora_alpha: 8,
    target_modules: '.*layers\\.0\\.self_attn\\.q_proj',
  };
  return readAdapter({
    configJson: JSON.stringify({ ...given, ...config }),
    header: headerOf({ ...QUERIES, ...tensors }),
    base,
    weights: { sha256: 'a'.repeat(64), bytes: 1 },
  });
}

function refusal(...args: Parameters<typeof read>): string {
  const { report } = read(...args);
  const [error] = report.errors;
  expect(error?.code).toBe('vocabulary_resized');
  return error?.message ?? '';
}

describe('an adapter whose embedding and head have another number of rows', () => {
  it.each([V + 8, V + 1, V - 1, V - 10])('is read with its own vocabulary of %i tokens', (rows) => {
    const reading = read(both(rows));
    expect(reading.report.errors).toEqual([]);
    expect(reading).toMatchObject({
      verdict: 'accepted',
      manifest: { format: 'lorikeet.adapter.v3', vocabSize: rows },
    });
  });

  it('has the format that older engines know where it has as many as the base', () => {
    expect(read(both(V))).toMatchObject({ manifest: { format: 'lorikeet.adapter.v1' } });
  });

  it('is refused with the reason where the engine cannot serve it', () => {
    expect(refusal(both(V + 9))).toContain('there is room for 8 tokens beyond the base');
    expect(refusal(both(V - 11))).toContain(`the base's tokenizer has ${V - 10} tokens`);
    expect(refusal(both(V + 1), {}, PLAIN)).toContain('on this device');
    expect(refusal({ ...both(V), [`${HEAD}.weight`]: [V + 2, 64] })).toContain('other tensors of the file');
  });

  it('is refused where a token has no row', () => {
    expect(refusal({ [`${EMBED}.weight`]: [V + 3, 64] })).toContain(`no row of lm_head for token ${V}`);
    const rows = { [`${EMBED}.token_adapter.trainable_tokens_delta`]: [2, 64] };
    const indices = { trainable_token_indices: { embed_tokens: [V, V + 2] } };
    expect(refusal(rows, indices)).toContain(`no row of model.embed_tokens for token ${V + 1}`);
  });

  it('is refused with DoRA on the head', () => {
    const head = { [`${HEAD}.base_layer.weight`]: [V + 2, 64], [`${HEAD}.lora_magnitude_vector`]: [V + 2] };
    const factors = { [`${HEAD}.lora_A.weight`]: [4, 64], [`${HEAD}.lora_B.weight`]: [V + 2, 4] };
    const magnitude = { [`${Q}.lora_magnitude_vector`]: [64] };
    const config = { target_modules: '.*layers\\.0\\.self_attn\\.q_proj|lm_head', use_dora: true };
    const tensors = { ...head, ...factors, ...magnitude, [`${EMBED}.weight`]: [V + 2, 64] };
    expect(refusal(tensors, config)).toContain('DoRA on the output head');
  });
});
