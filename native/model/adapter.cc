#include "model/adapter.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <span>

#include "model/adapter_tensors.h"
#include "model/composed_deltas.h"
#include "model/expert_adapter.h"
#include "model/part_rows.h"
#include "model/resized_head.h"

namespace lorikeet {

namespace {

// Takes an optional tensor into an optional of the descriptor.
template <class Take>
Status take_optional(std::optional<HostTensor>& to, const std::optional<TensorRef>& ref, Take take) {
  if (!ref) return {};
  Result<HostTensor> tensor = take(*ref);
  if (!tensor) return tensor.error();
  to = *tensor;
  return {};
}

// What one adapter of a composition does to a module.
struct Change {
  AdapterTensors* tensors = nullptr;
  const ManifestModule* module = nullptr;
  float weight = 1.0f;  // of the adapter
  // Its tensors are made for `of` outputs, of which the module is these.
  int64_t of = 0;
  PartRows rows = {};
};
// By the module; of several adapters in their order.
using Changes = std::map<std::string, std::vector<Change>>;

bool has_part(const Change& change) {
  return change.module->part.has_value();
}

Result<Change> placed(Change change, const Module& module) {
  change.of = change.module->within ? change.module->within->of : module.out;
  change.rows = rows_of(change.module->within ? change.module->within->first : 0, module.out);
  if (change.rows.first > change.of - module.out) return Error{"its rows lie outside its tensors"};
  return change;
}

// One part of a map as a module of its own.
Module part_module(const Module& whole, size_t i) {
  Module part = whole;
  part.out = whole.parts[i].count;
  part.part += static_cast<int>(i);
  part.parts = {rows_of(0, part.out)};
  return part;
}

bool is_delta_alone(const ManifestModule& change) {
  return change.lora && !change.magnitude && !change.weight && !change.bias && !change.token_rows;
}

class AdapterLoader {
 public:
  AdapterLoader(const Network& network, const Weights& base, Backend& backend, AdapterType type)
      : network_(network), base_(base), backend_(backend), type_(type) {
    adapter_.layers.resize(base.layers.size());
    adapter_.vocab = network.vocab;
  }

  // Of a single adapter whose embedding and head have `vocab` tokens.
  Result<Adapter> load_resized(const Changes& by_name, const std::vector<Module>& base_modules,
                               int32_t vocab) {
    if (!backend_.caps().resizes_vocabulary)
      return Error{"adapters with a resized vocabulary are not served on this device",
                   ErrorKind::unsupported};
    if (network_.layer_inputs)
      return Error{"the vocabulary of a model whose layers read tokens cannot be resized"};
    if (vocab - network_.room > network_.vocab)
      return Error{"it has " + std::to_string(vocab) + " tokens; there is room for " +
                   std::to_string(network_.vocab + network_.room)};
    adapter_.vocab = vocab;
    const auto changes = [&](const std::string& module) { return by_name.contains(module); };
    if (vocab > network_.vocab && !(changes(network_.embedding.module) && changes(network_.head.module)))
      return Error{"its added tokens need rows of the embedding and of the output head"};
    return load(by_name, with_vocabulary(base_modules, vocab));
  }

  Result<Adapter> load(const Changes& by_name, const std::vector<Module>& base_modules) {
    std::set<std::string> unknown;
    for (const auto& [name, changes] : by_name) unknown.insert(name);
    // In the base's order, so that the parts of one fused map come together.
    for (size_t first = 0; first < base_modules.size();) {
      std::vector<AdapterPartDesc> parts;
      size_t at = first;
      do {
        const Module& module = base_modules[at];
        const auto found = by_name.find(module.name);
        if (found != by_name.end()) {
          unknown.erase(module.name);
          const bool by_part = std::any_of(found->second.begin(), found->second.end(), has_part);
          const Status status =
              by_part ? load_by_part(module, found->second, parts) : load_whole(module, found->second, parts);
          if (!status) return within(module.name, status.error());
        }
        ++at;
      } while (at < base_modules.size() && base_modules[at].part > 0);
      const Status status = create_linear(base_modules[first], parts);
      if (!status) return within(base_modules[first].name, status.error());
      first = at;
    }
    if (Status s = load_experts(by_name, unknown); !s) return s.error();
    return std::move(adapter_);
  }

