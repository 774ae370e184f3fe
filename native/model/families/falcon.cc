// Falcon (Almazrouei et al. 2023): both blocks read the same x, through one norm or one each; q, k and v
// fused, with one key head for all queries (7B), one for each group (40B, 180B, 11B), or one for each query.
// Falcon-RW has alibi in rope's place, and its blocks one after the other.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

struct Layout {
  bool grouped = false;  // new_decoder_architecture
  bool parallel = true;
  bool two_norms = false;  // parallel blocks with a norm each
  bool bias = false;
  bool alibi = false;
};

Layout read_layout(ConfigReader& c) {
  Layout layout;
  layout.grouped = c.fields.boolean("new_decoder_architecture", false);
  const bool one_key_head = c.fields.boolean("multi_query", true);
  const auto kv_heads = c.fields.integer("num_kv_heads", 1);
  c.d.kv_heads = layout.grouped ? kv_heads.value_or(c.d.q_heads) : one_key_head ? 1 : c.d.q_heads;
  layout.parallel = c.fields.boolean("parallel_attn", true) || layout.grouped;
  const auto norms = c.fields.integer("num_ln_in_parallel_attn", 1);
  layout.two_norms = layout.grouped && norms.value_or(2) == 2;
  layout.bias = c.fields.boolean("bias", false);
  layout.alibi = c.fields.boolean("alibi", false);
  c.fields.has("apply_residual_connection_post_layernorm");  // Falcon's class does not read it
  return layout;
}

Layer layer_of(const ConfigReader& c, int32_t index, const Layout& layout, float epsilon,
               const Activation& activation) {
  const std::string prefix = layer_prefix(index, "transformer.h.");
  const auto norm = [&](const char* name) { return layer_norm(prefix + name, c.d.hidden, epsilon); };
  Layer layer;
  layer.parallel = layout.parallel;
  layer.before_attention = norm(layout.two_norms ? "ln_attn" : "input_layernorm");
  if (layout.two_norms) layer.before_mlp = norm("ln_mlp");
  if (!layout.parallel) layer.before_mlp = norm("post_attention_layernorm");
  layer.attention = plain_attention(c);
  layer.attention.alibi = layer.attention.coarse_alibi = layout.alibi;
  if (!layout.alibi) layer.attention.rope = 0;
  const std::string self = prefix + "self_attention.";
  const bool one_key_head = !layout.grouped && c.d.kv_heads == 1;
  layer.attention.qkv = one_key_head ? fused_qkv(c, self + "query_key_value", layout.bias)
                                     : grouped_qkv(c, self + "query_key_value", layout.bias);
  layer.attention.o = one_map(layer.attention.q_width(), self + "dense", c.d.hidden, layout.bias);
  layer.mlp = plain_mlp(c, one_map(c.d.hidden, prefix + "mlp.dense_h_to_4h", c.d.ffn, layout.bias),
                        one_map(c.d.ffn, prefix + "mlp.dense_4h_to_h", c.d.hidden, layout.bias), activation);
  return layer;
}

void read(ConfigReader& c) {
  const int32_t hidden = c.fields.need_integer("hidden_size", 1);
  DimensionDefaults defaults;
  defaults.ffn = c.fields.integer("ffn_hidden_size", 1).value_or(4 * hidden);
  c.read_dimensions(defaults);
  const float epsilon = c.epsilon("layer_norm_epsilon", 1e-5);
  const Activation activation = c.activation("activation", "gelu");
  const Layout layout = read_layout(c);
  c.check_dimensions();
  if (!layout.alibi) c.add_rope();
  for (const char* known : {"rope_parameters", "rope_theta", "rope_scaling"}) c.fields.has(known);
  Network& network = c.network;
  network.embedding.module = "transformer.word_embeddings";
  network.final_norm = layer_norm("transformer.ln_f", c.d.hidden, epsilon);
  network.head.module = "lm_head";
  network.head.tied = c.tied(true);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    network.layers.push_back(layer_of(c, i, layout, epsilon, activation));
  }
}

}  // namespace

extern const Family kFalcon;
const Family kFalcon{"falcon", {"FalconForCausalLM"}, read};

}  // namespace lorikeet
