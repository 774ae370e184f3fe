#include "model/modules.h"

namespace lorikeet {

namespace {

class ModuleList {
 public:
  void embedding(const std::string& name, ModulePlace place, int64_t rows, int64_t hidden) {
    Module module;
    module.name = name;
    module.kind = ModuleKind::embedding;
    module.place = place;
    module.out = hidden;
    module.in = rows;
    modules.push_back(std::move(module));
  }

  void norm(const std::optional<Norm>& norm, ModulePlace place, int32_t layer = 0, NormSite site = {}) {
    if (!norm) return;
    Module module;
    module.name = norm->module;
    module.kind = ModuleKind::norm;
    module.out = norm->size();
    module.in = 1;
    module.bias = norm->bias;
    module.place = place;
    module.layer = layer;
    module.norm_site = site;
    module.norm = *norm;
    modules.push_back(std::move(module));
  }

  void map(const LinearMap& map, ModulePlace place, int32_t layer = 0, LinearSite site = {}) {
    int part = 0;
    for (const MapModule& from : map.modules) {
      Module module;
      module.name = from.name;
      module.out = from.out;
      module.in = map.in;
      module.bias = from.bias;
      module.place = place;
      module.layer = layer;
      module.linear_site = site;
      module.part = part;
      module.parts = from.parts;
      module.transposed = from.transposed;
      part += static_cast<int>(from.parts.size());
      modules.push_back(std::move(module));
    }
  }

  void layer(const Layer& layer, int32_t index) {
    const auto norm_at = [&](const std::optional<Norm>& from, NormSite site) {
      norm(from, ModulePlace::layer_norm, index, site);
    };
    const auto map_at = [&](const LinearMap& from, LinearSite site) {
      map(from, ModulePlace::layer_linear, index, site);
    };
    norm_at(layer.before_attention, NormSite::before_attention);
    if (const auto& latent = layer.attention.latent) {
      map_at(latent->q_down, LinearSite::q_down);
      norm_at(latent->q_norm, NormSite::q_latent);
      map_at(latent->q, LinearSite::q_heads);
      map_at(latent->kv_down, LinearSite::kv_down);
      norm_at(latent->kv_norm, NormSite::kv_latent);
      map_at(latent->kv, LinearSite::kv_heads);
    }
    map_at(layer.attention.qkv, LinearSite::qkv);
    norm_at(layer.attention.q_norm, NormSite::q);
    norm_at(layer.attention.k_norm, NormSite::k);
    norm_at(layer.attention.v_norm, NormSite::v);
    map_at(layer.attention.o, LinearSite::o);
    if (layer.delta_net) {
      map_at(layer.delta_net->in, LinearSite::delta_in);
      norm_at(layer.delta_net->norm, NormSite::delta);
      map_at(layer.delta_net->out, LinearSite::delta_out);
    }
    if (layer.convolution) {
      map_at(layer.convolution->in, LinearSite::convolution_in);
      map_at(layer.convolution->out, LinearSite::convolution_out);
    }
    norm_at(layer.after_attention, NormSite::after_attention);
    norm_at(layer.before_mlp, NormSite::before_mlp);
    if (layer.mlp.experts) experts(*layer.mlp.experts, index);
    map_at(layer.mlp.up, LinearSite::up);
    map_at(layer.mlp.down, LinearSite::down);
    norm_at(layer.after_mlp, NormSite::after_mlp);
    if (layer.input) {
      map_at(layer.input->gate, LinearSite::input_gate);
      map_at(layer.input->projection, LinearSite::input_projection);
      norm_at(layer.input->after, NormSite::after_input);
    }
  }

  void experts(const ExpertLayer& experts, int32_t index) {
    map(experts.router, ModulePlace::layer_linear, index, LinearSite::router);
    modules.back().router = !experts.router_is_linear;
    map(experts.shared_gate, ModulePlace::layer_linear, index, LinearSite::shared_gate);
    if (!experts.norms) return;
    const auto norm_at = [&](const Norm& from, NormSite site) {
      norm(from, ModulePlace::layer_norm, index, site);
    };
    norm_at(experts.norms->router, NormSite::before_router);
    norm_at(experts.norms->before, NormSite::before_experts);
    norm_at(experts.norms->after, NormSite::after_experts);
    norm_at(experts.norms->after_mlp, NormSite::after_dense);
  }

  std::vector<Module> modules;
};

}  // namespace

std::vector<Module> list_modules(const Network& network) {
  ModuleList list;
  const EmbeddingTable& table = network.embedding;
  list.embedding(table.module, ModulePlace::embed, network.vocab, network.embedding_width());
  list.map(table.projection, ModulePlace::embed_projection);
  if (!table.positions.empty()) {
    list.embedding(table.positions, ModulePlace::positions, table.position_rows, network.hidden);
  }
  list.norm(table.norm, ModulePlace::embed_norm);
  if (network.layer_inputs) {
    const LayerInputs& inputs = *network.layer_inputs;
    list.embedding(inputs.table, ModulePlace::inputs_table, inputs.table_rows, inputs.projection.out());
    list.map(inputs.projection, ModulePlace::inputs_projection);
    list.norm(inputs.norm, ModulePlace::inputs_norm);
  }
  for (int32_t index = 0; index < network.layer_count(); ++index) {
    list.layer(network.layers[static_cast<size_t>(index)], index);
  }
  list.norm(network.final_norm, ModulePlace::final_norm);
  list.map(network.head.projection, ModulePlace::head_projection);
  MapModule head{network.head.module, network.vocab, network.head.bias, false, {rows_of(0, network.vocab)}};
  list.map({network.head_width(), {head}}, ModulePlace::head);
  return list.modules;
}

std::vector<Module> with_vocabulary(std::vector<Module> modules, int64_t vocab) {
  for (Module& module : modules) {
    if (module.place == ModulePlace::embed) module.in = vocab;
    if (module.place != ModulePlace::head) continue;
    module.out = vocab;
    module.parts = {rows_of(0, vocab)};
  }
  return modules;
}

std::string weight_tensor(const Module& module) {
  const std::string& own = module.norm.gain_tensor;
  return own.empty() ? module.name + ".weight" : own;
}

std::vector<std::string> weight_tensors(const Module& module) {
  if (!module.norm.apart) return {weight_tensor(module)};
  std::vector<std::string> tensors;
  for (int32_t copy = 0; copy < module.norm.copies; ++copy)
    tensors.push_back(module.name + ".norms." + std::to_string(copy) + ".weight");
  return tensors;
}

const std::optional<Norm>& block_norm(const Layer& layer, NormSite site) {
  switch (site) {
    case NormSite::before_attention:
      return layer.before_attention;
    case NormSite::after_attention:
      return layer.after_attention;
    case NormSite::before_mlp:
      return layer.before_mlp;
    default:
      return layer.after_mlp;
  }
}

}  // namespace lorikeet