 private:
  Status load_whole(const Module& module, std::span<const Change> changes,
                    std::vector<AdapterPartDesc>& parts) {
    std::vector<Change> own;
    for (const Change& change : changes) {
      Result<Change> at = placed(change, module);
      if (!at) return at.error();
      own.push_back(*at);
    }
    return load_module(module, own, parts);
  }

  Status load_by_part(const Module& module, std::span<const Change> changes,
                      std::vector<AdapterPartDesc>& parts) {
    for (const Change& change : changes) {
      if (change.module->part.value_or(0) >= static_cast<int>(module.parts.size()))
        return Error{"it has no part " + std::to_string(*change.module->part)};
    }
    for (size_t i = 0; i < module.parts.size(); ++i) {
      const Module part = part_module(module, i);
      std::vector<Change> own;
      for (const Change& change : changes) {
        if (has_part(change) && *change.module->part != static_cast<int>(i)) continue;
        Change at = change;
        at.of = has_part(change) ? part.out : module.out;
        at.rows = has_part(change) ? part.parts.front() : module.parts[i];
        own.push_back(at);
      }
      if (own.empty()) continue;
      if (Status s = load_module(part, own, parts); !s) return s;
    }
    return {};
  }

  Status load_module(const Module& module, std::span<const Change> changes,
                     std::vector<AdapterPartDesc>& parts) {
    const ManifestModule& change = *changes.front().module;
    tensors_ = changes.front().tensors;
    if (change.magnitude && !change.lora) return Error{"a magnitude needs a low-rank delta"};
    if (change.bias && !module.bias) return Error{"replaces a bias, but the base has none"};
    switch (module.kind) {
      case ModuleKind::linear:
        return load_linear_parts(module, changes, parts);
      case ModuleKind::embedding:
        if (module.place == ModulePlace::positions) return Error{"a table of positions cannot be changed"};
        return load_embedding(module, changes);
      case ModuleKind::norm:
        return load_norm(module, change);
    }
    return {};
  }

  // A module of several parts gives each its rows of B and of the vectors; A is theirs in common.
  Status load_linear_parts(const Module& module, std::span<const Change> changes,
                           std::vector<AdapterPartDesc>& parts) {
    const ManifestModule& change = *changes.front().module;
    AdapterPartDesc whole;
    if (change.token_rows) {
      if (module.place != ModulePlace::head || module.bias)
        return Error{"token rows belong to an embedding or to an output head without a bias"};
      const TokenRows shape{module.out, module.in};
      if (Status s =
              take_token_rows(*change.token_rows, shape, whole.replaced_rows, whole.replaced_row_values);
          !s)
        return s;
    }
    const Change& first = changes.front();
    const auto vector = [&](const TensorRef& ref) { return vector_of(first, ref); };
    if (change.lora) {
      Result<LowRank> delta = delta_of(module, changes);
      if (!delta) return delta.error();
      whole.rank = delta->rank;
      whole.scale = delta->scale;
      whole.a = delta->a;
      whole.b = delta->b;
      whole.component_scale = delta->component_scale;
      whole.lora_bias = delta->bias;
    }
    if (Status s = take_optional(whole.magnitude, change.magnitude, vector); !s) return s;
    if (Status s = take_optional(whole.bias, change.bias, vector); !s) return s;
    const auto matrix = [&](const TensorRef& ref) -> Result<HostTensor> {
      if (!module.transposed) return matrix_of(first, ref, module.in);
      Result<HostTensor> stored = tensors_->matrix(ref, module.in, first.of);
      if (!stored) return stored;
      return rearranged_.rows(rearranged_.transposed(*stored), first.rows);
    };
    if (Status s = take_optional(whole.weight, change.weight, matrix); !s) return s;
    if (module.place == ModulePlace::head && module.out != network_.vocab) {
      tensors_->narrow(whole, type_);
      Result<AdapterPartDesc> part = resized_head_.fit(whole, module.out, network_.vocab);
      if (!part) return part.error();
      parts.push_back(*part);
      return {};
    }
    for (size_t i = 0; i < module.parts.size(); ++i) {
      AdapterPartDesc part = part_of(whole, module.parts[i]);
      part.part = module.part + static_cast<int>(i);
      tensors_->narrow(part, type_);
      parts.push_back(part);
    }
    return {};
  }

