// GLM-4.5 and 4.6: Llama with rope over half of each head, experts chosen by sigmoids with a trained bias,
// and an expert that all rows share. The layer after the last, which predicts a further token, is left out.
#include "model/families/experts.h"
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 8;
  defaults.max_positions = 131072;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = c.fields.boolean("attention_bias", false);
  const bool head_norms = c.fields.boolean("use_qk_norm", false);
  ExpertOptions experts = read_experts(c, "n_routed_experts", 128, 8);
  experts.width = c.fields.integer("moe_intermediate_size", 1).value_or(1408);
  experts.renormalize = c.fields.boolean("norm_topk_prob", true);
  const int32_t shared = c.fields.integer("n_shared_experts", 1).value_or(1);
  const int32_t dense = c.fields.integer("first_k_dense_replace", 0).value_or(1);
  const int32_t groups = c.fields.integer("n_group", 1).value_or(1);
  const int32_t chosen_groups = c.fields.integer("topk_group", 1).value_or(1);
  const double scale = c.fields.number("routed_scaling_factor").value_or(1.0);
  if (experts.experts % groups != 0 || chosen_groups > groups) {
    c.fields.refuse("n_group must divide the experts, and topk_group not exceed it");
  }
  for (const char* name : {"num_nextn_predict_layers", "num_mtp_layers"}) c.fields.has(name);
  c.network.ignored = {"model.layers." + std::to_string(c.d.layers) + "."};
  c.llama_frame(c.tied(false), options.epsilon);
  ConfigReader::RopeDefaults rope;
  rope.partial = 0.5;
  c.add_rope(rope);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    const std::string prefix = layer_prefix(i);
    if (head_norms) {
      layer.attention.q_norm = c.rms_norm(prefix + "self_attn.q_norm", c.d.head_dim, options.epsilon);
      layer.attention.k_norm = c.rms_norm(prefix + "self_attn.k_norm", c.d.head_dim, options.epsilon);
    }
    if (i >= dense) {
      put_experts(c, layer, i, experts);
      put_shared_expert(c, layer, prefix + "mlp.shared_experts", experts.width * shared);
      ExpertLayer& own = *layer.mlp.experts;
      own.choice_bias = prefix + "mlp.gate.e_score_correction_bias";
      own.routing.score = RouterScore::sigmoid;
      own.routing.groups = groups;
      own.routing.chosen_groups = chosen_groups;
      own.routing.scale = static_cast<float>(scale);
    }
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGlm4Moe;
const Family kGlm4Moe{"glm4_moe", {"Glm4MoeForCausalLM"}, read};

}  // namespace lorikeet
