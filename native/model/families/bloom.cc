// BLOOM (Le Scao et al. 2022): no positions but slopes on the scores (alibi), a norm after the embedding, q,
// k and v fused head by head.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

int32_t either(ConfigReader& c, const char* name, const char* other) {
  const auto first = c.fields.integer(name, 1);
  const auto second = c.fields.integer(other, 1);
  if (!first && !second) c.fields.fail(name, "given");
  return first.value_or(second.value_or(1));
}

void read_sizes(ConfigReader& c) {
  c.d.vocab = c.fields.need_integer("vocab_size", 1);
  const auto old_width = c.fields.integer("n_embed", 1);  // wins, as in Transformers
  const auto width = c.fields.integer("hidden_size", 1);
  if (!old_width && !width) c.fields.fail("hidden_size", "given");
  c.d.hidden = old_width.value_or(width.value_or(1));
  c.d.layers = either(c, "n_layer", "num_hidden_layers");
  c.d.q_heads = c.d.kv_heads = either(c, "n_head", "num_attention_heads");
  c.d.ffn = 4 * c.d.hidden;
  // Slopes go on for ever; the models were trained on 2048 tokens.
  c.d.max_positions = c.fields.integer("seq_length", 1).value_or(2048);
  if (c.d.hidden % c.d.q_heads != 0) c.fields.refuse("hidden_size is not a multiple of n_head");
  c.d.head_dim = c.d.hidden / c.d.q_heads;
  c.check_dimensions();
}

void read(ConfigReader& c) {
  read_sizes(c);
  const float epsilon = c.epsilon("layer_norm_epsilon", 1e-5);
  const bool norms_residual = c.fields.boolean("apply_residual_connection_post_layernorm", false);
  // Orders of the same operations, and how it was trained.
  for (const char* known :
       {"slow_but_exact", "masked_softmax_fusion", "attention_softmax_in_fp32", "bias_dropout_fusion",
        "unk_token_id", "offset_alibi", "skip_bias_add", "skip_bias_add_qkv", "n_inner"}) {
    c.fields.has(known);
  }
  Activation activation;
  activation.kind = ActivationKind::gelu_tanh;
  Network& network = c.network;
  network.embedding.module = "transformer.word_embeddings";
  network.embedding.norm = layer_norm("transformer.word_embeddings_layernorm", c.d.hidden, epsilon);
  network.final_norm = layer_norm("transformer.ln_f", c.d.hidden, epsilon);
  network.head.module = "lm_head";
  network.head.tied = c.tied(true);
  add_bare_names(network, "transformer.", {"word_embeddings.", "word_embeddings_layernorm.", "h.", "ln_f."});
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i, "transformer.h.");
    Layer layer;
    layer.norms_residual = norms_residual;
    layer.before_attention = layer_norm(prefix + "input_layernorm", c.d.hidden, epsilon);
    layer.before_mlp = layer_norm(prefix + "post_attention_layernorm", c.d.hidden, epsilon);
    layer.attention = plain_attention(c);
    layer.attention.alibi = true;
    layer.attention.qkv = grouped_qkv(c, prefix + "self_attention.query_key_value", true);
    layer.attention.o = one_map(layer.attention.q_width(), prefix + "self_attention.dense", c.d.hidden, true);
    layer.mlp = plain_mlp(c, one_map(c.d.hidden, prefix + "mlp.dense_h_to_4h", c.d.ffn, true),
                          one_map(c.d.ffn, prefix + "mlp.dense_4h_to_h", c.d.hidden, true), activation);
    network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kBloom;
const Family kBloom{"bloom", {"BloomForCausalLM"}, read};

}  // namespace lorikeet