  // The change's own rows of what the file has.
  Result<HostTensor> matrix_of(const Change& change, const TensorRef& ref, int64_t columns) {
    Result<HostTensor> all = change.tensors->matrix(ref, change.of, columns);
    return all ? Result<HostTensor>(rearranged_.rows(*all, change.rows)) : all;
  }
  Result<HostTensor> vector_of(const Change& change, const TensorRef& ref) {
    Result<HostTensor> all = change.tensors->vector(ref, change.of);
    return all ? Result<HostTensor>(rearranged_.elements(*all, change.rows)) : all;
  }

  // Of one adapter as it is in the file; of several as one of their ranks' sum, whose components have the
  // scales of their adapters: exactly the sum of their deltas.
  Result<LowRank> delta_of(const Module& module, std::span<const Change> changes) {
    std::vector<LowRank> deltas;
    for (const Change& change : changes) {
      const ManifestLora& lora = *change.module->lora;
      Result<HostTensor> a = change.tensors->matrix(lora.a, lora.rank, module.in);
      if (!a) return a.error();
      Result<HostTensor> b = matrix_of(change, lora.b, lora.rank);
      if (!b) return b.error();
      LowRank& delta = deltas.emplace_back(LowRank{lora.rank, lora.scale * change.weight, *a, *b});
      const auto vector = [&](const TensorRef& ref) { return vector_of(change, ref); };
      if (Status s = take_optional(delta.bias, lora.lora_bias, vector); !s) return s.error();
    }
    return deltas.size() == 1 ? deltas.front() : composed_.sum(deltas);
  }

  AdapterPartDesc part_of(const AdapterPartDesc& whole, const PartRows& rows) {
    AdapterPartDesc part = whole;
    if (whole.rank > 0) part.b = rearranged_.rows(whole.b, rows);
    if (whole.weight) part.weight = rearranged_.rows(*whole.weight, rows);
    part.lora_bias = rearranged_.elements(whole.lora_bias, rows);
    part.magnitude = rearranged_.elements(whole.magnitude, rows);
    part.bias = rearranged_.elements(whole.bias, rows);
    return part;
  }

  std::pair<const Linear*, std::unique_ptr<AdapterLinear>*> place_of(const Module& module) {
    const auto site = static_cast<size_t>(module.linear_site);
    switch (module.place) {
      case ModulePlace::head:
        return {base_.head.get(), &adapter_.head};
      case ModulePlace::embed_projection:
        return {base_.embed_projection.get(), &adapter_.embed_projection};
      case ModulePlace::head_projection:
        return {base_.head_projection.get(), &adapter_.head_projection};
      case ModulePlace::inputs_projection:
        return {base_.inputs_projection.get(), &adapter_.inputs_projection};
      default:
        return {base_.layers[module.layer].linear[site].get(), &adapter_.layers[module.layer].linear[site]};
    }
  }

  Status create_linear(const Module& first, const std::vector<AdapterPartDesc>& parts) {
    if (parts.empty()) return {};
    const auto [base, to] = place_of(first);
    Result<std::unique_ptr<AdapterLinear>> linear = backend_.adapter_linear_create(*base, parts);
    if (!linear) return linear.error();
    *to = std::move(*linear);
    return {};
  }

