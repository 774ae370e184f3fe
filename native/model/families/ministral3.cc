// Ministral 3: Mistral with yarn, whose queries grow with the logarithm of their position as Llama 4's do.
#include "model/families/family.h"

namespace lorikeet {

namespace {

// The class's own, where config.json has no rope_parameters.
size_t add_default_rope(ConfigReader& c) {
  Rope rope;
  rope.type = RopeType::yarn;
  rope.dims = c.d.head_dim;
  rope.theta = 1e6;
  rope.factor = 16.0;
  rope.original_max_positions = 16384;
  rope.mscale = rope.mscale_all_dim = 1.0;
  return c.push_rope(rope);
}

// Queries of position p are multiplied by 1 + beta log(1 + floor(p / original_max_position_embeddings)).
QueryScaling read_scaling(ConfigReader& c) {
  if (!c.has_rope_parameters()) return {0.1f, 16384.0f, 0};
  const auto beta = c.rope_number("llama_4_scaling_beta");
  const auto span = c.rope_number("original_max_position_embeddings");
  if (!beta || !span || *span < 1) {
    c.fields.refuse("rope_parameters without llama_4_scaling_beta and original_max_position_embeddings");
    return {};
  }
  return {static_cast<float>(*beta), static_cast<float>(*span), 0};
}

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.vocab = 131072;
  defaults.hidden = 4096;
  defaults.ffn = 14336;
  defaults.layers = 34;
  defaults.q_heads = 32;
  defaults.kv_heads = 8;
  defaults.head_dim = 128;
  defaults.max_positions = 262144;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "silu");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(0);
  if (c.fields.has("layer_types")) c.fields.refuse("layer_types are Ministral's, not Ministral 3's");
  c.llama_frame(c.tied(false), options.epsilon);
  const QueryScaling scaling = read_scaling(c);
  ConfigReader::RopeDefaults rope;
  rope.theta = 1e6;
  rope.beside = {"llama_4_scaling_beta", "max_position_embeddings"};
  if (c.has_rope_parameters()) {
    c.add_rope(rope);
  } else {
    add_default_rope(c);
  }
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    layer.attention.window = window;
    layer.attention.query_scaling = scaling;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kMinistral3;
const Family kMinistral3{"ministral3", {"Ministral3ForCausalLM"}, read};

}  // namespace lorikeet
