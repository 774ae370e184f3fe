// OLMo 1 to 3 (Groeneveld et al. 2024): 1 is Llama with LayerNorm without weights; 2 and 3 normalize after
// each block and all heads of q and of k together; 3 has windows, and scales positions on the other layers
// only.
#include "model/families/family.h"

namespace lorikeet {

namespace {

LayerOptions read_options(ConfigReader& c, double epsilon) {
  c.read_dimensions({});
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", epsilon);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  return options;
}

void read_olmo(ConfigReader& c) {
  LayerOptions options = read_options(c, 1e-5);
  const auto clip = c.fields.number("clip_qkv");
  if (clip && !(*clip > 0)) c.fields.fail("clip_qkv", "above 0");
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  const auto plain = [&](std::optional<Norm>& norm) {
    norm->kind = NormKind::layer;
    norm->gain = false;
    norm->epsilon = 1e-5f;  // the class's own
  };
  plain(c.network.final_norm);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    plain(layer.before_attention);
    plain(layer.before_mlp);
    layer.attention.clip = static_cast<float>(clip.value_or(0));
    c.network.layers.push_back(std::move(layer));
  }
}

Layer post_norm_layer(const ConfigReader& c, int32_t index, const LayerOptions& options) {
  const std::string prefix = layer_prefix(index);
  Layer layer = c.llama_layer(index, options);
  layer.before_attention.reset();
  layer.before_mlp.reset();
  layer.after_attention = c.rms_norm(prefix + "post_attention_layernorm", c.d.hidden, options.epsilon);
  layer.after_mlp = c.rms_norm(prefix + "post_feedforward_layernorm", c.d.hidden, options.epsilon);
  Attention& a = layer.attention;
  a.q_norm = c.rms_norm(prefix + "self_attn.q_norm", static_cast<int32_t>(a.q_width()), options.epsilon);
  a.k_norm = c.rms_norm(prefix + "self_attn.k_norm", static_cast<int32_t>(a.kv_width()), options.epsilon);
  return layer;
}

void read_olmo2(ConfigReader& c) {
  const LayerOptions options = read_options(c, 1e-5);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(post_norm_layer(c, i, options));
}

void read_olmo3(ConfigReader& c) {
  const LayerOptions options = read_options(c, 1e-5);
  const bool windowless = c.fields.is_null("sliding_window");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(windowless ? 0 : 4096);
  const std::vector<std::string> types = c.layer_types();
  c.llama_frame(c.tied(false), options.epsilon);
  ConfigReader::RopeDefaults defaults;
  constexpr double kTheta = 500000.0;
  defaults.theta = kTheta;
  auto full = c.add_rope_of("full_attention", defaults);
  auto local = c.add_rope_of("sliding_attention", defaults);
  if (!full) full = c.add_rope(defaults);
  if (c.fields.error()) return;
  // Of files with one rope_theta, Transformers reads it for the full layers alone.
  if (!local) local = c.add_plain_rope(kTheta);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = post_norm_layer(c, i, options);
    const bool sliding =
        types.empty() ? (i + 1) % 4 != 0 : types[static_cast<size_t>(i)] == "sliding_attention";
    layer.attention.window = sliding ? window : 0;
    layer.attention.rope = sliding ? local : full;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kOlmo, kOlmo2, kOlmo3;
const Family kOlmo{"olmo", {"OlmoForCausalLM"}, read_olmo};
const Family kOlmo2{"olmo2", {"Olmo2ForCausalLM"}, read_olmo2};
const Family kOlmo3{"olmo3", {"Olmo3ForCausalLM"}, read_olmo3};

}  // namespace lorikeet
