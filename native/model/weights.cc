#include "model/weights.h"

#include <algorithm>

#include "backend/shared/quantization.h"
#include "model/nf4_checkpoint.h"

namespace lorikeet {

namespace {

class WeightLoader {
 public:
  WeightLoader(const ModelConfig& config, Checkpoint& checkpoint, Backend& backend, Quantization quantization)
      : config_(config), checkpoint_(checkpoint), backend_(backend), quantization_(quantization) {}

  Result<Weights> load() {
    const std::vector<Module> modules = list_modules(config_);
    weights_.layers.resize(static_cast<size_t>(config_.layers));
    for (size_t first = 0; first < modules.size();) {
      const Module& module = modules[first];
      size_t end = first + 1;  // past the last part of the module's fused map
      while (end < modules.size() && modules[end].kind == ModuleKind::linear && modules[end].part > 0) ++end;
      const Status status = module.kind == ModuleKind::linear ? load_linear({&modules[first], end - first})
                            : module.kind == ModuleKind::norm ? load_norm(module)
                                                              : Status{};
      if (!status) return status.error();
      first = end;
    }
    const Status embed = load_embedding(modules.front());  // last: a tied table needs the head
    if (!embed) return embed.error();
    const Status rest = refuse_untaken();
    if (!rest) return rest.error();
    return std::move(weights_);
  }

 private:
  std::string tensor_name(const Module& module) const {
    const bool tied = module.place == ModulePlace::head && config_.tied_head;
    return (tied ? "model.embed_tokens" : module.name) + ".weight";
  }

  bool is_nf4(const Module& module) const {
    return config_.format == CheckpointFormat::bitsandbytes_nf4 && has_nf4(checkpoint_, tensor_name(module));
  }

  Result<LinearPart> take_part(const Module& module) {
    Result<HostTensor> weight = checkpoint_.take(tensor_name(module), module.out, module.in);
    if (!weight) return weight.error();
    return LinearPart{*weight, std::nullopt};
  }

  Result<LinearPart> take_nf4_part(const Module& module) {
    Result<Nf4Weight> weight = take_nf4(checkpoint_, tensor_name(module), module.out, module.in);
    if (!weight) return weight.error();
    return LinearPart{weight->packed, std::nullopt, std::move(weight->absmax)};
  }

  Status load_linear(std::span<const Module> parts) {
    LinearDesc desc;
    const bool head = parts.front().place == ModulePlace::head;
    const bool nf4 = is_nf4(parts.front());
    desc.quantization = nf4 ? Quantization::nf4 : head ? head_quantization(quantization_) : quantization_;
    for (const Module& module : parts) {
      if (is_nf4(module) != nf4) {
        return Error{"only one of " + parts.front().name + " and " + module.name +
                     " is quantized in the checkpoint; that is not implemented"};
      }
      Result<LinearPart> taken = nf4 ? take_nf4_part(module) : take_part(module);
      if (!taken) return taken.error();
      LinearPart part = std::move(*taken);
      if (module.bias) {
        Result<HostTensor> bias = checkpoint_.take_vector(module.name + ".bias", module.out);
        if (!bias) return bias.error();
        part.bias = *bias;
      }
      desc.parts.push_back(std::move(part));
    }
    Result<std::unique_ptr<Linear>> linear = backend_.linear_create(desc);
    if (!linear) return linear.error();
    const Module& first = parts.front();
    if (first.place == ModulePlace::head) {
      weights_.head = std::move(*linear);
    } else {
      weights_.layers[first.layer].linear[static_cast<size_t>(first.linear_site)] = std::move(*linear);
    }
    return {};
  }

  Status load_norm(const Module& module) {
    Result<HostTensor> gain = checkpoint_.take_vector(module.name + ".weight", module.out);
    if (!gain) return gain.error();
    Result<std::unique_ptr<NormGain>> norm = backend_.norm_create(*gain);
    if (!norm) return norm.error();
    if (module.place == ModulePlace::final_norm) {
      weights_.final_norm = std::move(*norm);
    } else {
      weights_.layers[module.layer].norm[static_cast<size_t>(module.norm_site)] = std::move(*norm);
    }
    return {};
  }

  Status load_embedding(const Module& module) {
    Result<HostTensor> table = checkpoint_.take(module.name + ".weight", module.in, module.out);
    if (!table) return table.error();
    Result<std::unique_ptr<Embedding>> embed =
        backend_.embedding_create({.table = *table,
                                   .tied_head = config_.tied_head ? weights_.head.get() : nullptr,
                                   .quantization = head_quantization(quantization_)});
    if (!embed) return embed.error();
    weights_.embed = std::move(*embed);
    return {};
  }

  Status refuse_untaken() const {
    for (const std::string& name : checkpoint_.untaken()) {
      if (name.ends_with("rotary_emb.inv_freq"))
        continue;  // old checkpoints store this buffer; config.json rules
      if (name == "lm_head.weight" && config_.tied_head) {
        if (checkpoint_.same_bytes(name, "model.embed_tokens.weight")) continue;
        return Error{"config.json ties the head to the embedding, but lm_head.weight differs from it"};
      }
      return Error{"the checkpoint holds tensor " + name + ", which config.json's network does not have"};
    }
    return {};
  }

  const ModelConfig& config_;
  Checkpoint& checkpoint_;
  Backend& backend_;
  Quantization quantization_;
  Weights weights_;
};

}  // namespace

size_t Weights::bytes() const {
  size_t total = head->bytes() + embed->bytes() + final_norm->bytes();
  for (const LayerWeights& layer : layers) {
    for (const auto& linear : layer.linear) total += linear->bytes();
    for (const auto& norm : layer.norm) total += norm->bytes();
  }
  return total;
}

Result<Weights> load_weights(const ModelConfig& config, Checkpoint& checkpoint, Backend& backend,
                             Quantization quantization) {
  return WeightLoader(config, checkpoint, backend, quantization).load();
}

}  // namespace lorikeet
