// Llama 4, the text part: layers that see their own chunk of the context alone, and between them layers
// without positions that see all of it, their queries scaled far out; experts whose inputs are scaled beside
// one that all rows share.
#include <algorithm>

#include "model/families/experts.h"
#include "model/families/family.h"

namespace lorikeet {

namespace {

struct Options {
  LayerOptions layer;
  std::vector<bool> rotated, chunked, sparse;  // by layer
  int32_t chunk = 0;
  bool head_norms = false;
  QueryScaling scaling;  // of layers without positions
  ExpertOptions experts;
  int32_t dense_width = 0;
};

std::vector<bool> rotated_layers(ConfigReader& c) {
  const std::vector<double> given = c.fields.numbers("no_rope_layers");  // 1: with positions
  const int32_t named = c.fields.integer("nope_layer_interval", 1).value_or(4);
  const int32_t interval = c.fields.integer("no_rope_layer_interval", 1).value_or(named);
  if (!given.empty() && given.size() != static_cast<size_t>(c.d.layers))
    c.fields.fail("no_rope_layers", "one for each of num_hidden_layers");
  std::vector<bool> rotated;
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const auto at = static_cast<size_t>(i);
    rotated.push_back(at < given.size() ? given[at] != 0 : (i + 1) % interval != 0);
  }
  return rotated;
}

std::vector<bool> chunked_layers(ConfigReader& c, const std::vector<bool>& rotated) {
  const std::vector<std::string> types = c.fields.texts("layer_types");
  if (types.empty()) return rotated;
  if (types.size() != rotated.size()) {
    c.fields.fail("layer_types", "one for each of num_hidden_layers");
    return rotated;
  }
  std::vector<bool> chunked;
  for (const std::string& type : types) {
    if (type != "chunked_attention" && type != "full_attention") {
      c.fields.refuse("layer_types: \"" + type +
                      "\" is not implemented for llama4_text (chunked_attention, full_attention are)");
    }
    chunked.push_back(type == "chunked_attention");
  }
  return chunked;
}

std::vector<bool> sparse_layers(ConfigReader& c) {
  const int32_t step = c.fields.integer("interleave_moe_layer_step", 1).value_or(1);
  const bool lists = c.fields.has("moe_layers");
  std::vector<bool> sparse(static_cast<size_t>(c.d.layers));
  if (!lists) {
    for (int32_t i = step - 1; i < c.d.layers; i += step) sparse[static_cast<size_t>(i)] = true;
    return sparse;
  }
  for (const double index : c.fields.numbers("moe_layers")) {
    if (index >= 0 && index < c.d.layers) sparse[static_cast<size_t>(index)] = true;
  }
  return sparse;
}

Options read_options(ConfigReader& c) {
  Options options;
  options.layer.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.layer.activation = c.activation("hidden_act", "silu");
  options.layer.qkv_bias = options.layer.o_bias = c.fields.boolean("attention_bias", false);
  options.rotated = rotated_layers(c);
  options.chunked = chunked_layers(c, options.rotated);
  options.sparse = sparse_layers(c);
  const bool chunkless = c.fields.is_null("attention_chunk_size");
  options.chunk = c.fields.integer("attention_chunk_size", 1).value_or(chunkless ? 0 : 8192);
  if (options.chunk == 0 &&
      std::find(options.chunked.begin(), options.chunked.end(), true) != options.chunked.end())
    c.fields.refuse("attention_chunk_size null with chunked_attention layers is not implemented");
  options.head_norms = c.fields.boolean("use_qk_norm", true);
  if (c.fields.boolean("attn_temperature_tuning", true)) {
    options.scaling.beta = static_cast<float>(c.fields.number("attn_scale").value_or(0.1));
    options.scaling.span = static_cast<float>(c.fields.number("floor_scale").value_or(8192));
    options.scaling.shift = 1;
    if (!(options.scaling.span >= 1)) c.fields.fail("floor_scale", "at least 1");
  } else {
    for (const char* known : {"attn_scale", "floor_scale"}) c.fields.has(known);
  }
  options.experts = read_experts(c, "num_local_experts", 16, 1);
  options.experts.width = c.d.ffn;
  options.dense_width = c.fields.integer("intermediate_size_mlp", 1).value_or(16384);
  // Of training; and of one quantizer, which stored experts one by one.
  for (const char* known : {"router_jitter_noise", "for_llm_compressor"}) c.fields.has(known);
  return options;
}

void put_mixture(ConfigReader& c, Layer& layer, int32_t index, const Options& options) {
  const std::string mlp = layer_prefix(index) + "feed_forward.";
  put_experts(c, layer, index, options.experts);
  put_shared_expert(c, layer, mlp + "shared_expert", options.experts.width);
  ExpertLayer& own = *layer.mlp.experts;
  own.router = {c.d.hidden, {map_module(mlp + "router", options.experts.experts)}};
  own.routing.score = RouterScore::sigmoid;
  own.routing.scales_inputs = true;
  own.names.stem = mlp + "experts.";
  own.names.transposed = true;
}

Layer layer_of(ConfigReader& c, int32_t index, const Options& options) {
  const auto at = static_cast<size_t>(index);
  Layer layer = c.llama_layer(index, options.layer);
  Attention& attention = layer.attention;
  attention.chunk = options.chunked[at] ? options.chunk : 0;
  if (!options.rotated[at]) {
    attention.rope.reset();
    attention.query_scaling = options.scaling;
  } else if (options.head_norms) {
    Norm norm = c.rms_norm(layer_prefix(index) + "self_attn.qk_norm", c.d.head_dim, options.layer.epsilon);
    norm.gain = false;
    attention.q_norm = attention.k_norm = norm;
    attention.norm_after_rope = true;
  }
  if (options.sparse[at]) {
    put_mixture(c, layer, index, options);
  } else {
    put_shared_expert(c, layer, layer_prefix(index) + "feed_forward", options.dense_width);
  }
  return layer;
}

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 8;
  defaults.head_dim = 128;
  defaults.ffn = 8192;
  defaults.max_positions = 131072;
  c.read_dimensions(defaults);
  const Options options = read_options(c);
  c.llama_frame(c.tied(false), options.layer.epsilon);
  ConfigReader::RopeDefaults rope;
  rope.theta = 500000.0;
  rope.interleaved = true;
  c.add_rope(rope);
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(layer_of(c, i, options));
}

}  // namespace

extern const Family kLlama4;
const Family kLlama4{"llama4_text", {"Llama4ForCausalLM"}, read};

}  // namespace lorikeet
