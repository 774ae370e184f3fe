// LFM2 (Liquid AI 2025): convolutions of three tokens in most layers' attention's place, attention with a
// norm of each head in the others; a gated MLP whose width config.json gives before its adjustment.
#include <cmath>

#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

constexpr int32_t kMostTaps = 64;

// Which layers are convolutions: layer_types, or all but those of full_attn_idxs, which are all by default.
std::vector<bool> convolutions(ConfigReader& c) {
  const auto layers = static_cast<size_t>(c.d.layers);
  const std::vector<std::string> types = c.fields.texts("layer_types");
  const bool lists = c.fields.has("full_attn_idxs");
  if (!types.empty() && types.size() != layers) {
    c.fields.fail("layer_types", "one for each of num_hidden_layers");
    return std::vector<bool>(layers);
  }
  std::vector<bool> list(layers, lists);
  if (lists) {
    for (const double index : c.fields.numbers("full_attn_idxs")) {
      if (index >= 0 && index < c.d.layers) list[static_cast<size_t>(index)] = false;
    }
  }
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] != "conv" && types[i] != "full_attention") {
      c.fields.refuse("layer_types: \"" + types[i] +
                      "\" is not implemented for lfm2 (conv, full_attention are)");
    }
    list[i] = types[i] == "conv";
  }
  return list;
}

// As Transformers computes it, a whole number at each step.
int32_t adjusted_width(ConfigReader& c, int32_t width) {
  const bool adjusts = c.fields.boolean("block_auto_adjust_ff_dim", true);
  const bool multiplies = !c.fields.is_null("block_ffn_dim_multiplier");
  const double factor = c.fields.number("block_ffn_dim_multiplier").value_or(1.0);
  const int64_t multiple = c.fields.integer("block_multiple_of", 1).value_or(256);
  if (!adjusts) return width;
  const int64_t part = 2 * int64_t{width} / 3;
  if (!multiplies) return static_cast<int32_t>(part);
  const auto scaled = static_cast<int64_t>(factor * static_cast<double>(part));
  const int64_t whole = multiple * ((scaled + multiple - 1) / multiple);
  if (!(factor > 0) || whole < 1 || whole > 1 << 24) {
    c.fields.refuse("block_ffn_dim_multiplier makes an MLP of no width, or of too large a one");
    return 1;
  }
  return static_cast<int32_t>(whole);
}

struct Options {
  LayerOptions layer;
  std::vector<bool> convolution;  // by layer
  bool bias = false;
  int32_t taps = 0;
};

ShortConvolution convolution_of(const ConfigReader& c, const std::string& stem, const Options& options) {
  ShortConvolution net;
  net.channels = c.d.hidden;
  net.taps = options.taps;
  net.bias = options.bias;
  net.in = one_map(c.d.hidden, stem + "in_proj", 3 * int64_t{c.d.hidden}, options.bias);
  net.out = one_map(c.d.hidden, stem + "out_proj", c.d.hidden, options.bias);
  net.kernel = stem + "conv";
  return net;
}

Layer layer_of(const ConfigReader& c, int32_t index, const Options& options) {
  const std::string prefix = layer_prefix(index);
  const std::string self = prefix + "self_attn.", mlp = prefix + "feed_forward.";
  const float epsilon = options.layer.epsilon;
  Layer layer = c.llama_layer(index, options.layer);
  layer.before_attention = c.rms_norm(prefix + "operator_norm", c.d.hidden, epsilon);
  layer.before_mlp = c.rms_norm(prefix + "ffn_norm", c.d.hidden, epsilon);
  layer.mlp.up = {c.d.hidden, {map_module(mlp + "w1", c.d.ffn), map_module(mlp + "w3", c.d.ffn)}};
  layer.mlp.down = {c.d.ffn, {map_module(mlp + "w2", c.d.hidden)}};
  if (options.convolution[static_cast<size_t>(index)]) {
    layer.attention = {};
    layer.convolution = convolution_of(c, prefix + "conv.", options);
    return layer;
  }
  layer.attention.o = one_map(layer.attention.q_width(), self + "out_proj", c.d.hidden, false);
  layer.attention.q_norm = c.rms_norm(self + "q_layernorm", c.d.head_dim, epsilon);
  layer.attention.k_norm = c.rms_norm(self + "k_layernorm", c.d.head_dim, epsilon);
  return layer;
}

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.ffn = c.fields.integer("block_ff_dim", 1).value_or(12288);
  defaults.kv_heads = 8;
  defaults.max_positions = 128000;
  c.read_dimensions(defaults);
  if (c.fields.has("block_ff_dim")) c.d.ffn = *defaults.ffn;  // wins, as in Transformers
  c.d.ffn = adjusted_width(c, c.d.ffn);
  Options options;
  options.layer.epsilon = c.epsilon("norm_eps", 1e-5);
  options.convolution = convolutions(c);
  options.bias = c.fields.boolean("conv_bias", false);
  options.taps = c.fields.integer("conv_L_cache", 1).value_or(3);
  if (options.taps > kMostTaps) c.fields.fail("conv_L_cache", "at most " + std::to_string(kMostTaps));
  // Of the same things by their training's names.
  for (const char* known : {"block_dim", "block_mlp_init_scale", "block_norm_eps", "block_out_init_scale",
                            "block_use_swiglu", "block_use_xavier_init", "conv_dim", "conv_dim_out",
                            "conv_use_xavier_init", "num_heads", "use_pos_enc", "theta"}) {
    c.fields.has(known);
  }
  const bool tied = c.fields.boolean("tie_embedding", c.tied(true));
  c.llama_frame(tied, options.layer.epsilon);
  c.network.final_norm = c.rms_norm("model.embedding_norm", c.d.hidden, options.layer.epsilon);
  ConfigReader::RopeDefaults rope;
  rope.theta = 1000000.0;
  c.add_rope(rope);
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(layer_of(c, i, options));
}

}  // namespace

extern const Family kLfm2;
const Family kLfm2{"lfm2", {"Lfm2ForCausalLM"}, read};

}  // namespace lorikeet
