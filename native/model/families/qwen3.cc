// Qwen3, dense: Llama with an RMS norm over each head of q and k.
#include "model/families/family.h"
#include "model/families/qwen.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 32;
  defaults.head_dim = 128;
  defaults.max_positions = 32768;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  const std::vector<int32_t> windows = qwen_windows(c);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    const std::string self = layer_prefix(i) + "self_attn.";
    layer.attention.q_norm = c.rms_norm(self + "q_norm", c.d.head_dim, options.epsilon);
    layer.attention.k_norm = c.rms_norm(self + "k_norm", c.d.head_dim, options.epsilon);
    layer.attention.window = windows[static_cast<size_t>(i)];
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kQwen3;
const Family kQwen3{"qwen3", {"Qwen3ForCausalLM"}, read};

}  // namespace lorikeet
