// HunYuan (dense): Llama that normalizes each head of q and k after their rotation.
#include <cmath>

#include "model/families/family.h"

namespace lorikeet {

namespace {

// Fields of the published files that the class does not read, because it can do only one of what they choose
// from.
void refuse_variants(ConfigReader& c) {
  for (const char* name : {"use_cla", "mlp_bias", "position_embedding_xdrope", "add_classification_head"}) {
    if (c.fields.boolean(name, false))
      c.fields.refuse(std::string(name) + " true is not implemented for hunyuan_v1_dense");
  }
  for (const char* name : {"use_qk_norm", "use_rotary_pos_emb"}) {
    if (!c.fields.boolean(name, true))
      c.fields.refuse(std::string(name) + " false is not implemented for hunyuan_v1_dense");
  }
  for (const char* known :
       {"attention_head_dim", "cla_share_factor", "class_num", "dense_list", "eod_token_id", "im_end_id",
        "im_newline_id", "im_start_id", "mask_init_id", "norm_type", "org_vocab_size", "pad_id", "pool_type",
        "skip_cls_token", "text_end_id", "text_start_id"}) {
    c.fields.has(known);
  }
}

// Of type "dynamic" with an alpha other than 0 the base is alpha^(D / (D - 2)) times as large, at every
// length.
void add_rope(ConfigReader& c) {
  ConfigReader::RopeDefaults defaults;
  defaults.beside = {"alpha", "beta_fast", "beta_slow", "mscale", "mscale_all_dim"};
  const double alpha = c.rope_number("alpha").value_or(0);
  Rope& rope = c.network.ropes[c.add_rope(defaults)];
  if (alpha == 0 || c.rope_type() != "dynamic") return;
  if (!(alpha > 0)) c.fields.refuse("alpha below 0");
  const double width = c.d.head_dim;
  rope.theta *= std::pow(alpha, width / (width - 2));
}

void read(ConfigReader& c) {
  refuse_variants(c);
  c.read_dimensions({});
  LayerOptions options;
  options.epsilon = c.epsilon("rms_norm_eps", 1e-5);
  options.activation = c.activation("hidden_act", "silu");
  options.qkv_bias = options.o_bias = c.fields.boolean("attention_bias", false);
  c.llama_frame(c.tied(false), options.epsilon);
  add_rope(c);
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string self = layer_prefix(i) + "self_attn.";
    Layer layer = c.llama_layer(i, options);
    layer.attention.q_norm = c.rms_norm(self + "query_layernorm", c.d.head_dim, options.epsilon);
    layer.attention.k_norm = c.rms_norm(self + "key_layernorm", c.d.head_dim, options.epsilon);
    layer.attention.norm_after_rope = true;
    c.network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kHunyuan;
const Family kHunyuan{"hunyuan_v1_dense", {"HunYuanDenseV1ForCausalLM"}, read};

}  // namespace lorikeet
