// Qwen2 and Qwen2.5: Llama with biases on q, k and v that no field announces.
#include "model/families/family.h"
#include "model/families/qwen.h"

namespace lorikeet {

std::vector<int32_t> qwen_windows(ConfigReader& c) {
  const bool used = c.fields.boolean("use_sliding_window", false);
  const bool windowless = c.fields.is_null("sliding_window");
  const int32_t given = c.fields.integer("sliding_window", 0).value_or(windowless ? 0 : 4096);
  const int32_t window = used ? given : 0;
  const int32_t first = c.fields.integer("max_window_layers", 0).value_or(28);
  const std::vector<std::string> types = c.layer_types();
  std::vector<int32_t> windows;
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const bool sliding = types.empty() ? i >= first : types[static_cast<size_t>(i)] == "sliding_attention";
    windows.push_back(sliding ? window : 0);
  }
  return windows;
}

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 32;
  defaults.max_positions = 32768;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = true;
  const std::vector<int32_t> windows = qwen_windows(c);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    layer.attention.window = windows[static_cast<size_t>(i)];
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kQwen2;
const Family kQwen2{"qwen2", {"Qwen2ForCausalLM"}, read};

}  // namespace lorikeet