  Status load_embedding(const Module& module, std::span<const Change> changes) {
    const ManifestModule& change = *changes.front().module;
    AdapterEmbeddingDesc desc;
    desc.vocab = module.in;
    if (change.lora) {
      Result<LowRank> delta = delta_of(module, changes);
      if (!delta) return delta.error();
      if (delta->bias) return Error{"an embedding has no bias"};
      desc.rank = delta->rank;
      desc.scale = delta->scale;
      // It takes no scales of components: the rows of A have them.
      desc.a =
          delta->component_scale.empty() ? delta->a : composed_.scaled_rows(delta->a, delta->component_scale);
      desc.b = delta->b;
    }
    const auto vector = [&](const TensorRef& ref) { return tensors_->vector(ref, module.out); };
    if (Status s = take_optional(desc.magnitude, change.magnitude, vector); !s) return s;
    const auto table = [&](const TensorRef& ref) { return tensors_->matrix(ref, module.in, module.out); };
    if (Status s = take_optional(desc.weight, change.weight, table); !s) return s;
    if (desc.weight && type_ != AdapterType::stored) desc.weight = tensors_->bf16(*desc.weight);
    if (change.token_rows) {
      const TokenRows shape{module.in, module.out};
      if (Status s = take_token_rows(*change.token_rows, shape, desc.token_rows, desc.token_row_values); !s)
        return s;
    }
    const bool inputs = module.place == ModulePlace::inputs_table;
    if (!inputs) {
      if (Status s = check_added_tokens(desc); !s) return s;
    }
    Result<std::unique_ptr<AdapterEmbedding>> embed =
        backend_.adapter_embedding_create(inputs ? *base_.inputs_table : *base_.embed, desc);
    if (!embed) return embed.error();
    (inputs ? adapter_.inputs_table : adapter_.embed) = std::move(*embed);
    return {};
  }

  // Each token beyond the base's has a row.
  Status check_added_tokens(const AdapterEmbeddingDesc& desc) const {
    if (desc.weight) return {};
    const std::set<int32_t> rows(desc.token_rows.begin(), desc.token_rows.end());
    for (int32_t token = network_.vocab; token < desc.vocab; ++token) {
      if (!rows.contains(token)) return Error{"it has no row for token " + std::to_string(token)};
    }
    return {};
  }

  // `names`: what is no module of list_modules
  Status load_experts(const Changes& by_name, const std::set<std::string>& names) {
    std::map<size_t, std::vector<ExpertChange>> by_layer;
    for (const std::string& name : names) {
      const std::optional<ExpertModule> place = find_expert_module(network_, name);
      if (!place) return Error{"the base model has no module " + name};
      for (const Change& change : by_name.at(name)) {
        by_layer[place->layer].push_back({change.tensors, change.module, change.weight, *place});
      }
    }
    for (const auto& [layer, changes] : by_layer) {
      ExpertAdapter experts(type_);
      auto descriptions = experts.describe(changes);
      if (!descriptions) return descriptions.error();
      auto created = backend_.adapter_experts_create(*base_.layers[layer].experts, *descriptions);
      if (!created) return created.error();
      adapter_.layers[layer].experts = std::move(*created);
    }
    return {};
  }

  struct TokenRows {
    int64_t vocab;
    int64_t width;
  };
  Status take_token_rows(const ManifestTokenRows& change, const TokenRows& shape,
                         std::vector<int32_t>& indices, std::optional<HostTensor>& values) {
    std::set<int32_t> seen;
    for (const int32_t index : change.indices) {
      if (index >= shape.vocab)
        return Error{"token row " + std::to_string(index) + " lies outside the vocabulary"};
      if (!seen.insert(index).second) return Error{"token row " + std::to_string(index) + " stands twice"};
    }
    Result<HostTensor> rows =
        tensors_->matrix(change.rows, static_cast<int64_t>(change.indices.size()), shape.width);
    if (!rows) return rows.error();
    indices = change.indices;
    values = *rows;
    return {};
  }

