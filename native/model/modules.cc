#include "model/modules.h"

namespace lorikeet {

namespace {

Module linear_module(std::string name, int layer, LinearSite site, int part) {
  Module module;
  module.name = std::move(name);
  module.place = ModulePlace::layer_linear;
  module.layer = layer;
  module.linear_site = site;
  module.part = part;
  return module;
}

Module sized(Module module, int64_t out, int64_t in, bool bias) {
  module.out = out;
  module.in = in;
  module.bias = bias;
  return module;
}

Module norm_module(std::string name, int layer, ModulePlace place, NormSite site, int64_t width) {
  Module module;
  module.name = std::move(name);
  module.kind = ModuleKind::norm;
  module.out = width;
  module.in = 1;
  module.place = place;
  module.layer = layer;
  module.norm_site = site;
  return module;
}

void list_layer(std::vector<Module>& modules, const ModelConfig& c, int layer) {
  const std::string prefix = "model.layers." + std::to_string(layer) + ".";
  const std::string attention = prefix + "self_attn.";
  const std::string mlp = prefix + "mlp.";
  const auto linear = [&](const std::string& name, LinearSite site, int part, int64_t out, int64_t in,
                          bool bias) {
    modules.push_back(sized(linear_module(name, layer, site, part), out, in, bias));
  };
  const auto norm = [&](const char* name, NormSite site) {
    modules.push_back(norm_module(prefix + name, layer, ModulePlace::layer_norm, site, c.hidden));
  };
  norm("input_layernorm", NormSite::input);
  linear(attention + "q_proj", LinearSite::qkv, 0, c.q_width(), c.hidden, c.attention_bias);
  linear(attention + "k_proj", LinearSite::qkv, 1, c.kv_width(), c.hidden, c.attention_bias);
  linear(attention + "v_proj", LinearSite::qkv, 2, c.kv_width(), c.hidden, c.attention_bias);
  linear(attention + "o_proj", LinearSite::o, 0, c.hidden, c.q_width(), c.attention_bias);
  norm("post_attention_layernorm", NormSite::post_attention);
  linear(mlp + "gate_proj", LinearSite::gate_up, 0, c.ffn, c.hidden, c.mlp_bias);
  linear(mlp + "up_proj", LinearSite::gate_up, 1, c.ffn, c.hidden, c.mlp_bias);
  linear(mlp + "down_proj", LinearSite::down, 0, c.hidden, c.ffn, c.mlp_bias);
}

}  // namespace

std::vector<Module> list_modules(const ModelConfig& config) {
  std::vector<Module> modules;
  Module embed;
  embed.name = "model.embed_tokens";
  embed.kind = ModuleKind::embedding;
  modules.push_back(sized(std::move(embed), config.hidden, config.vocab, false));
  for (int layer = 0; layer < config.layers; ++layer) list_layer(modules, config, layer);
  modules.push_back(norm_module("model.norm", 0, ModulePlace::final_norm, NormSite::input, config.hidden));
  Module head;
  head.name = "lm_head";
  head.place = ModulePlace::head;
  modules.push_back(sized(std::move(head), config.vocab, config.hidden, false));
  return modules;
}

}  // namespace lorikeet
