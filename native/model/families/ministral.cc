// Ministral: Mistral with a window on some layers.
#include "model/families/family.h"

namespace lorikeet {

namespace {

LayerOptions read_options(ConfigReader& c, const DimensionDefaults& defaults, double epsilon) {
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", epsilon);
  options.activation = c.activation("hidden_act", "silu");
  c.llama_frame(c.tied(false), options.epsilon);
  return options;
}

void read_ministral(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 8;
  defaults.max_positions = 131072;
  const LayerOptions options = read_options(c, defaults, 1e-6);
  const bool windowless = c.fields.is_null("sliding_window");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(windowless ? 0 : 4096);
  const std::vector<std::string> types = c.layer_types();
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    const bool sliding = types.empty() || types[static_cast<size_t>(i)] == "sliding_attention";
    layer.attention.window = sliding ? window : 0;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kMinistral;
const Family kMinistral{"ministral", {"MinistralForCausalLM"}, read_ministral};

}  // namespace lorikeet
