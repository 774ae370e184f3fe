#include "model/weights.h"

#include <algorithm>
#include <cmath>

#include "backend/shared/dtype.h"
#include "backend/shared/nf4.h"
#include "backend/shared/quantization.h"
#include "model/coded_checkpoint.h"
#include "model/coded_tensor.h"
#include "model/mxfp4_checkpoint.h"
#include "model/nf4_checkpoint.h"
#include "model/part_rows.h"

namespace lorikeet {

namespace {

// A module's tensors, whole, before they are cut into parts.
struct ModuleTensors {
  HostTensor weight;                         // [out, in]
  std::optional<HostTensor> bias;            // [out]
  std::vector<float> nf4_absmax;             // [out, in / 64] or empty
  std::shared_ptr<const CodedSource> coded;  // or null; of `weight` the shape alone counts then
};

class WeightLoader {
 public:
  WeightLoader(const Network& network, Checkpoint& checkpoint, Backend& backend, Quantization quantization)
      : network_(network), checkpoint_(checkpoint), backend_(backend), quantization_(quantization) {}

  Result<Weights> load() {
    const std::vector<Module> modules = list_modules(network_);
    weights_.layers.resize(network_.layers.size());
    for (size_t first = 0; first < modules.size();) {
      const Module& module = modules[first];
      size_t end = first + 1;  // past the last module of the fused map
      while (end < modules.size() && modules[end].kind == ModuleKind::linear && modules[end].part > 0) ++end;
      const Status status = module.kind == ModuleKind::linear    ? load_linear({&modules[first], end - first})
                            : module.kind == ModuleKind::norm    ? load_norm(module)
                            : module.place == ModulePlace::embed ? Status{}
                                                                 : load_table(module);
      if (!status) return status.error();
      checkpoint_.release_made();
      first = end;
    }
    for (size_t layer = 0; layer < network_.layers.size(); ++layer) {
      if (Status s = load_layer_numbers(network_.layers[layer], weights_.layers[layer]); !s) return s.error();
      checkpoint_.release_made();
    }
    const Status embed = load_embedding(modules.front());  // last: a tied table needs the head
    if (!embed) return embed.error();
    const Status rest = refuse_untaken();
    if (!rest) return rest.error();
    return std::move(weights_);
  }

 private:
  // Whose weight it is in the checkpoint.
  std::string stored_module(const Module& module) const {
    const bool tied = module.place == ModulePlace::head && network_.head.tied;
    return tied ? network_.embedding.module : module.name;
  }
  std::string tensor_name(const Module& module) const { return stored_module(module) + ".weight"; }

  std::unique_ptr<Linear>& linear_of(const Module& module) {
    if (module.place == ModulePlace::head) return weights_.head;
    if (module.place == ModulePlace::embed_projection) return weights_.embed_projection;
    if (module.place == ModulePlace::head_projection) return weights_.head_projection;
    if (module.place == ModulePlace::inputs_projection) return weights_.inputs_projection;
    return weights_.layers[module.layer].linear[static_cast<size_t>(module.linear_site)];
  }

  bool is_nf4(const Module& module) const {
    return network_.format.method == CheckpointMethod::bitsandbytes_nf4 &&
           has_nf4(checkpoint_, tensor_name(module));
  }

  // A weight in the checkpoint's own codes; null where it is not. GGUF's blocks are such where nothing is
  // quantized anew, and the device has a product with them.
  Result<std::shared_ptr<const CodedSource>> coded_of(const std::string& name, int64_t out, int64_t in) {
    if (quantization_ == Quantization::none && backend_.caps().multiplies_codes) {
      auto blocks = checkpoint_.take_blocks(name + ".weight", out, in);
      if (!blocks || *blocks) return blocks;
    }
    if (!has_coded(checkpoint_, network_.format, name)) return std::shared_ptr<const CodedSource>();
    return take_coded(checkpoint_, network_.format, {name, out, in});
  }
  static HostTensor floats_of(const std::vector<float>& values, int64_t rows) {
    return {reinterpret_cast<const std::byte*>(values.data()), DType::f32, rows,
            static_cast<int64_t>(values.size()) / rows};
  }
  static HostTensor shape_of(int64_t rows, int64_t cols) { return {nullptr, DType::f32, rows, cols}; }

