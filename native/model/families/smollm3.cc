// SmolLM3: Llama without positions on every fourth layer.
#include "model/families/family.h"

namespace lorikeet {

namespace {

// 1 where a layer has positions, by list or every `no_rope_layer_interval`-th without.
std::vector<bool> rotated_layers(ConfigReader& c) {
  const std::vector<double> given = c.fields.numbers("no_rope_layers");
  const int32_t interval = c.fields.integer("no_rope_layer_interval", 1).value_or(4);
  if (!given.empty() && given.size() != static_cast<size_t>(c.d.layers)) {
    c.fields.fail("no_rope_layers", "one for each of num_hidden_layers");
    return std::vector<bool>(static_cast<size_t>(c.d.layers), true);
  }
  std::vector<bool> rotated;
  for (int32_t i = 0; i < c.d.layers; ++i) {
    rotated.push_back(given.empty() ? (i + 1) % interval != 0 : given[static_cast<size_t>(i)] != 0);
  }
  return rotated;
}

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 4;
  defaults.max_positions = 32768;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  options.mlp_bias = c.fields.boolean("mlp_bias", false);
  const std::vector<bool> rotated = rotated_layers(c);
  const bool windowed = c.fields.boolean("use_sliding_window", false);
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(0);
  const std::vector<std::string> types = c.layer_types();
  c.fields.has("max_window_layers");
  c.llama_frame(c.tied(true), options.epsilon);
  ConfigReader::RopeDefaults rope;
  rope.theta = 2000000.0;
  c.add_rope(rope);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const auto at = static_cast<size_t>(i);
    Layer layer = c.llama_layer(i, options);
    if (!rotated[at]) layer.attention.rope.reset();
    const bool sliding = types.empty() ? !rotated[at] : types[at] == "sliding_attention";
    if (windowed && sliding) layer.attention.window = window;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kSmollm3;
const Family kSmollm3{"smollm3", {"SmolLM3ForCausalLM"}, read};

}  // namespace lorikeet
