// Qwen3-Next: gated delta nets and gated attention, and Qwen2-MoE's experts with the one that all rows share.
#include "model/families/experts.h"
#include "model/families/family.h"
#include "model/families/qwen.h"
#include "model/families/qwen_next.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.ffn = 5632;
  defaults.kv_heads = 2;
  defaults.head_dim = 256;
  defaults.max_positions = 32768;
  c.read_dimensions(defaults);
  const NextOptions options = read_next(c);
  ExpertOptions experts = read_experts(c, "num_experts", 512, 10);
  experts.width = c.fields.integer("moe_intermediate_size", 1).value_or(512);
  experts.renormalize = c.fields.boolean("norm_topk_prob", true);
  const int32_t shared = c.fields.integer("shared_expert_intermediate_size", 1).value_or(512);
  const std::vector<bool> sparse = qwen_sparse_layers(c);
  next_frame(c, options);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = next_layer(c, i, options, false);
    if (sparse[static_cast<size_t>(i)]) put_qwen_experts(c, layer, i, experts, shared);
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kQwen3Next;
const Family kQwen3Next{"qwen3_next", {"Qwen3NextForCausalLM"}, read};

}  // namespace lorikeet
