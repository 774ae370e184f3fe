// Llama 1 to 3 (Touvron et al. 2023): pre-norm RMS, rotary positions over the whole head, silu GLU.
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  c.read_dimensions({});
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  options.mlp_bias = c.fields.boolean("mlp_bias", false);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(c.llama_layer(i, options));
}

}  // namespace

extern const Family kLlama;
const Family kLlama{"llama", {"LlamaForCausalLM"}, read};

}  // namespace lorikeet
