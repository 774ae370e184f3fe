// Phi-3, 3.5, 4 and 4-mini: Llama whose checkpoint holds q, k, v in one module and gate, up in another.
// Contexts beyond original_max_position_embeddings, where longrope turns by other factors, are not served.
#include "model/families/family.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.max_positions = 4096;
  c.read_dimensions(defaults);
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "silu");
  const int32_t window = c.fields.integer("sliding_window", 1).value_or(0);
  // Remote code of Phi-3 read these; the class has no such biases.
  for (const char* name : {"attention_bias", "mlp_bias", "lm_head_bias"}) {
    if (c.fields.boolean(name, false))
      c.fields.refuse(std::string(name) + " true is not implemented for phi3");
  }
  c.llama_frame(c.tied(false), options.epsilon);
  ConfigReader::RopeDefaults rope;
  rope.yarn_means_longrope = true;
  c.add_rope(rope);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    Layer layer = c.llama_layer(i, options);
    Attention& a = layer.attention;
    MapModule qkv = map_module(layer_prefix(i) + "self_attn.qkv_proj", a.q_width() + 2 * a.kv_width());
    qkv.parts = {rows_of(0, a.q_width()), rows_of(a.q_width(), a.kv_width()),
                 rows_of(a.q_width() + a.kv_width(), a.kv_width())};
    a.qkv.modules = {std::move(qkv)};
    a.window = window;
    MapModule up = map_module(layer_prefix(i) + "mlp.gate_up_proj", 2 * int64_t{c.d.ffn});
    up.parts = {rows_of(0, c.d.ffn), rows_of(c.d.ffn, c.d.ffn)};
    layer.mlp.up.modules = {std::move(up)};
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kPhi3;
const Family kPhi3{"phi3", {"Phi3ForCausalLM"}, read};

}  // namespace lorikeet
