// Mixtral: Mistral with 8 experts in the place of each MLP, two of which a row chooses.
#include "model/families/experts.h"
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.kv_heads = 8;
  defaults.max_positions = 4096 * 32;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "silu");
  ExpertOptions experts = read_experts(c, "num_local_experts", 8, 2);
  experts.width = c.d.ffn;
  experts.renormalize = true;
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(0);
  c.llama_frame(c.tied(false), options.epsilon);
  c.network.renames = {{".block_sparse_moe.", ".mlp.", true}};
  c.add_rope();
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    layer.attention.window = window;
    put_experts(c, layer, i, experts);
    ExpertNames& names = layer.mlp.experts->names;
    names.gate = "w1";
    names.up = "w3";
    names.down = "w2";
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kMixtral;
const Family kMixtral{"mixtral", {"MixtralForCausalLM"}, read};

}  // namespace lorikeet