  // Parts in codes stay so. Those beside them stay as the checkpoint has them, and see the activations as
  // they are.
  void settle(LinearDesc& desc, Quantization otherwise) const {
    const bool coded = std::any_of(desc.parts.begin(), desc.parts.end(),
                                   [](const LinearPart& part) { return part.coded != nullptr; });
    desc.quantization = coded ? Quantization::none : otherwise;
    desc.integer_activations = coded && quantization_ != Quantization::none;
  }

  Result<ModuleTensors> take_module(const Module& module, bool nf4) {
    ModuleTensors tensors;
    auto coded = coded_of(stored_module(module), module.out, module.in);
    if (!coded) return coded.error();
    if (*coded) {
      if (module.transposed)
        return Error{module.name + " is quantized and transposed in the checkpoint; that is not implemented"};
      tensors.weight = shape_of(module.out, module.in);
      tensors.coded = std::move(*coded);
    } else if (nf4) {
      Result<Nf4Weight> weight = take_nf4(checkpoint_, tensor_name(module), module.out, module.in);
      if (!weight) return weight.error();
      tensors.weight = weight->packed;
      tensors.nf4_absmax = std::move(weight->absmax);
    } else {
      Result<HostTensor> weight =
          checkpoint_.take(tensor_name(module), module.transposed ? module.in : module.out,
                           module.transposed ? module.out : module.in);
      if (!weight) return weight.error();
      tensors.weight = module.transposed ? parts_.transposed(*weight) : *weight;
    }
    if (module.bias) {
      Result<HostTensor> bias = checkpoint_.take_vector(module.name + ".bias", module.out);
      if (!bias) return bias.error();
      tensors.bias = *bias;
    }
    return tensors;
  }

  Result<LinearPart> part_of(const Module& module, const ModuleTensors& tensors, const PartRows& rows) {
    const std::optional<HostTensor> bias = parts_.elements(tensors.bias, rows);
    if (tensors.coded)
      return LinearPart{shape_of(rows.count, module.in), bias, {}, coded_rows(tensors.coded, rows)};
    if (tensors.nf4_absmax.empty()) return LinearPart{parts_.rows(tensors.weight, rows), bias};
    // Rows are whole blocks (Nf4Reader), two codes to a byte.
    const HostTensor packed = parts_.rows_of_bytes(tensors.weight, static_cast<size_t>(module.in / 2), rows);
    std::vector<float> absmax;
    const int64_t blocks = module.in / kNf4Block;
    for (int64_t i = 0; i < rows.count; ++i) {
      const auto begin = tensors.nf4_absmax.begin() + rows.row(i) * blocks;
      absmax.insert(absmax.end(), begin, begin + blocks);
    }
    return LinearPart{packed, bias, std::move(absmax)};
  }

  Status load_linear(std::span<const Module> modules) {
    LinearDesc desc;
    const Module& first = modules.front();
    const bool head = first.place == ModulePlace::head;
    const bool nf4 = is_nf4(first);
    for (const Module& module : modules) {
      if (is_nf4(module) != nf4) {
        return Error{"only one of " + first.name + " and " + module.name +
                     " is quantized in the checkpoint; that is not implemented"};
      }
      Result<ModuleTensors> tensors = take_module(module, nf4);
      if (!tensors) return tensors.error();
      for (const PartRows& rows : module.parts) {
        Result<LinearPart> part = part_of(module, *tensors, rows);
        if (!part) return part.error();
        desc.parts.push_back(std::move(*part));
      }
    }
    if (head) desc.room = network_.room;
    settle(desc, nf4 ? Quantization::nf4 : head ? head_quantization(quantization_) : quantization_);
    Result<std::unique_ptr<Linear>> linear = backend_.linear_create(desc);
    parts_ = {};
    if (!linear) return linear.error();
    linear_of(first) = std::move(*linear);
    return {};
  }

