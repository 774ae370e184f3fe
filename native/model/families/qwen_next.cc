#include "model/families/qwen_next.h"

namespace lorikeet {

namespace {

constexpr int32_t kMostTaps = 64;

std::vector<bool> recurrent_layers(ConfigReader& c) {
  const std::vector<std::string> types = c.fields.texts("layer_types");
  const int32_t interval = c.fields.integer("full_attention_interval", 1).value_or(4);
  std::vector<bool> recurrent;
  if (!types.empty() && static_cast<int32_t>(types.size()) != c.d.layers) {
    c.fields.fail("layer_types", "one for each layer");
    return std::vector<bool>(static_cast<size_t>(c.d.layers));
  }
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string type = !types.empty()            ? types[static_cast<size_t>(i)]
                             : (i + 1) % interval == 0 ? "full_attention"
                                                       : "linear_attention";
    if (type != "full_attention" && type != "linear_attention") {
      c.fields.refuse("layer_types: \"" + type + "\" is not implemented for " + c.network.family +
                      " (full_attention, linear_attention are)");
    }
    recurrent.push_back(type == "linear_attention");
  }
  return recurrent;
}

void read_heads(ConfigReader& c, DeltaNet& net) {
  net.key_heads = c.fields.integer("linear_num_key_heads", 1).value_or(16);
  net.value_heads = c.fields.integer("linear_num_value_heads", 1).value_or(32);
  net.key_dim = c.fields.integer("linear_key_head_dim", 1).value_or(128);
  net.value_dim = c.fields.integer("linear_value_head_dim", 1).value_or(128);
  net.taps = c.fields.integer("linear_conv_kernel_dim", 1).value_or(4);
  if (net.value_heads % net.key_heads != 0) {
    c.fields.refuse("linear_num_value_heads is not a multiple of linear_num_key_heads");
  }
  if (net.taps > kMostTaps) c.fields.fail("linear_conv_kernel_dim", "at most " + std::to_string(kMostTaps));
  // Products of these have to stay in 32 bits.
  for (const int64_t size : {int64_t{net.key_heads} * net.key_dim, int64_t{net.value_heads} * net.value_dim,
                             int64_t{net.key_dim} * net.value_dim}) {
    if (size > 1 << 24) c.fields.refuse("linear_*_head_dim or linear_num_*_heads is too large");
  }
}

// Of all key heads, each with what belongs to it side by side: q, k, its value heads' v and z; b and a.
LinearMap fused_in(const ConfigReader& c, const std::string& stem, const DeltaNet& net) {
  const int64_t group = net.value_heads / net.key_heads;
  const int64_t key = net.key_dim, value = group * net.value_dim, step = 2 * (key + value);
  MapModule qkvz = map_module(stem + "in_proj_qkvz", net.key_heads * step);
  qkvz.parts = {{0, net.key_heads * key, key, step},
                {key, net.key_heads * key, key, step},
                {2 * key, net.key_heads * value, value, step},
                {2 * key + value, net.key_heads * value, value, step}};
  MapModule ba = map_module(stem + "in_proj_ba", 2 * int64_t{net.value_heads});
  ba.parts = {{0, net.value_heads, group, 2 * group}, {group, net.value_heads, group, 2 * group}};
  return {c.d.hidden, {std::move(qkvz), std::move(ba)}};
}

LinearMap apart_in(const ConfigReader& c, const std::string& stem, const DeltaNet& net) {
  const DeltaNetDesc desc = net.desc();
  return {c.d.hidden,
          {map_module(stem + "in_proj_qkv", desc.mixed_width()),
           map_module(stem + "in_proj_z", desc.value_width()),
           map_module(stem + "in_proj_b", net.value_heads), map_module(stem + "in_proj_a", net.value_heads)}};
}

// Each head's queries and then its gates.
MapModule gated_queries(MapModule module, const Attention& attention) {
  const int64_t head = attention.head_dim;
  module.out = 2 * attention.q_width();
  module.parts = {{head, attention.q_width(), head, 2 * head}, {0, attention.q_width(), head, 2 * head}};
  return module;
}

}  // namespace

NextOptions read_next(ConfigReader& c) {
  NextOptions options;
  options.layer.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.layer.norm_offset = 1;
  options.layer.activation = c.activation("hidden_act", "silu");
  options.layer.qkv_bias = options.layer.o_bias = c.fields.boolean("attention_bias", false);
  if (options.layer.activation.kind != ActivationKind::silu)
    c.fields.refuse("hidden_act is not implemented for " + c.network.family + " (silu is)");
  if (!c.fields.boolean("attn_output_gate", true)) {
    c.fields.refuse("attn_output_gate false is not implemented");
  }
  const std::string gate = c.fields.text("output_gate_type").value_or("swish");
  if (gate != "swish" && gate != "silu") {
    c.fields.refuse("output_gate_type \"" + gate + "\" is not implemented (swish is)");
  }
  const std::string state = c.fields.text("mamba_ssm_dtype").value_or("float32");
  if (state != "float32")
    c.fields.refuse("mamba_ssm_dtype \"" + state + "\" is not implemented (float32 is)");
  // Layers that predict further tokens are left out.
  for (const char* name : {"mtp_num_hidden_layers", "mtp_use_dedicated_embeddings"}) c.fields.has(name);
  options.recurrent = recurrent_layers(c);
  read_heads(c, options.net);
  return options;
}

void next_frame(ConfigReader& c, const NextOptions& options) {
  c.network.ignored.emplace_back("mtp.");
  c.llama_frame(c.tied(false), options.layer.epsilon, options.layer.norm_offset);
  ConfigReader::RopeDefaults rope;
  rope.partial = 0.25;
  c.add_rope(rope);
}

Layer next_layer(const ConfigReader& c, int32_t index, const NextOptions& options, bool apart) {
  Layer layer = c.llama_layer(index, options.layer);
  const float epsilon = options.layer.epsilon, offset = options.layer.norm_offset;
  if (options.recurrent[static_cast<size_t>(index)]) {
    const std::string stem = layer_prefix(index) + "linear_attn.";
    DeltaNet net = options.net;
    net.stem = stem;
    net.in = apart ? apart_in(c, stem, net) : fused_in(c, stem, net);
    net.out = {net.desc().value_width(), {map_module(stem + "out_proj", c.d.hidden)}};
    net.norm = c.rms_norm(stem + "norm", net.value_dim, epsilon);
    layer.attention = {};
    layer.delta_net = std::move(net);
    return layer;
  }
  const std::string self = layer_prefix(index) + "self_attn.";
  Attention& attention = layer.attention;
  attention.gated = true;
  attention.qkv.modules.front() = gated_queries(std::move(attention.qkv.modules.front()), attention);
  attention.q_norm = c.rms_norm(self + "q_norm", c.d.head_dim, epsilon, offset);
  attention.k_norm = c.rms_norm(self + "k_norm", c.d.head_dim, epsilon, offset);
  return layer;
}

}  // namespace lorikeet
