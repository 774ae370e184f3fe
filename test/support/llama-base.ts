import { readFileSync } from 'node:fs';
import type { BaseModel, BaseModule } from '#contracts/base-model.js';

interface LlamaConfig {
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly vocab_size: number;
  readonly max_position_embeddings: number;
  readonly tie_word_embeddings: boolean;
  readonly attention_bias?: boolean;
  readonly mlp_bias?: boolean;
}

/** What an engine would say of a Llama checkpoint with this config.json. */
export function llamaBase(configPath: URL, changes: Partial<LlamaConfig> = {}): BaseModel {
  const config = { ...(JSON.parse(readFileSync(configPath, 'utf8')) as LlamaConfig), ...changes };
  const hidden = config.hidden_size;
  return {
    name: 'base',
    digest: 'b'.repeat(64),
    architecture: 'LlamaForCausalLM',
    hiddenSize: hidden,
    numLayers: config.num_hidden_layers,
    vocabSize: config.vocab_size,
    heads: config.num_attention_heads,
    keyHeads: config.num_key_value_heads,
    maxContext: config.max_position_embeddings,
    tieWordEmbeddings: config.tie_word_embeddings,
    quantization: 'none',
    modules: [
      { name: 'model.embed_tokens', kind: 'embedding', out: hidden, in: config.vocab_size, bias: false },
      ...Array.from({ length: config.num_hidden_layers }, (_, layer) => layerModules(config, layer)).flat(),
      { name: 'model.norm', kind: 'norm', out: hidden, in: 1, bias: false },
      { name: 'lm_head', kind: 'linear', out: config.vocab_size, in: hidden, bias: false },
    ],
  };
}

function layerModules(config: LlamaConfig, layer: number): BaseModule[] {
  const { hidden_size: hidden, intermediate_size: wide } = config;
  const queries = config.num_attention_heads * config.head_dim;
  const keys = config.num_key_value_heads * config.head_dim;
  const attentionBias = config.attention_bias ?? false;
  const mlpBias = config.mlp_bias ?? false;
  const path = `model.layers.${layer}`;
  const linear = (name: string, out: number, width: number, bias: boolean): BaseModule => ({
    name: `${path}.${name}`,
    kind: 'linear',
    out,
    in: width,
    bias,
  });
  const norm = (name: string): BaseModule => ({
    name: `${path}.${name}`,
    kind: 'norm',
    out: hidden,
    in: 1,
    bias: false,
  });
  return [
    linear('self_attn.q_proj', queries, hidden, attentionBias),
    linear('self_attn.k_proj', keys, hidden, attentionBias),
    linear('self_attn.v_proj', keys, hidden, attentionBias),
    linear('self_attn.o_proj', hidden, queries, attentionBias),
    linear('mlp.gate_proj', wide, hidden, mlpBias),
    linear('mlp.up_proj', wide, hidden, mlpBias),
    linear('mlp.down_proj', hidden, wide, mlpBias),
    norm('input_layernorm'),
    norm('post_attention_layernorm'),
  ];
}
