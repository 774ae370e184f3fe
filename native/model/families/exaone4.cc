// EXAONE 4: Llama with norms after the blocks and of each head of q and k; where there are windows, the
// layers without one have no positions.
#include "model/families/family.h"

namespace lorikeet {

namespace {

std::vector<bool> sliding_layers(ConfigReader& c, bool windowed) {
  const std::vector<std::string> types = c.layer_types();
  // Files with layer_types spell the pattern as letters.
  int32_t pattern = 4;
  if (types.empty() && windowed) pattern = c.fields.integer("sliding_window_pattern", 1).value_or(4);
  c.fields.has("sliding_window_pattern");
  std::vector<bool> sliding;
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const bool own =
        types.empty() ? (i + 1) % pattern != 0 : types[static_cast<size_t>(i)] == "sliding_attention";
    sliding.push_back(windowed && own);
  }
  return sliding;
}

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 32;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "silu");
  const bool windowless = c.fields.is_null("sliding_window");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(windowless ? 0 : 4096);
  const std::vector<bool> sliding = sliding_layers(c, window != 0);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i);
    Layer layer = c.llama_layer(i, options);
    layer.before_attention.reset();
    layer.before_mlp.reset();
    layer.after_attention = c.rms_norm(prefix + "post_attention_layernorm", c.d.hidden, options.epsilon);
    layer.after_mlp = c.rms_norm(prefix + "post_feedforward_layernorm", c.d.hidden, options.epsilon);
    layer.attention.q_norm = c.rms_norm(prefix + "self_attn.q_norm", c.d.head_dim, options.epsilon);
    layer.attention.k_norm = c.rms_norm(prefix + "self_attn.k_norm", c.d.head_dim, options.epsilon);
    if (sliding[static_cast<size_t>(i)]) layer.attention.window = window;
    if (window != 0 && !sliding[static_cast<size_t>(i)]) layer.attention.rope.reset();
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kExaone4;
const Family kExaone4{"exaone4", {"Exaone4ForCausalLM"}, read};

}  // namespace lorikeet
