// ERNIE 4.5, Helium, GLM and GLM-4: Llama whose rotations turn neighbouring dimensions. GLM rotates half of
// each head and fuses gate and up; GLM-4 normalizes after each block, too.
#include "model/families/family.h"

namespace lorikeet {

namespace {

ConfigReader::RopeDefaults interleaved(double theta, double partial) {
  ConfigReader::RopeDefaults rope;
  rope.theta = theta;
  rope.partial = partial;
  rope.interleaved = true;
  return rope;
}

void read_ernie(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 2;
  defaults.head_dim = 128;
  defaults.max_positions = 131072;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = options.mlp_bias = c.fields.boolean("use_bias", false);
  c.llama_frame(c.tied(true), options.epsilon);
  c.add_rope(interleaved(500000.0, 1.0));
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(c.llama_layer(i, options));
}

void read_helium(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 20;
  defaults.head_dim = 128;
  defaults.max_positions = 4096;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-8);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = c.fields.boolean("attention_bias", false);
  options.mlp_bias = c.fields.boolean("mlp_bias", false);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope(interleaved(100000.0, 1.0));
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(c.llama_layer(i, options));
}

LayerOptions read_glm_frame(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 2;
  defaults.head_dim = 128;
  defaults.max_positions = 131072;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1.5625e-7);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = c.fields.boolean("attention_bias", true);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope(interleaved(10000.0, 0.5));
  return options;
}

Layer glm_layer(const ConfigReader& c, int32_t index, const LayerOptions& options) {
  Layer layer = c.llama_layer(index, options);
  MapModule up = map_module(layer_prefix(index) + "mlp.gate_up_proj", 2 * int64_t{c.d.ffn});
  up.parts = {rows_of(0, c.d.ffn), rows_of(c.d.ffn, c.d.ffn)};
  layer.mlp.up.modules = {std::move(up)};
  return layer;
}

void read_glm(ConfigReader& c) {
  const LayerOptions options = read_glm_frame(c);
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(glm_layer(c, i, options));
}

void read_glm4(ConfigReader& c) {
  const LayerOptions options = read_glm_frame(c);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i);
    Layer layer = glm_layer(c, i, options);
    layer.after_attention = c.rms_norm(prefix + "post_self_attn_layernorm", c.d.hidden, options.epsilon);
    layer.after_mlp = c.rms_norm(prefix + "post_mlp_layernorm", c.d.hidden, options.epsilon);
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kErnie, kHelium, kGlm, kGlm4;
const Family kErnie{"ernie4_5", {"Ernie4_5ForCausalLM"}, read_ernie};
const Family kHelium{"helium", {"HeliumForCausalLM"}, read_helium};
const Family kGlm{"glm", {"GlmForCausalLM"}, read_glm};
const Family kGlm4{"glm4", {"Glm4ForCausalLM"}, read_glm4};

}  // namespace lorikeet
