// Command R (cohere) and Command R7B (cohere2): one LayerNorm without bias whose result both blocks read,
// neighbouring dimensions rotated, scaled logits. cohere2 has windows, and positions only on the layers that
// have one.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

struct Options {
  LayerOptions layer;
  float epsilon = 0;
};

Options read_frame(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.max_positions = 8192;
  c.read_dimensions(defaults);
  Options options;
  options.epsilon = c.epsilon("layer_norm_eps", 1e-5);
  options.layer.activation = c.activation("hidden_act", "silu");
  options.layer.qkv_bias = options.layer.o_bias = c.fields.boolean("attention_bias", false);
  c.llama_frame(c.tied(true), options.epsilon);
  c.network.final_norm = layer_norm("model.norm", c.d.hidden, options.epsilon, false);
  c.network.head.scale = static_cast<float>(c.fields.number("logit_scale").value_or(0.0625));
  ConfigReader::RopeDefaults rope;
  rope.theta = 500000.0;
  rope.interleaved = true;
  c.add_rope(rope);
  return options;
}

Layer layer_of(const ConfigReader& c, int32_t index, const Options& options) {
  Layer layer = c.llama_layer(index, options.layer);
  layer.parallel = true;
  layer.before_attention =
      layer_norm(layer_prefix(index) + "input_layernorm", c.d.hidden, options.epsilon, false);
  layer.before_mlp.reset();
  return layer;
}

// Of each head, with a gain of its own.
Norm head_norm(const ConfigReader& c, const std::string& module, int32_t heads, float epsilon) {
  Norm norm = layer_norm(module, c.d.head_dim, epsilon, false);
  norm.copies = heads;
  return norm;
}

void read_cohere(ConfigReader& c) {
  const Options options = read_frame(c);
  const bool normed = c.fields.boolean("use_qk_norm", false);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string self = layer_prefix(i) + "self_attn.";
    Layer layer = layer_of(c, i, options);
    if (normed) {
      layer.attention.q_norm = head_norm(c, self + "q_norm", c.d.q_heads, options.epsilon);
      layer.attention.k_norm = head_norm(c, self + "k_norm", c.d.kv_heads, options.epsilon);
    }
    c.network.layers.push_back(std::move(layer));
  }
}

void read_cohere2(ConfigReader& c) {
  const Options options = read_frame(c);
  const bool windowless = c.fields.is_null("sliding_window");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(windowless ? 0 : 4096);
  const int32_t pattern = c.fields.integer("sliding_window_pattern", 1).value_or(4);
  const std::vector<std::string> types = c.layer_types();
  if (c.fields.boolean("use_qk_norm", false))
    c.fields.refuse("use_qk_norm true is not implemented for cohere2");
  if (!c.fields.boolean("use_parallel_block", true))
    c.fields.refuse("use_parallel_block false is not implemented");
  if (!c.fields.boolean("use_gated_activation", true)) {
    c.fields.refuse("use_gated_activation false is not implemented");
  }
  for (const char* known :
       {"cache_implementation", "layer_switch", "order_of_interleaved_layers", "position_embedding_type",
        "rotary_pct", "use_embedding_sharing", "use_parallel_embedding"}) {
    c.fields.has(known);
  }
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = layer_of(c, i, options);
    const bool sliding =
        types.empty() ? (i + 1) % pattern != 0 : types[static_cast<size_t>(i)] == "sliding_attention";
    layer.attention.window = sliding ? window : 0;
    if (!sliding || window == 0) layer.attention.rope.reset();
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kCohere, kCohere2;
const Family kCohere{"cohere", {"CohereForCausalLM"}, read_cohere};
const Family kCohere2{"cohere2", {"Cohere2ForCausalLM"}, read_cohere2};

}  // namespace lorikeet