  Status load_norm(const Module& module) {
    const Norm& norm = module.norm;
    NormDesc desc{.kind = norm.kind,
                  .width = norm.width,
                  .copies = norm.copies,
                  .gain = {},
                  .bias = {},
                  .offset = checkpoint_.whole_gains() ? 0 : norm.offset};
    std::vector<float> gathered;
    if (norm.gain) {
      Result<HostTensor> gain = take_gain(module, gathered);
      if (!gain) return gain.error();
      desc.gain = *gain;
    }
    std::vector<float> scaled;
    if (norm.gain_factor != 1.0f) {
      scaled.resize(static_cast<size_t>(norm.size()));
      copy_f32(scaled.data(), *desc.gain);
      for (float& value : scaled) value *= norm.gain_factor;
      desc.gain = floats_of(scaled, 1);
    }
    if (norm.bias) {
      Result<HostTensor> bias = checkpoint_.take_vector(module.name + ".bias", module.out);
      if (!bias) return bias.error();
      desc.bias = *bias;
    }
    Result<std::unique_ptr<NormGain>> created = backend_.norm_create(desc);
    if (!created) return created.error();
    place_of(module) = std::move(*created);
    return {};
  }

  // [copies, width] where there are several; those that lie apart are put together in `gathered`.
  Result<HostTensor> take_gain(const Module& module, std::vector<float>& gathered) {
    const Norm& norm = module.norm;
    if (norm.apart) {
      for (const std::string& name : weight_tensors(module)) {
        Result<HostTensor> gain = checkpoint_.take_vector(name, norm.width);
        if (!gain) return gain;
        gathered.resize(gathered.size() + static_cast<size_t>(norm.width));
        copy_f32(gathered.data() + gathered.size() - norm.width, *gain);
      }
      return floats_of(gathered, norm.copies);
    }
    if (module.norm.copies == 1) return checkpoint_.take_vector(weight_tensor(module), module.out);
    return checkpoint_.take(weight_tensor(module), module.norm.copies, module.norm.width);
  }

  std::unique_ptr<NormGain>& place_of(const Module& module) {
    if (module.place == ModulePlace::final_norm) return weights_.final_norm;
    if (module.place == ModulePlace::embed_norm) return weights_.embed_norm;
    if (module.place == ModulePlace::inputs_norm) return weights_.inputs_norm;
    return weights_.layers[module.layer].norm[static_cast<size_t>(module.norm_site)];
  }

  Status to_device(const HostTensor& numbers, std::unique_ptr<Tensor>& to) {
    std::vector<float> values(static_cast<size_t>(numbers.rows * numbers.cols));
    copy_f32(values.data(), numbers);
    Result<std::unique_ptr<Tensor>> tensor = tensor_of(backend_, values);
    if (!tensor) return tensor.error();
    to = std::move(*tensor);
    return {};
  }

  Status load_layer_numbers(const Layer& layer, LayerWeights& weights) {
    weights.activation = layer.mlp.activation;
    if (!layer.attention.sinks.empty()) {
      Result<HostTensor> sinks = checkpoint_.take_vector(layer.attention.sinks, layer.attention.q_heads);
      if (!sinks) return sinks.error();
      if (Status s = to_device(*sinks, weights.sinks); !s) return s;
    }
    if (layer.delta_net) {
      if (Status s = load_delta_net(*layer.delta_net, weights); !s) return s;
    }
    if (layer.convolution) {
      if (Status s = load_convolution(*layer.convolution, weights); !s) return s;
    }
    if (layer.mlp.experts) {
      if (Status s = load_experts(*layer.mlp.experts, weights); !s) return s;
    }
    if (!layer.scale.empty()) {
      Result<HostTensor> scale = checkpoint_.take_number(layer.scale);
      if (!scale) return scale.error();
      weights.scale = load_f32(scale->data, scale->dtype, 0);
    }
    return layer.mlp.xielu.empty() ? Status{} : load_xielu(layer.mlp.xielu, weights.activation);
  }

