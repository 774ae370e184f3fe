// Gemma 1: norms of (1 + w), heads of 256, gelu GLU, rows of the embedding times sqrt(hidden), a tied head.
#include "model/families/gemma.h"

#include <cmath>

#include "model/families/family.h"

namespace lorikeet {

LayerOptions gemma_options(ConfigReader& c) {
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.norm_offset = 1.0f;
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  return options;
}

void gemma_frame(ConfigReader& c, const LayerOptions& options) {
  c.llama_frame(c.tied(true), options.epsilon, options.norm_offset);
  c.network.embedding.scale = static_cast<float>(std::sqrt(static_cast<double>(c.d.hidden)));
}

Layer gemma_sandwich(ConfigReader& c, int32_t index, const LayerOptions& options, double query_scalar) {
  const std::string prefix = layer_prefix(index);
  const auto norm = [&](const char* name) {
    return c.rms_norm(prefix + name, c.d.hidden, options.epsilon, options.norm_offset);
  };
  Layer layer = c.llama_layer(index, options);
  layer.after_attention = norm("post_attention_layernorm");
  layer.before_mlp = norm("pre_feedforward_layernorm");
  layer.after_mlp = norm("post_feedforward_layernorm");
  layer.attention.scale = static_cast<float>(1.0 / std::sqrt(query_scalar));
  return layer;
}

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.vocab = 256000;
  defaults.kv_heads = 16;
  defaults.head_dim = 256;
  defaults.max_positions = 8192;
  c.read_dimensions(defaults);
  LayerOptions options = gemma_options(c);
  // Its first files say "gelu" and mean the approximation; hidden_activation never ruled.
  options.activation = c.activation("hidden_act", "gelu_pytorch_tanh");
  if (options.activation.kind == ActivationKind::gelu) options.activation.kind = ActivationKind::gelu_tanh;
  c.fields.has("hidden_activation");
  gemma_frame(c, options);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(c.llama_layer(i, options));
}

}  // namespace

extern const Family kGemma;
const Family kGemma{"gemma", {"GemmaForCausalLM"}, read};

}  // namespace lorikeet
