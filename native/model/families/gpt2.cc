// GPT-2 (Radford et al. 2019) and GPT-BigCode (SantaCoder, StarCoder): learned positions, LayerNorm, a plain
// MLP. GPT-2 keeps its maps as [in, out] (Conv1D); GPT-BigCode shares one key head between all queries.
#include <cmath>

#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

void read_sizes(ConfigReader& c) {
  c.d.vocab = c.fields.need_integer("vocab_size", 1);
  c.d.hidden = c.fields.need_integer("n_embd", 1);
  c.d.layers = c.fields.need_integer("n_layer", 1);
  c.d.q_heads = c.d.kv_heads = c.fields.need_integer("n_head", 1);
  c.d.ffn = c.fields.integer("n_inner", 1).value_or(4 * c.d.hidden);
  c.d.max_positions = c.fields.integer("n_positions", 1).value_or(1024);
  if (c.d.hidden % c.d.q_heads != 0) c.fields.refuse("n_embd is not a multiple of n_head");
  c.d.head_dim = c.d.hidden / c.d.q_heads;
  // The old name of n_positions, the heads of a classifier, and the order of the same operations.
  for (const char* known : {"n_ctx", "summary_activation", "summary_first_dropout", "summary_proj_to_labels",
                            "summary_type", "summary_use_proj", "reorder_and_upcast_attn",
                            "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32"}) {
    c.fields.has(known);
  }
}

void frame(ConfigReader& c, float epsilon) {
  Network& network = c.network;
  network.embedding.module = "transformer.wte";
  network.embedding.positions = "transformer.wpe";
  network.embedding.position_rows = c.d.max_positions;
  network.final_norm = layer_norm("transformer.ln_f", c.d.hidden, epsilon);
  network.head.module = "lm_head";
  network.head.tied = c.tied(true);
  add_bare_names(network, "transformer.", {"wte.", "wpe.", "h.", "ln_f."});
  // The causal mask, in files of old and of both names.
  for (const char* stem : {"h.", "transformer.h."})
    ignore_buffers(c, stem, {"attn.bias", "attn.masked_bias"});
}

// `conv`: maps are stored transposed.
Layer layer_of(const ConfigReader& c, int32_t index, float epsilon, const Activation& activation, bool conv) {
  const std::string prefix = layer_prefix(index, "transformer.h.");
  Layer layer;
  layer.before_attention = layer_norm(prefix + "ln_1", c.d.hidden, epsilon);
  layer.before_mlp = layer_norm(prefix + "ln_2", c.d.hidden, epsilon);
  layer.attention = plain_attention(c);
  layer.attention.qkv = fused_qkv(c, prefix + "attn.c_attn", true, conv);
  layer.attention.o = one_map(layer.attention.q_width(), prefix + "attn.c_proj", c.d.hidden, true, conv);
  layer.mlp = plain_mlp(c, one_map(c.d.hidden, prefix + "mlp.c_fc", c.d.ffn, true, conv),
                        one_map(c.d.ffn, prefix + "mlp.c_proj", c.d.hidden, true, conv), activation);
  return layer;
}

void read_gpt2(ConfigReader& c) {
  read_sizes(c);
  c.check_dimensions();
  const float epsilon = c.epsilon("layer_norm_epsilon", 1e-5);
  const Activation activation = c.activation("activation_function", "gelu_new");
  const bool scaled = c.fields.boolean("scale_attn_weights", true);
  const bool by_layer = c.fields.boolean("scale_attn_by_inverse_layer_idx", false);
  frame(c, epsilon);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = layer_of(c, i, epsilon, activation, true);
    if (!scaled) layer.attention.scale = 1.0f;
    if (by_layer) layer.attention.scale /= static_cast<float>(i + 1);
    c.network.layers.push_back(std::move(layer));
  }
}

void read_gpt_bigcode(ConfigReader& c) {
  read_sizes(c);
  // With a key head for each query head it lays q, k and v out otherwise.
  if (!c.fields.boolean("multi_query", true))
    c.fields.refuse("multi_query false is not implemented for gpt_bigcode");
  c.d.kv_heads = 1;
  for (const char* known :
       {"inference_runner", "validate_runner_input", "pre_allocate_kv_cache", "max_sequence_length",
        "max_batch_size", "pad_key_length", "num_key_value_heads"}) {
    c.fields.has(known);
  }
  c.check_dimensions();
  const float epsilon = c.epsilon("layer_norm_epsilon", 1e-5);
  const Activation activation = c.activation("activation_function", "gelu_pytorch_tanh");
  const bool scaled = c.fields.boolean("scale_attn_weights", true);
  frame(c, epsilon);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = layer_of(c, i, epsilon, activation, false);
    if (!scaled) layer.attention.scale = 1.0f;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGpt2, kGptBigcode;
const Family kGpt2{"gpt2", {"GPT2LMHeadModel"}, read_gpt2};
const Family kGptBigcode{"gpt_bigcode", {"GPTBigCodeForCausalLM"}, read_gpt_bigcode};

}  // namespace lorikeet