  // of [channels, 1, taps] [taps, channels]
  Status load_taps(const std::string& name, int64_t channels, int64_t taps, std::unique_ptr<Tensor>& to) {
    const auto each = checkpoint_.take_stack(name, channels, 1, taps);
    if (!each) return each.error();
    HostTensor all = each->front();
    all.rows = channels;
    if (Status s = to_device(parts_.transposed(all), to); !s) return s;
    parts_ = {};
    return {};
  }

  Status load_convolution(const ShortConvolution& net, LayerWeights& weights) {
    if (Status s = load_taps(net.kernel + ".weight", net.channels, net.taps, weights.convolution); !s)
      return s;
    if (!net.bias) return {};
    Result<HostTensor> bias = checkpoint_.take_vector(net.kernel + ".bias", net.channels);
    if (!bias) return bias.error();
    return to_device(*bias, weights.convolution_bias);
  }

  Status load_delta_net(const DeltaNet& net, LayerWeights& weights) {
    const int64_t channels = net.desc().mixed_width();
    if (Status s = load_taps(net.stem + "conv1d.weight", channels, net.taps, weights.convolution); !s)
      return s;
    const auto numbers = [&](const char* name, std::unique_ptr<Tensor>& to) -> Status {
      Result<HostTensor> values = checkpoint_.take_vector(net.stem + name, net.value_heads);
      if (!values) return values.error();
      return to_device(*values, to);
    };
    if (Status s = numbers("A_log", weights.log_decay); !s) return s;
    return numbers("dt_bias", weights.time_bias);
  }

  Status load_experts(const ExpertLayer& layer, LayerWeights& weights) {
    weights.routing = layer.routing;
    if (!layer.choice_bias.empty()) {
      Result<HostTensor> bias = checkpoint_.take_vector(layer.choice_bias, layer.routing.experts);
      if (!bias) return bias.error();
      if (Status s = to_device(*bias, weights.choice_bias); !s) return s;
      weights.routing.choice_bias = weights.choice_bias.get();
    }
    if (!layer.expert_scale.empty()) {
      Result<HostTensor> scale = checkpoint_.take_vector(layer.expert_scale, layer.routing.experts);
      if (!scale) return scale.error();
      if (Status s = to_device(*scale, weights.expert_scale); !s) return s;
      weights.routing.expert_scale = weights.expert_scale.get();
    }
    const ExpertNames& names = layer.names;
    const std::string first = names.stem + "0." + names.gate;
    const bool separate =
        checkpoint_.has(first + ".weight") || has_coded(checkpoint_, network_.format, first);
    Result<std::vector<ExpertDesc>> experts =
        separate ? take_separate_experts(layer) : take_fused_experts(layer);
    if (!experts) return experts.error();
    for (ExpertDesc& desc : *experts) {
      settle(desc.up, quantization_);
      settle(desc.down, quantization_);
    }
    Result<std::unique_ptr<Experts>> created = backend_.experts_create(*experts);
    parts_ = {};
    if (!created) return created.error();
    weights.experts = std::move(*created);
    return {};
  }

  Result<LinearPart> take_expert_part(const std::string& name, int64_t out, int64_t in) {
    auto coded = coded_of(name, out, in);
    if (!coded) return coded.error();
    if (*coded) return LinearPart{shape_of(out, in), std::nullopt, {}, std::move(*coded)};
    Result<HostTensor> weight = checkpoint_.take(name + ".weight", out, in);
    if (!weight) return weight.error();
    return LinearPart{*weight, std::nullopt};
  }

  Result<std::vector<ExpertDesc>> take_separate_experts(const ExpertLayer& layer) {
    const ExpertNames& names = layer.names;
    std::vector<ExpertDesc> experts;
    for (int e = 0; e < layer.routing.experts; ++e) {
      const std::string stem = names.stem + std::to_string(e) + ".";
      ExpertDesc desc;
      for (const std::string& name : {names.gate, names.up}) {
        Result<LinearPart> part = take_expert_part(stem + name, layer.width, network_.hidden);
        if (!part) return part.error();
        desc.up.parts.push_back(std::move(*part));
      }
      Result<LinearPart> down = take_expert_part(stem + names.down, network_.hidden, layer.width);
      if (!down) return down.error();
      desc.down.parts.push_back(std::move(*down));
      experts.push_back(std::move(desc));
    }
    return experts;
  }

