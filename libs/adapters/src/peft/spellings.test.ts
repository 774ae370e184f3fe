import { describe, expect, it } from 'vitest';
import { QUERIES, QUERY_CONFIG, read, type Shapes } from '../../../../test/support/adapter-shapes.js';

/* The same adapter as tools save it: what each adds to the config, and how it names the tensors. */

const named = (change: (name: string) => string): Shapes =>
  Object.fromEntries(Object.entries(QUERIES).map(([name, shape]) => [change(name), shape]));
const behind = (part: string) => named((name) => name.replace(/(lora_[AB])\./, `$1.${part}.`));
const regex = '(?:.*?(?:language|text).*?)?.*\\.self_attn\\.(?:q_proj)';

const SPELLINGS: readonly [string, object, Shapes][] = [
  ['PEFT', { peft_version: '0.21.0', runtime_config: null, auto_mapping: null }, QUERIES],
  ['PEFT of 2023', { enable_lora: null, merge_weights: false, inference_mode: true }, QUERIES],
  ['a state dict of PEFT', {}, behind('default')],
  [
    'Unsloth',
    {
      auto_mapping: {
        base_model_class: 'LlamaForCausalLM',
        parent_library: 'transformers.models.llama.modeling_llama',
        unsloth_fixed: true,
      },
      target_modules: regex,
    },
    QUERIES,
  ],
  [
    'axolotl with torch.compile',
    {},
    named((name) => name.replace('base_model.model.', 'base_model.model._orig_mod.')),
  ],
  ['axolotl with FSDP', {}, named((name) => name.replace('.self_attn.', '._fsdp_wrapped_module.self_attn.'))],
  [
    'axolotl with checkpointed activations',
    {},
    named((name) => name.replace('.self_attn.', '._checkpoint_wrapped_module.self_attn.')),
  ],
  [
    'LLaMA-Factory',
    { target_modules: ['q_proj'], modules_to_save: null, use_rslora: false, lora_dropout: 0.1 },
    QUERIES,
  ],
  [
    'ms-swift',
    { target_modules: '^(model)(?!.*(lm_head|output|emb|wte|shared)).*q_proj$', modules_to_save: [] },
    QUERIES,
  ],
  ['DeepSpeed and DDP', {}, named((name) => name.replace('base_model.model.', 'module.base_model.model.'))],
];

describe('the spelling', () => {
  const expected = read(QUERY_CONFIG);
  const numbers = (reading: typeof expected) =>
    reading.verdict === 'accepted' &&
    reading.manifest.modules.map(({ module, lora }) => ({
      module,
      rank: lora?.rank,
      scale: lora?.scale,
      shapes: [lora?.a.shape, lora?.b.shape],
    }));

  it.each(SPELLINGS)('of %s means what PEFT means', (_, fields, shapes) => {
    const reading = read({ ...QUERY_CONFIG, ...fields }, shapes);
    expect(reading.report.errors).toEqual([]);
    expect(numbers(reading)).toEqual(numbers(expected));
  });

  it('of torchtune has no more in the config than the numbers', () => {
    const { r, lora_alpha, target_modules } = QUERY_CONFIG;
    const reading = read({ r, lora_alpha, target_modules, peft_type: 'LORA' }, QUERIES);
    expect(numbers(reading)).toEqual(numbers(expected));
  });

  it.each([
    ['torchtune', 'layers.0.attn.q_proj.lora_a.weight', /torchtune.*FullModelHFCheckpointer/],
    ['Megatron', 'decoder.layers.0.self_attention.linear_qkv.adapter.linear_in.weight', /Megatron.*export/],
    ['kohya', 'lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight', /kohya/],
    ['diffusers', 'transformer.blocks.0.attn.to_q.lora_A.weight', /base_model\.model/],
    ['no tool', 'some.thing', /base_model\.model/],
  ])("of %s's own, with the tensor %s, is refused by that name", (_, tensor, message) => {
    const [error] = read(QUERY_CONFIG, { ...QUERIES, [tensor]: [4, 64] }).report.errors;
    expect(error).toMatchObject({ code: 'tensor_name_invalid', tensor });
    expect(error?.message).toMatch(message);
  });
});
