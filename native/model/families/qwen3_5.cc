// Qwen3.5 and 3.6, the text part: Qwen3-Next with the delta net's projections in modules of their own, dense
// or with experts in every layer.
#include "model/families/experts.h"
#include "model/families/family.h"
#include "model/families/qwen.h"
#include "model/families/qwen_next.h"

namespace lorikeet {

namespace {

void read_dense(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 4;
  defaults.head_dim = 256;
  defaults.max_positions = 32768;
  c.read_dimensions(defaults);
  const NextOptions options = read_next(c);
  if (!c.fields.numbers("mlp_only_layers").empty()) {  // a field that no layer of the class looks at
    c.fields.refuse("mlp_only_layers is not implemented for qwen3_5_text ([] is)");
  }
  next_frame(c, options);
  for (int32_t i = 0; i < c.d.layers; ++i) c.network.layers.push_back(next_layer(c, i, options, true));
}

void read_experts_text(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.ffn = 1;  // no layer has a dense MLP
  defaults.kv_heads = 2;
  defaults.head_dim = 256;
  defaults.max_positions = 32768;
  c.read_dimensions(defaults);
  const NextOptions options = read_next(c);
  if (!c.fields.numbers("mlp_only_layers").empty()) {
    c.fields.refuse("mlp_only_layers is not implemented for qwen3_5_moe_text ([] is)");
  }
  if (!c.fields.boolean("norm_topk_prob", true)) {
    c.fields.refuse("norm_topk_prob false is not implemented for qwen3_5_moe_text");
  }
  ExpertOptions experts = read_experts(c, "num_experts", 256, 8);
  experts.width = c.fields.integer("moe_intermediate_size", 1).value_or(512);
  experts.renormalize = true;
  const int32_t shared = c.fields.integer("shared_expert_intermediate_size", 1).value_or(512);
  next_frame(c, options);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = next_layer(c, i, options, true);
    put_qwen_experts(c, layer, i, experts, shared);
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kQwen35, kQwen35Moe;
const Family kQwen35{"qwen3_5_text", {"Qwen3_5ForCausalLM"}, read_dense};
const Family kQwen35Moe{"qwen3_5_moe_text", {"Qwen3_5MoeForCausalLM"}, read_experts_text};

}  // namespace lorikeet
