// OLMoE: Llama with experts, and norms over the whole width of q and of k.
#include "model/families/experts.h"
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.max_positions = 4096;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  if (c.fields.number("clip_qkv")) c.fields.refuse("clip_qkv is not implemented (null is)");
  ExpertOptions experts = read_experts(c, "num_experts", 64, 8);
  experts.width = c.d.ffn;
  experts.renormalize = c.fields.boolean("norm_topk_prob", false);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    Attention& a = layer.attention;
    const std::string self = layer_prefix(i) + "self_attn.";
    a.q_norm = c.rms_norm(self + "q_norm", static_cast<int32_t>(a.q_width()), options.epsilon);
    a.k_norm = c.rms_norm(self + "k_norm", static_cast<int32_t>(a.kv_width()), options.epsilon);
    put_experts(c, layer, i, experts);
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kOlmoe;
const Family kOlmoe{"olmoe", {"OlmoeForCausalLM"}, read};

}  // namespace lorikeet
