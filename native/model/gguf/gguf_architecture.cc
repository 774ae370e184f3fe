#include "model/gguf/gguf_architecture.h"

#include <algorithm>
#include <span>

namespace lorikeet {

namespace {

// Of all architectures.
constexpr GgufName kCommon[] = {
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_qkv", "self_attn.qkv_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_exps", "mlp.experts.*.gate_proj"},
    {"ffn_up_exps", "mlp.experts.*.up_proj"},
    {"ffn_down_exps", "mlp.experts.*.down_proj"},
    {"ffn_gate_inp_shexp", "mlp.shared_expert_gate"},
    {"ffn_gate_shexp", "mlp.shared_expert.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_expert.up_proj"},
    {"ffn_down_shexp", "mlp.shared_expert.down_proj"},
};

// Norms around both blocks.
const std::vector<GgufName> kSandwich = {{"ffn_norm", "pre_feedforward_layernorm"},
                                         {"post_attention_norm", "post_attention_layernorm"},
                                         {"post_ffw_norm", "post_feedforward_layernorm"}};

// Mistral's experts. Files of the first months hold each in a tensor of its own, ffn_gate.0 and so on.
const std::vector<GgufName> kNumbered = {
    {"ffn_gate_exps", "mlp.experts.*.w1"}, {"ffn_up_exps", "mlp.experts.*.w3"},
    {"ffn_down_exps", "mlp.experts.*.w2"}, {"ffn_gate.*", "mlp.experts.*.w1"},
    {"ffn_up.*", "mlp.experts.*.w3"},      {"ffn_down.*", "mlp.experts.*.w2"}};

void read_experts(GgufConfig& c, const char* count, const char* width) {
  c.copy_integer("expert_count", count);
  c.copy_integer("expert_used_count", "num_experts_per_tok");
  if (width != nullptr) c.copy_integer("expert_feed_forward_length", width);
  c.only("expert_gating_func", 1);  // softmax
}

// Layers whose MLP has no experts.
void read_dense_layers(GgufConfig& c) {
  c.config["decoder_sparse_step"] = 1;
  c.config["mlp_only_layers"] = nlohmann::json::array();
  for (int64_t i = 0; i < c.layers(); ++i) {
    if (c.layer_has(i, "ffn_gate.weight")) c.config["mlp_only_layers"].push_back(i);
  }
}

// Mistral's and Mixtral's files are called llama, too.
void llama(GgufConfig& c) {
  if (c.config.contains("partial_rotary_factor"))
    c.refuse("llama.rope.dimension_count is implemented as the whole head alone");
  const auto window = c.integer("attention.sliding_window");
  if (c.integer("expert_count").value_or(0) > 0) {
    c.config["model_type"] = "mixtral";
    read_experts(c, "num_local_experts", nullptr);
    c.ignore("expert_feed_forward_length");  // the tensors' shapes say whether it is the same
    if (window.value_or(0) > 0) c.config["sliding_window"] = *window;
    return;
  }
  c.ignore("expert_used_count");
  if (window.value_or(0) > 0) {
    c.config["model_type"] = "mistral";
    c.config["sliding_window"] = *window;
    return;
  }
  c.config["attention_bias"] = c.layer_has(0, "attn_q.bias");
  c.config["mlp_bias"] = c.layer_has(0, "ffn_gate.bias");
}

void qwen2_moe(GgufConfig& c) {
  read_experts(c, "num_experts", "moe_intermediate_size");
  c.copy_integer("expert_shared_feed_forward_length", "shared_expert_intermediate_size");
  c.config["norm_topk_prob"] = false;
  read_dense_layers(c);
}

void qwen3_moe(GgufConfig& c) {
  read_experts(c, "num_experts", "moe_intermediate_size");
  c.config["norm_topk_prob"] = true;
  read_dense_layers(c);
}

// What scores are divided by the root of. Files do not say it of the largest model of either generation,
// whose it is not the head's width but hidden / heads.
void query_scalar(GgufConfig& c, int64_t layers_of_largest) {
  const auto scale = c.number("attention.scale");
  const auto heads = c.integer("attention.head_count").value_or(1),
             hidden = c.integer("embedding_length").value_or(0);
  if (scale && *scale > 0) {
    c.config["query_pre_attn_scalar"] = 1 / (*scale * *scale);
  } else if (c.layers() == layers_of_largest && heads > 0) {
    c.config["query_pre_attn_scalar"] = hidden / heads;
  } else if (c.config.contains("head_dim")) {
    c.config["query_pre_attn_scalar"] = c.config["head_dim"];
  }
}

void gemma2(GgufConfig& c) {
  c.copy_number("attn_logit_softcapping", "attn_logit_softcapping");
  c.copy_number("final_logit_softcapping", "final_logit_softcapping");
  c.copy_integer("attention.sliding_window", "sliding_window");
  query_scalar(c, 46);
}

void gemma3(GgufConfig& c) {
  c.copy_number("final_logit_softcapping", "final_logit_softcapping");
  c.copy_integer("attention.sliding_window", "sliding_window");
  c.copy_integer("attention.sliding_window_pattern", "sliding_window_pattern");
  c.copy_number("rope.freq_base_swa", "rope_local_base_freq");
  query_scalar(c, 62);
}

void phi3(GgufConfig& c) {
  const auto window = c.integer("attention.sliding_window");
  if (window.value_or(0) > 0) c.config["sliding_window"] = *window;  // 0: none
}

const GgufArchitecture kArchitectures[] = {
    {"llama", "llama", kNumbered, true, false, llama},
    {"qwen2", "qwen2", {}},
    {"qwen3", "qwen3", {}},
    {"gemma", "gemma", {}, false, true},
    {"gemma2", "gemma2", kSandwich, false, true, gemma2},
    {"gemma3", "gemma3_text", kSandwich, false, true, gemma3},
    {"phi3", "phi3", {{"ffn_up", "mlp.gate_up_proj"}}, false, false, phi3},
    {"qwen2moe", "qwen2_moe", {}, false, false, qwen2_moe},
    {"qwen3moe", "qwen3_moe", {}, false, false, qwen3_moe},
};

}  // namespace

const GgufArchitecture* find_gguf_architecture(std::string_view name) {
  for (const GgufArchitecture& architecture : kArchitectures) {
    if (architecture.name == name) return &architecture;
  }
  return nullptr;
}

std::string gguf_architecture_names() {
  std::string names;
  for (const GgufArchitecture& architecture : kArchitectures)
    names += (names.empty() ? "" : ", ") + std::string(architecture.name);
  return names;
}

const GgufName* find_gguf_name(const GgufArchitecture& architecture, std::string_view stem) {
  const std::span<const GgufName> lists[] = {architecture.names, kCommon};
  for (const std::span<const GgufName> names : lists) {
    const auto found =
        std::find_if(names.begin(), names.end(), [&](const GgufName& name) { return name.gguf == stem; });
    if (found != names.end()) return &*found;
  }
  return nullptr;
}

}  // namespace lorikeet
