import { describe, expect, it } from 'vitest';
import type { ManifestModule, TensorRef } from '#contracts/adapter-manifest.js';
import { changed, codes, read, untied as BASE } from '../../../../test/support/adapter-shapes.js';
import { checkInvocation } from './check-invocation.js';
import { HonouredFieldsSchema } from './fields.js';

const invokedBy = (tokens: unknown) => changed({ alora_invocation_tokens: tokens });
const tensor: TensorRef = { name: 't', dtype: 'F32', shape: [1], begin: 0, end: 4 };
const lora = { rank: 1, scale: 1, a: tensor, b: tensor };
const problemsOf = (...modules: ManifestModule[]) =>
  checkInvocation(
    HonouredFieldsSchema.parse({ peft_type: 'LORA', alora_invocation_tokens: [3] }),
    BASE,
    modules,
  );

describe('an activated LoRA', () => {
  it('keeps its invocation in the manifest, in a format that engines which do not know it refuse', () => {
    const reading = read(invokedBy([7, 8, 7]));
    expect(reading).toMatchObject({
      verdict: 'accepted',
      manifest: { format: 'lorikeet.adapter.v2', invocationTokens: [7, 8, 7] },
    });
  });

  it.each([[null], [[]]])('is none where its invocation is %j, as in PEFT', (tokens) => {
    const reading = read(invokedBy(tokens));
    expect(reading).toMatchObject({ verdict: 'accepted', manifest: { format: 'lorikeet.adapter.v1' } });
    expect(reading.verdict === 'accepted' && 'invocationTokens' in reading.manifest).toBe(false);
  });

  it.each([
    ['a token that the base does not have', [BASE.vocabSize], ['token_index_invalid']],
    ['a negative token', [-1], ['config_field_value']],
    ['text', 'answer:', ['config_field_type']],
    [
      'more tokens than the context',
      Array.from({ length: BASE.maxContext }, () => 1),
      ['config_field_value'],
    ],
  ])('is refused with %s', (_, tokens, expected) => {
    expect(codes(invokedBy(tokens))).toEqual(expected);
  });

  it('is refused beside what PEFT refuses', () => {
    const mica = changed({ alora_invocation_tokens: [1], init_lora_weights: 'mica' });
    expect(codes(mica)).toEqual(['config_conflict']);
    const { report } = read(changed({ alora_invocation_tokens: [1], use_dora: true }));
    expect(report.errors).toContainEqual({
      code: 'config_conflict',
      field: 'alora_invocation_tokens',
      message: 'alora_invocation_tokens: PEFT refuses it together with use_dora.',
    });
  });

  it('is refused where it would act before its invocation', () => {
    expect(problemsOf({ module: 'model.layers.0.self_attn.q_proj', lora })).toEqual([]);
    for (const change of [
      { module: 'lm_head', weight: tensor },
      { module: 'model.norm', weight: tensor },
      { module: 'model.layers.0.self_attn.q_proj', lora, bias: tensor },
      { module: 'model.embed_tokens', tokenRows: { indices: [1], rows: tensor } },
      { module: 'model.embed_tokens', lora },
    ])
      expect(problemsOf(change)).toMatchObject([
        { code: 'config_conflict', field: 'alora_invocation_tokens', module: change.module },
      ]);
  });
});