  Status load_norm(const Module& module, const ManifestModule& change) {
    if (change.lora || change.token_rows || !change.weight)
      return Error{"a norm's gain can only be replaced"};
    if (!module.norm.gain || !module.norm.gain_tensor.empty() || module.norm.apart)
      return Error{"it has no weight to replace"};
    const Norm& norm = module.norm;
    NormDesc desc{.kind = norm.kind,
                  .width = norm.width,
                  .copies = norm.copies,
                  .gain = {},
                  .bias = {},
                  .offset = norm.offset};
    const auto gain = [&](const TensorRef& ref) {
      return norm.copies == 1 ? tensors_->vector(ref, module.out)
                              : tensors_->matrix(ref, norm.copies, norm.width);
    };
    if (Status s = take_optional(desc.gain, change.weight, gain); !s) return s;
    if (norm.bias && !change.bias) return Error{"a norm with a bias is replaced with its bias"};
    const auto vector = [&](const TensorRef& ref) { return tensors_->vector(ref, module.out); };
    if (Status s = take_optional(desc.bias, change.bias, vector); !s) return s;
    Result<std::unique_ptr<NormGain>> created = backend_.norm_create(desc);
    if (!created) return created.error();
    const auto site = static_cast<size_t>(module.norm_site);
    (module.place == ModulePlace::final_norm    ? adapter_.final_norm
     : module.place == ModulePlace::embed_norm  ? adapter_.embed_norm
     : module.place == ModulePlace::inputs_norm ? adapter_.inputs_norm
                                                : adapter_.layers[module.layer].norm[site]) =
        std::move(*created);
    return {};
  }

  AdapterTensors* tensors_ = nullptr;  // of what is being loaded
  ComposedDeltas composed_;
  PartTensors rearranged_;
  ResizedHead resized_head_;
  const Network& network_;
  const Weights& base_;
  Backend& backend_;
  AdapterType type_;
  Adapter adapter_;
};

template <class T>
size_t bytes_of(const std::unique_ptr<T>& weights) {
  return weights ? weights->bytes() : 0;
}

}  // namespace

size_t Adapter::bytes() const {
  size_t total = bytes_of(embed) + bytes_of(embed_norm) + bytes_of(final_norm) + bytes_of(head);
  total += bytes_of(embed_projection) + bytes_of(head_projection);
  total += bytes_of(inputs_table) + bytes_of(inputs_projection) + bytes_of(inputs_norm);
  for (const Layer& layer : layers) {
    for (const auto& linear : layer.linear) total += bytes_of(linear);
    total += bytes_of(layer.experts);
    for (const auto& norm : layer.norm) total += bytes_of(norm);
  }
  return total;
}

Result<Adapter> load_adapter(std::span<const AdapterSource> sources, const Network& network,
                             const std::vector<Module>& base_modules, const Weights& base, Backend& backend,
                             AdapterType type) {
  std::deque<AdapterTensors> tensors;  // whose elements stay where they are
  Changes changes;
  for (const AdapterSource& source : sources) {
    Result<SafetensorsFile> file = SafetensorsFile::open(source.weights_path);
    if (!file) return file.error();
    AdapterTensors& own = tensors.emplace_back(std::move(*file));
    for (const ManifestModule& module : source.modules) {
      std::vector<Change>& known = changes[module.module];
      const bool twice = std::any_of(known.begin(), known.end(), [&](const Change& other) {
        const bool apart = module.part && has_part(other) && *module.part != *other.module->part;
        return other.tensors == &own && !apart;
      });
      if (twice) return Error{"module " + module.module + " stands twice"};
      if (sources.size() > 1 && (!is_delta_alone(module) || source.vocab != 0))
        return Error{"module " + module.module + ": only low-rank deltas can be added up"};
      known.push_back({&own, &module, source.weight});
    }
  }
  AdapterLoader loader(network, base, backend, type);
  const int32_t vocab = sources.size() == 1 ? sources.front().vocab : 0;
  if (vocab == 0 || vocab == network.vocab) return loader.load(changes, base_modules);
  return loader.load_resized(changes, base_modules, vocab);
}

}  // namespace lorikeet
