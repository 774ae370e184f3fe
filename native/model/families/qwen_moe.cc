// Qwen2-MoE (Qwen1.5-MoE, Qwen2-57B) and Qwen3-MoE: Qwen's layers with experts in most of them. Qwen2's have
// an expert beside them that all rows share, scaled by a gate of its own.
#include <algorithm>

#include "model/families/experts.h"
#include "model/families/family.h"
#include "model/families/qwen.h"

namespace lorikeet {

std::vector<bool> qwen_sparse_layers(ConfigReader& c) {
  const int32_t step = c.fields.integer("decoder_sparse_step", 1).value_or(1);
  const std::vector<double> dense = c.fields.numbers("mlp_only_layers");
  std::vector<bool> sparse;
  for (int32_t i = 0; i < c.d.layers; ++i) {
    sparse.push_back((i + 1) % step == 0 && std::find(dense.begin(), dense.end(), i) == dense.end());
  }
  return sparse;
}

void put_qwen_experts(ConfigReader& c, Layer& layer, int32_t index, const ExpertOptions& options,
                      int32_t shared) {
  put_experts(c, layer, index, options);
  const std::string mlp = layer_prefix(index) + "mlp.";
  put_shared_expert(c, layer, mlp + "shared_expert", shared);
  layer.mlp.experts->shared_gate = {c.d.hidden, {map_module(mlp + "shared_expert_gate", 1)}};
}

namespace {

void read_qwen2(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 16;
  defaults.max_positions = 32768;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = c.fields.boolean("qkv_bias", true);
  ExpertOptions experts = read_experts(c, "num_experts", 60, 4);
  experts.width = c.fields.integer("moe_intermediate_size", 1).value_or(1408);
  experts.renormalize = c.fields.boolean("norm_topk_prob", false);
  const int32_t shared = c.fields.integer("shared_expert_intermediate_size", 1).value_or(5632);
  if (c.fields.boolean("use_sliding_window", false)) {
    c.fields.refuse("use_sliding_window true is not implemented for qwen2_moe");
  }
  (void)qwen_windows(c);
  const std::vector<bool> sparse = qwen_sparse_layers(c);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    if (sparse[static_cast<size_t>(i)]) put_qwen_experts(c, layer, i, experts, shared);
    c.network.layers.push_back(std::move(layer));
  }
}

void read_qwen3(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 4;
  defaults.max_positions = 32768;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  ExpertOptions experts = read_experts(c, "num_experts", 128, 8);
  experts.width = c.fields.integer("moe_intermediate_size", 1).value_or(768);
  experts.renormalize = c.fields.boolean("norm_topk_prob", false);
  const bool windowed = c.fields.boolean("use_sliding_window", false);
  const int32_t window =
      c.fields.integer("sliding_window", 1).value_or(c.fields.is_null("sliding_window") ? 0 : 4096);
  c.fields.has("max_window_layers");  // Qwen2's: here all layers have the window, or none
  const std::vector<bool> sparse = qwen_sparse_layers(c);
  c.llama_frame(c.tied(false), options.epsilon);
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    const std::string self = layer_prefix(i) + "self_attn.";
    layer.attention.q_norm = c.rms_norm(self + "q_norm", c.d.head_dim, options.epsilon);
    layer.attention.k_norm = c.rms_norm(self + "k_norm", c.d.head_dim, options.epsilon);
    layer.attention.window = windowed ? window : 0;
    if (sparse[static_cast<size_t>(i)]) put_experts(c, layer, i, experts);
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kQwen2Moe, kQwen3Moe;
const Family kQwen2Moe{"qwen2_moe", {"Qwen2MoeForCausalLM"}, read_qwen2};
const Family kQwen3Moe{"qwen3_moe", {"Qwen3MoeForCausalLM"}, read_qwen3};

}  // namespace lorikeet
