// DeepSeek V2 and V3: latent attention, served expanded, its turning dimensions first; experts in groups
// beside one that all rows share, dense MLPs in the first layers.
#include <cmath>

#include "model/families/experts.h"
#include "model/families/family.h"

namespace lorikeet {

namespace {

constexpr float kLatentEpsilon = 1e-6f;  // the classes' own: config.json's is of the layers' norms

struct Options {
  LayerOptions layer;
  LatentHeads heads;
  int32_t q_rank = 0;  // 0: queries are made of x
  int32_t kv_rank = 0;
  float scale = 0;
  ExpertOptions experts;
  RouterDesc routing;
  bool choice_bias = false;
  int32_t shared = 0;
  int32_t dense = 0;  // the first layers, without experts
};

void read_heads(ConfigReader& c, Options& options, const DimensionDefaults& defaults) {
  options.q_rank = c.fields.integer("q_lora_rank", 1).value_or(c.fields.is_null("q_lora_rank") ? 0 : 1536);
  options.kv_rank = c.fields.integer("kv_lora_rank", 1).value_or(512);
  options.heads.heads = c.d.q_heads;
  options.heads.nope = c.fields.integer("qk_nope_head_dim", 1).value_or(128);
  options.heads.rope = c.fields.integer("qk_rope_head_dim", 2).value_or(*defaults.head_dim);
  options.heads.value_dim = c.fields.integer("v_head_dim", 1).value_or(128);
  c.fields.has("qk_head_dim");
  if (c.d.kv_heads != c.d.q_heads)
    c.fields.refuse(
        "num_key_value_heads other than num_attention_heads is not implemented for latent attention");
  if (options.heads.value_dim > options.heads.head_dim())
    c.fields.refuse("v_head_dim above qk_nope_head_dim + qk_rope_head_dim is not implemented");
  if (options.heads.head_dim() % 2 != 0) c.fields.fail("qk_nope_head_dim", "even");
  c.d.head_dim = options.heads.head_dim();
  c.d.kv_heads = c.d.q_heads;
  c.check_dimensions();
}

// Yarn's growth of the scores is in the softmax's scale, so cos and sin have what is left of it.
void read_rope(ConfigReader& c, Options& options) {
  if (!c.fields.boolean("rope_interleave", true))
    c.fields.refuse("rope_interleave false is not implemented for " + c.network.family);
  ConfigReader::RopeDefaults rope;
  rope.interleaved = true;
  c.d.head_dim = options.heads.rope;
  c.add_rope(rope);
  c.d.head_dim = options.heads.head_dim();
  options.scale = 1.0f / std::sqrt(static_cast<float>(options.heads.head_dim()));
  if (c.rope_type() == "default") return;
  const double all = c.rope_number("mscale_all_dim").value_or(0);
  const double factor = c.rope_number("factor").value_or(1);
  if (all == 0 || factor <= 1) return;
  const double growth = 0.1 * all * std::log(factor) + 1.0;
  options.scale = static_cast<float>(static_cast<double>(options.scale) * growth * growth);
}

void read_groups(ConfigReader& c, Options& options, int32_t groups, int32_t chosen) {
  options.routing.groups = c.fields.integer("n_group", 1).value_or(groups);
  options.routing.chosen_groups = c.fields.integer("topk_group", 1).value_or(chosen);
  if (options.experts.experts % options.routing.groups != 0 ||
      options.routing.chosen_groups > options.routing.groups) {
    c.fields.refuse("n_group must divide the experts, and topk_group not exceed it");
    return;
  }
  const int32_t reachable = options.experts.experts / options.routing.groups * options.routing.chosen_groups;
  if (options.experts.chosen > reachable)
    c.fields.refuse("num_experts_per_tok exceeds the experts of topk_group groups");
}

void read_common(ConfigReader& c, Options& options) {
  options.layer.epsilon = c.epsilon("rms_norm_eps", 1e-6);
  options.layer.activation = c.activation("hidden_act", "silu");
  options.layer.qkv_bias = options.layer.o_bias = c.fields.boolean("attention_bias", false);
  if (c.fields.integer("moe_layer_freq", 1).value_or(1) != 1)
    c.fields.refuse("moe_layer_freq other than 1 is not implemented");
  for (const char* known :
       {"aux_loss_alpha", "ep_size", "seq_aux", "num_nextn_predict_layers", "num_mtp_layers"})
    c.fields.has(known);
  // The layer after the last predicts a further token, and is left out.
  c.network.ignored = {"model.layers." + std::to_string(c.d.layers) + "."};
}

Attention attention_of(const ConfigReader& c, const std::string& self, const Options& options) {
  const LatentHeads& heads = options.heads;
  LatentAttention latent;
  latent.heads = heads;
  if (options.q_rank > 0) {
    latent.q_down = {c.d.hidden, {map_module(self + "q_a_proj", options.q_rank, options.layer.qkv_bias)}};
    latent.q_norm = c.rms_norm(self + "q_a_layernorm", options.q_rank, kLatentEpsilon);
    latent.q = {options.q_rank, {map_module(self + "q_b_proj", heads.q_width())}};
  } else {
    latent.q = {c.d.hidden, {map_module(self + "q_proj", heads.q_width())}};
  }
  MapModule down =
      map_module(self + "kv_a_proj_with_mqa", int64_t{options.kv_rank} + heads.rope, options.layer.qkv_bias);
  latent.kv_down = {c.d.hidden, {std::move(down)}};
  latent.kv_norm = c.rms_norm(self + "kv_a_layernorm", options.kv_rank, kLatentEpsilon);
  latent.kv = {options.kv_rank, {map_module(self + "kv_b_proj", heads.kv_width())}};
  Attention attention;
  attention.q_heads = attention.kv_heads = heads.heads;
  attention.head_dim = heads.head_dim();
  attention.latent = std::move(latent);
  attention.o = {heads.value_width(), {map_module(self + "o_proj", c.d.hidden, options.layer.o_bias)}};
  attention.rope = 0;
  attention.scale = options.scale;
  return attention;
}

void add_layers(ConfigReader& c, const Options& options) {
  for (int32_t i = 0; i < c.d.layers; ++i) {
    const std::string prefix = layer_prefix(i);
    Layer layer = c.llama_layer(i, options.layer);
    layer.attention = attention_of(c, prefix + "self_attn.", options);
    if (i >= options.dense) {
      put_experts(c, layer, i, options.experts);
      put_shared_expert(c, layer, prefix + "mlp.shared_experts", options.experts.width * options.shared);
      ExpertLayer& own = *layer.mlp.experts;
      RouterDesc routing = options.routing;
      routing.experts = own.routing.experts;
      routing.chosen = own.routing.chosen;
      routing.renormalize = own.routing.renormalize;
      own.routing = routing;
      if (options.choice_bias) own.choice_bias = prefix + "mlp.gate.e_score_correction_bias";
    }
    c.network.layers.push_back(std::move(layer));
  }
}

void refuse_other(ConfigReader& c, const char* name, const std::string& known) {
  const std::string given = c.fields.text(name).value_or(known);
  if (given != known)
    c.fields.refuse(std::string(name) + " \"" + given + "\" is not implemented (" + known + " is)");
}

void read_v2(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.head_dim = 64;
  c.read_dimensions(defaults);
  Options options;
  read_common(c, options);
  read_heads(c, options, defaults);
  options.layer.mlp_bias = c.fields.boolean("mlp_bias", false);
  if (options.layer.mlp_bias) c.fields.refuse("mlp_bias true is not implemented for deepseek_v2");
  refuse_other(c, "scoring_func", "softmax");
  // The published files' false; Transformers' class does not look at it.
  if (c.fields.boolean("norm_topk_prob", false))
    c.fields.refuse("norm_topk_prob true is not implemented for deepseek_v2");
  options.experts = read_experts(c, "n_routed_experts", 64, 1);
  options.experts.width = c.fields.integer("moe_intermediate_size", 1).value_or(1407);
  options.routing.scale = static_cast<float>(c.fields.number("routed_scaling_factor").value_or(1.0));
  options.routing.group_best = 1;
  const std::string method = c.fields.text("topk_method").value_or("greedy");
  if (method == "group_limited_greedy") {
    read_groups(c, options, 1, 1);
  } else if (method == "greedy") {
    for (const char* known : {"n_group", "topk_group"}) c.fields.has(known);
  } else {
    c.fields.refuse("topk_method \"" + method +
                    "\" is not implemented for deepseek_v2 (greedy, group_limited_greedy are)");
  }
  options.shared = c.fields.integer("n_shared_experts", 1).value_or(2);
  options.dense = c.fields.integer("first_k_dense_replace", 0).value_or(0);
  c.llama_frame(c.tied(false), options.layer.epsilon);
  read_rope(c, options);
  add_layers(c, options);
}

void read_v3(ConfigReader& c) {
  DimensionDefaults defaults;
  defaults.head_dim = 64;
  defaults.max_positions = 4096;
  c.read_dimensions(defaults);
  Options options;
  read_common(c, options);
  read_heads(c, options, defaults);
  refuse_other(c, "scoring_func", "sigmoid");
  refuse_other(c, "topk_method", "noaux_tc");
  options.experts = read_experts(c, "n_routed_experts", 256, 8);
  options.experts.width = c.fields.integer("moe_intermediate_size", 1).value_or(2048);
  options.experts.renormalize = c.fields.boolean("norm_topk_prob", true);
  options.routing.score = RouterScore::sigmoid;
  options.routing.scale = static_cast<float>(c.fields.number("routed_scaling_factor").value_or(2.5));
  options.choice_bias = true;
  read_groups(c, options, 8, 4);
  options.shared = c.fields.integer("n_shared_experts", 1).value_or(1);
  options.dense = c.fields.integer("first_k_dense_replace", 0).value_or(3);
  c.llama_frame(c.tied(false), options.layer.epsilon);
  read_rope(c, options);
  add_layers(c, options);
}

}  // namespace

extern const Family kDeepseekV2, kDeepseekV3;
const Family kDeepseekV2{"deepseek_v2", {"DeepseekV2ForCausalLM"}, read_v2};
const Family kDeepseekV3{"deepseek_v3", {"DeepseekV3ForCausalLM"}, read_v3};

}  // namespace lorikeet
