// Granite 3 MoE: Llama with experts in one tensor and multipliers of embedding, scores, residual and logits.
#include "model/families/experts.h"
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  c.read_dimensions({});
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  ExpertOptions experts = read_experts(c, "num_local_experts", 8, 2);
  experts.width = c.d.ffn;
  experts.renormalize = true;
  const auto multiplier = [&](const char* name) { return c.fields.number(name).value_or(1.0); };
  c.llama_frame(c.tied(false), options.epsilon);
  c.network.embedding.scale = static_cast<float>(multiplier("embedding_multiplier"));
  c.network.residual_scale = static_cast<float>(multiplier("residual_multiplier"));
  c.network.head.scale = static_cast<float>(1.0 / multiplier("logits_scaling"));
  const auto attention_scale = static_cast<float>(multiplier("attention_multiplier"));
  c.network.renames = {
      {".router.layer.", ".router.", true},
      {".block_sparse_moe.input_linear.weight", ".block_sparse_moe.experts.gate_up_proj", true},
      {".block_sparse_moe.output_linear.weight", ".block_sparse_moe.experts.down_proj", true}};
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    layer.attention.scale = attention_scale;
    put_experts(c, layer, i, experts);
    const std::string moe = layer_prefix(i) + "block_sparse_moe.";
    layer.mlp.experts->router.modules.front().name = moe + "router";
    layer.mlp.experts->names.stem = moe + "experts.";
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kGraniteMoe;
const Family kGraniteMoe{"granitemoe", {"GraniteMoeForCausalLM"}, read};

}  // namespace lorikeet