  // One weight [out, in] for each expert, however the checkpoint keeps them.
  Result<std::vector<HostTensor>> take_stack(const ExpertNames& names, const std::string& name, int64_t count,
                                             int64_t out, int64_t in) {
    if (network_.format.method == CheckpointMethod::mxfp4 && has_mxfp4(checkpoint_, name)) {
      auto weights = take_mxfp4(checkpoint_, name, count, out, in);
      if (!weights) return weights.error();
      std::vector<HostTensor> tensors;
      for (std::vector<uint16_t>& weight : *weights)
        tensors.push_back(parts_.bf16(std::move(weight), out, in));
      return tensors;
    }
    if (!names.transposed) return checkpoint_.take_stack(name, count, out, in);
    auto tensors = checkpoint_.take_stack(name, count, in, out);
    if (!tensors) return tensors.error();
    for (HostTensor& tensor : *tensors) tensor = parts_.transposed(tensor);
    return tensors;
  }

  Result<std::vector<ExpertDesc>> take_fused_experts(const ExpertLayer& layer) {
    const ExpertNames& names = layer.names;
    const int64_t count = layer.routing.experts, both = 2 * layer.width, hidden = network_.hidden;
    const std::string up_name = names.stem + names.fused_up, down_name = names.stem + names.fused_down;
    Result<std::vector<HostTensor>> up = take_stack(names, up_name, count, both, hidden);
    if (!up) return up.error();
    Result<std::vector<HostTensor>> down = take_stack(names, down_name, count, hidden, layer.width);
    if (!down) return down.error();
    std::optional<HostTensor> up_bias, down_bias;  // [E, 2 F], [E, H]
    if (names.bias) {
      Result<HostTensor> of_up = checkpoint_.take(up_name + "_bias", count, both);
      if (!of_up) return of_up.error();
      Result<HostTensor> of_down = checkpoint_.take(down_name + "_bias", count, hidden);
      if (!of_down) return of_down.error();
      up_bias = *of_up;
      down_bias = *of_down;
    }
    const auto bias_of = [](const std::optional<HostTensor>& biases, size_t expert) {
      std::optional<HostTensor> bias = biases;
      if (!bias) return bias;
      bias->data += expert * static_cast<size_t>(bias->cols) * dtype_bytes(bias->dtype);
      bias->rows = 1;
      return bias;
    };
    const PartRows gate_rows = names.interleaved ? PartRows{0, layer.width, 1, 2} : rows_of(0, layer.width);
    const PartRows up_rows =
        names.interleaved ? PartRows{1, layer.width, 1, 2} : rows_of(layer.width, layer.width);
    std::vector<ExpertDesc> experts(static_cast<size_t>(count));
    for (size_t e = 0; e < experts.size(); ++e) {
      const HostTensor& whole = (*up)[e];
      for (const PartRows& rows : {gate_rows, up_rows}) {
        experts[e].up.parts.push_back({parts_.rows(whole, rows), parts_.elements(bias_of(up_bias, e), rows)});
      }
      experts[e].down.parts.push_back({(*down)[e], bias_of(down_bias, e)});
    }
    return experts;
  }

  // alpha_p and alpha_n are kept before their softplus, alpha_n without beta (Huang and Schlag 2024).
  Status load_xielu(const std::string& module, Activation& activation) {
    const auto softplus = [](float x) { return x > 20.0f ? x : std::log1p(std::exp(x)); };
    float values[4];
    const char* const names[] = {".alpha_p", ".alpha_n", ".beta", ".eps"};
    for (int i = 0; i < 4; ++i) {
      const std::string name = module + names[i];
      Result<HostTensor> value = checkpoint_.take_number(name);
      if (!value) return value.error();
      values[i] = load_f32(value->data, value->dtype, 0);
    }
    activation.alpha = softplus(values[0]);
    activation.beta = values[2];
    activation.alpha_n = values[2] + softplus(values[1]);
    activation.epsilon = values[3];
    return {};
  }

