// Seed-OSS: Llama with biases on q, k and v, and a head size of its own.
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 8;
  defaults.head_dim = 128;
  defaults.max_positions = 524288;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = c.fields.boolean("attention_bias", true);
  options.o_bias = c.fields.boolean("attention_out_bias", false);
  options.mlp_bias = c.fields.boolean("mlp_bias", false);
  c.fields.has("residual_dropout");
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(c.llama_layer(i, options));
}

}  // namespace

extern const Family kSeedOss;
const Family kSeedOss{"seed_oss", {"SeedOssForCausalLM"}, read};

}  // namespace lorikeet
