// Granite 3 and 4 (dense): Llama with four multipliers.
#include "model/families/family.h"

namespace lorikeet {

namespace {

float multiplier(ConfigReader& c, const char* name) {
  const double value = c.fields.number(name).value_or(1.0);
  if (value == 0) c.fields.fail(name, "other than 0");
  return static_cast<float>(value);
}

void read(ConfigReader& c) {
  c.read_dimensions({});
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  options.mlp_bias = c.fields.boolean("mlp_bias", false);
  c.llama_frame(c.tied(false), options.epsilon);
  c.network.embedding.scale = multiplier(c, "embedding_multiplier");
  c.network.residual_scale = multiplier(c, "residual_multiplier");
  c.network.head.scale = 1.0f / multiplier(c, "logits_scaling");
  const float attention_scale = multiplier(c, "attention_multiplier");
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    layer.attention.scale = attention_scale;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGranite;
const Family kGranite{"granite", {"GraniteForCausalLM"}, read};

}  // namespace lorikeet