  Status load_embedding(const Module& module) {
    const Linear* const tied = network_.head.tied ? weights_.head.get() : nullptr;
    return create_table(module, tied, head_quantization(quantization_), weights_.embed);
  }

  Status load_table(const Module& module) {
    if (module.place == ModulePlace::inputs_table)
      return create_table(module, nullptr, head_quantization(quantization_), weights_.inputs_table);
    return create_table(module, nullptr, Quantization::none, weights_.positions);
  }

  Status create_table(const Module& module, const Linear* tied_head, Quantization quantization,
                      std::unique_ptr<Embedding>& to) {
    EmbeddingDesc desc{.table = shape_of(module.in, module.out),
                       .tied_head = tied_head,
                       .quantization = quantization,
                       .coded = nullptr};
    auto coded = coded_of(module.name, module.in, module.out);
    if (!coded) return coded.error();
    if (*coded) {
      desc.coded = std::move(*coded);
    } else {
      Result<HostTensor> table = checkpoint_.take(module.name + ".weight", module.in, module.out);
      if (!table) return table.error();
      desc.table = *table;
    }
    Result<std::unique_ptr<Embedding>> embed = backend_.embedding_create(desc);
    if (!embed) return embed.error();
    to = std::move(*embed);
    return {};
  }

  Status refuse_untaken() {
    const std::string head = network_.head.module + ".weight";
    for (const std::string& name : checkpoint_.untaken()) {
      // Old checkpoints store this buffer; config.json rules.
      if (name.ends_with("rotary_emb.inv_freq") || is_spare(checkpoint_, network_.format, name)) continue;
      if (name == head && network_.head.tied) {
        if (checkpoint_.same_bytes(name, network_.embedding.module + ".weight")) continue;
        return Error{"config.json ties the head to the embedding, but " + head + " differs from it"};
      }
      return Error{"the checkpoint holds tensor " + name + ", which config.json's network does not have"};
    }
    return {};
  }

  const Network& network_;
  Checkpoint& checkpoint_;
  Backend& backend_;
  Quantization quantization_;
  Weights weights_;
  PartTensors parts_;  // of the map that is being loaded
};

template <class T>
size_t bytes_of(const std::unique_ptr<T>& weights) {
  return weights ? weights->bytes() : 0;
}

}  // namespace

size_t Weights::bytes() const {
  size_t total = bytes_of(head) + bytes_of(embed) + bytes_of(positions) + bytes_of(embed_norm) +
                 bytes_of(embed_projection) + bytes_of(head_projection) + bytes_of(final_norm);
  total += bytes_of(inputs_table) + bytes_of(inputs_projection) + bytes_of(inputs_norm);
  for (const LayerWeights& layer : layers) {
    for (const auto& linear : layer.linear) total += bytes_of(linear);
    for (const auto& norm : layer.norm) total += bytes_of(norm);
    total += bytes_of(layer.experts) + bytes_of(layer.choice_bias) + bytes_of(layer.sinks);
    total += bytes_of(layer.expert_scale);
    total += bytes_of(layer.convolution) + bytes_of(layer.log_decay) + bytes_of(layer.time_bias);
    total += bytes_of(layer.convolution_bias);
  }
  return total;
}

Status fit_to_checkpoint(Network& network, Checkpoint& checkpoint) {
  if (Status s = checkpoint.rename(network.renames, network.ignored); !s) return s;
  if (network.head.tied_if_absent) network.head.tied = !checkpoint.has(network.head.module + ".weight");
  return {};
}

Result<Weights> load_weights(const Network& network, Checkpoint& checkpoint, Backend& backend,
                             Quantization quantization) {
  return WeightLoader(network, checkpoint, backend, quantization).load();
}

}  // namespace lorikeet
