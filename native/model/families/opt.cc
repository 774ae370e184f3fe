// OPT (Zhang et al. 2022): learned positions of which the first two rows are not used, LayerNorm, relu.
// OPT-350m normalizes x behind its blocks, and embeds in fewer dimensions.
#include "model/families/family.h"
#include "model/families/plain_layer.h"

namespace lorikeet {

namespace {

void read(ConfigReader& c) {
  c.d.ffn = c.fields.need_integer("ffn_dim", 1);
  DimensionDefaults defaults;
  defaults.ffn = c.d.ffn;
  c.read_dimensions(defaults);
  const Activation activation = c.activation("activation_function", "relu");
  const bool bias = c.fields.boolean("enable_bias", true);
  const bool before = c.fields.boolean("do_layer_norm_before", true);
  const int32_t width = c.fields.integer("word_embed_proj_dim", 1).value_or(c.d.hidden);
  if (!c.fields.boolean("layer_norm_elementwise_affine", true)) {
    c.fields.refuse("layer_norm_elementwise_affine false is not implemented for opt");
  }
  const bool removed = c.fields.boolean("_remove_final_layer_norm", false);
  const bool final_norm = before && !removed;
  for (const char* known : {"init_std", "dropout", "activation_dropout"}) c.fields.has(known);
  constexpr float kEpsilon = 1e-5f;  // torch's own: the class names none
  Network& network = c.network;
  network.embedding.module = "model.decoder.embed_tokens";
  if (width != c.d.hidden) {
    network.embedding.width = width;
    network.embedding.projection = one_map(width, "model.decoder.project_in", c.d.hidden, false);
    network.head.projection = one_map(c.d.hidden, "model.decoder.project_out", width, false);
  }
  network.embedding.positions = "model.decoder.embed_positions";
  network.embedding.position_offset = 2;
  network.embedding.position_rows = c.d.max_positions + 2;
  if (final_norm) network.final_norm = layer_norm("model.decoder.final_layer_norm", c.d.hidden, kEpsilon);
  network.head.module = "lm_head";
  network.head.tied = c.tied(true);
  add_bare_names(network, "model.", {"decoder."});
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i, "model.decoder.layers.");
    const std::string self = prefix + "self_attn.";
    Layer layer;
    layer.norms_residual = !before;
    (before ? layer.before_attention : layer.after_attention) =
        layer_norm(prefix + "self_attn_layer_norm", c.d.hidden, kEpsilon);
    (before ? layer.before_mlp : layer.after_mlp) =
        layer_norm(prefix + "final_layer_norm", c.d.hidden, kEpsilon);
    layer.attention = plain_attention(c);
    const int64_t width = layer.attention.q_width();
    layer.attention.qkv = {
        c.d.hidden,
        {map_module(self + "q_proj", width, bias), map_module(self + "k_proj", width, bias),
         map_module(self + "v_proj", width, bias)}};
    layer.attention.o = one_map(width, self + "out_proj", c.d.hidden, bias);
    layer.mlp = plain_mlp(c, one_map(c.d.hidden, prefix + "fc1", c.d.ffn, bias),
                          one_map(c.d.ffn, prefix + "fc2", c.d.hidden, bias), activation);
    network.layers.push_back(std::move(layer));
  }
}

}  // namespace

extern const Family kOpt;
const Family kOpt{"opt", {"OPTForCausalLM"}, read};

}  // namespace lorikeet
