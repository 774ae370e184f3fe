// Mistral: Llama with a window over all layers (null from v0.2 on).
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 8;
  defaults.max_positions = 4096 * 32;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  const bool windowless = c.fields.is_null("sliding_window");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(windowless ? 0 : 4096);
  if (c.fields.has("layer_types")) c.fields.refuse("layer_types are Ministral's, not Mistral's");
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    layer.attention.window = window;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kMistral;
const Family kMistral{"mistral", {"MistralForCausalLM"}, read};

}  // namespace lorikeet
