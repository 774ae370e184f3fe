// StarCoder2 (Lozhkov et al. 2024): Llama's attention with biases and a window, LayerNorm, a plain MLP.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 2;
  defaults.max_positions = 4096;
  c.read_dimensions(defaults);
  const float epsilon = c.epsilon("norm_epsilon", 1e-5);
  const Activation activation = c.activation("hidden_act", "gelu_pytorch_tanh");
  const bool bias = c.fields.boolean("use_bias", true);
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(0);
  for (const char* known : {"residual_dropout", "mlp_type", "norm_type"}) c.fields.has(known);
  c.add_rope();
  c.llama_frame(c.tied(true), epsilon);
  c.network.final_norm = layer_norm("model.norm", c.d.hidden, epsilon);
  LayerOptions options;
  options.qkv_bias = options.o_bias = bias;
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i);
    Layer layer = c.llama_layer(i, options);
    layer.before_attention = layer_norm(prefix + "input_layernorm", c.d.hidden, epsilon);
    layer.before_mlp = layer_norm(prefix + "post_attention_layernorm", c.d.hidden, epsilon);
    layer.attention.window = window;
    layer.mlp = plain_mlp(c, one_map(c.d.hidden, prefix + "mlp.c_fc", c.d.ffn, bias),
                          one_map(c.d.ffn, prefix + "mlp.c_proj", c.d.hidden, bias), activation);
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kStarcoder2;
const Family kStarcoder2{"starcoder2", {"Starcoder2ForCausalLM"}, read};

}  // namespace lorikeet
