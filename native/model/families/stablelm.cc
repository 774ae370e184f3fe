// StableLM 2 and 3B: Llama with LayerNorm, a quarter of each head rotated, and optionally parallel blocks
// and a norm of each head of q and k.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

// Of each head, in a module of its own.
Norm head_norm(const std::string& module, int32_t width, int32_t heads, float epsilon) {
  Norm norm = layer_norm(module, width, epsilon, false);
  norm.copies = heads;
  norm.apart = true;
  return norm;
}

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 32;
  defaults.max_positions = 4096;
  c.read_dimensions(defaults);
  const float epsilon = c.epsilon("layer_norm_eps", 1e-5);
  LayerOptions options;
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = c.fields.boolean("use_qkv_bias", false);
  const bool parallel = c.fields.boolean("use_parallel_residual", false);
  const bool head_norms = c.fields.boolean("qk_layernorm", false);
  ConfigReader::RopeDefaults rope;
  rope.partial = c.fields.number("rope_pct").value_or(0.25);
  c.add_rope(rope);
  c.llama_frame(c.tied(false), epsilon);
  c.network.final_norm = layer_norm("model.norm", c.d.hidden, epsilon);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i);
    Layer layer = c.llama_layer(i, options);
    layer.parallel = parallel;
    layer.before_attention = layer_norm(prefix + "input_layernorm", c.d.hidden, epsilon);
    layer.before_mlp.reset();  // parallel: what attention read
    if (!parallel) layer.before_mlp = layer_norm(prefix + "post_attention_layernorm", c.d.hidden, epsilon);
    if (head_norms) {
      layer.attention.q_norm =
          head_norm(prefix + "self_attn.q_layernorm", c.d.head_dim, c.d.q_heads, epsilon);
      layer.attention.k_norm =
          head_norm(prefix + "self_attn.k_layernorm", c.d.head_dim, c.d.kv_heads, epsilon);
    }
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kStablelm;
const Family kStablelm{"stablelm", {"StableLmForCausalLM"}, read};

}  // namespace lorikeet
