#include "model/adapter.h"

#include <cstring>
#include <deque>
#include <map>
#include <set>

#include "model/narrow.h"
#include "model/part_rows.h"

namespace lorikeet {

namespace {

// Tensors of the adapter's file as the backend takes them; owns what had to be converted.
class AdapterTensors {
 public:
  explicit AdapterTensors(SafetensorsFile file) : file_(std::move(file)) {}

  Result<HostTensor> matrix(const TensorRef& ref, int64_t rows, int64_t cols) {
    return tensor(ref, {rows, cols}, rows, cols);
  }
  Result<HostTensor> vector(const TensorRef& ref, int64_t size) { return tensor(ref, {size}, 1, size); }

  HostTensor bf16(const HostTensor& from) {
    if (from.dtype != DType::f32) return from;
    const auto& values = narrowed_.emplace_back(to_bf16(from));
    return {reinterpret_cast<const std::byte*>(values.data()), DType::bf16, from.rows, from.cols};
  }
  // False: A and B are to be kept otherwise.
  bool int8(AdapterPartDesc& part) {
    auto factors = to_int8(part.a, part.b);
    if (!factors) return false;
    const Int8Factors& kept = factors_.emplace_back(std::move(*factors));
    part.a = {reinterpret_cast<const std::byte*>(kept.a.data()), DType::int8, part.a.rows, part.a.cols};
    part.b = {reinterpret_cast<const std::byte*>(kept.b.data()), DType::int8, part.b.rows, part.b.cols};
    part.component_scale = kept.scale;
    return true;
  }

 private:
  Result<HostTensor> tensor(const TensorRef& ref, const std::vector<int64_t>& shape, int64_t rows,
                            int64_t cols) {
    const TensorInfo* info = file_.find(ref.name);
    if (info == nullptr) return Error{"the adapter's file has no tensor " + ref.name};
    if (info->dtype != ref.dtype || info->shape != ref.shape || info->begin != ref.begin ||
        info->end != ref.end) {
      return Error{"the manifest and the adapter's file describe tensor " + ref.name + " differently"};
    }
    if (info->shape != shape) {
      return Error{"tensor " + ref.name + " has shape " + shape_text(info->shape) + ", but the base needs " +
                   shape_text(shape)};
    }
    HostTensor host{file_.data(*info), DType::f32, rows, cols};
    if (info->dtype == "F64") {
      host.data = convert_f64(host.data, rows * cols);
    } else if (info->dtype == "F16") {
      host.dtype = DType::f16;
    } else if (info->dtype == "BF16") {
      host.dtype = DType::bf16;
    } else if (info->dtype != "F32") {
      return Error{"tensor " + ref.name + " has dtype " + info->dtype +
                   "; adapters hold F64, F32, F16 or BF16"};
    }
    return host;
  }

  const std::byte* convert_f64(const std::byte* data, int64_t count) {
    std::vector<float>& values = converted_.emplace_back(static_cast<size_t>(count));
    for (size_t i = 0; i < values.size(); ++i) {
      double value;
      std::memcpy(&value, data + i * sizeof(double), sizeof(double));
      values[i] = static_cast<float>(value);
    }
    return reinterpret_cast<const std::byte*>(values.data());
  }

  SafetensorsFile file_;
  // Elements of a deque stay where they are.
  std::deque<std::vector<float>> converted_;
  std::deque<std::vector<uint16_t>> narrowed_;
  std::deque<Int8Factors> factors_;
};

// Takes an optional tensor into an optional of the descriptor.
template <class Take>
Status take_optional(std::optional<HostTensor>& to, const std::optional<TensorRef>& ref, Take take) {
  if (!ref) return {};
  Result<HostTensor> tensor = take(*ref);
  if (!tensor) return tensor.error();
  to = *tensor;
  return {};
}

class AdapterLoader {
 public:
  AdapterLoader(AdapterTensors tensors, const Weights& base, Backend& backend, AdapterType type)
      : tensors_(std::move(tensors)), base_(base), backend_(backend), type_(type) {
    adapter_.layers.resize(base.layers.size());
  }

  Result<Adapter> load(const std::vector<ManifestModule>& manifest, const std::vector<Module>& base_modules) {
    std::map<std::string, const ManifestModule*> by_name;
    std::set<std::string> unknown;
    for (const ManifestModule& module : manifest) {
      if (!by_name.emplace(module.module, &module).second)
        return Error{"module " + module.module + " stands twice"};
      unknown.insert(module.module);
    }
    // In the base's order, so that the parts of one fused map come together.
    for (size_t first = 0; first < base_modules.size();) {
      std::vector<AdapterPartDesc> parts;
      size_t at = first;
      do {
        const Module& module = base_modules[at];
        const auto found = module.adaptable ? by_name.find(module.name) : by_name.end();
        if (found != by_name.end()) {
          unknown.erase(module.name);
          const Status status = load_module(module, *found->second, parts);
          if (!status) return within(module.name, status.error());
        }
        ++at;
      } while (at < base_modules.size() && base_modules[at].part > 0);
      const Status status = create_linear(base_modules[first], parts);
      if (!status) return within(base_modules[first].name, status.error());
      first = at;
    }
    if (!unknown.empty()) return Error{"the base model has no module " + *unknown.begin()};
    return std::move(adapter_);
  }

 private:
  Status load_module(const Module& module, const ManifestModule& change,
                     std::vector<AdapterPartDesc>& parts) {
    if (change.magnitude && !change.lora) return Error{"a magnitude needs a low-rank delta"};
    if (change.bias && !module.bias) return Error{"replaces a bias, but the base has none"};
    switch (module.kind) {
      case ModuleKind::linear:
        return load_linear_parts(module, change, parts);
      case ModuleKind::embedding:
        if (module.place == ModulePlace::positions) return Error{"a table of positions cannot be changed"};
        return load_embedding(module, change);
      case ModuleKind::norm:
        return load_norm(module, change);
    }
    return {};
  }

  // A module of several parts gives each its rows of B and of the vectors; A is theirs in common.
  Status load_linear_parts(const Module& module, const ManifestModule& change,
                           std::vector<AdapterPartDesc>& parts) {
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
    const auto vector = [&](const TensorRef& ref) { return tensors_.vector(ref, module.out); };
    if (change.lora) {
      Result<HostTensor> a = tensors_.matrix(change.lora->a, change.lora->rank, module.in);
      if (!a) return a.error();
      Result<HostTensor> b = tensors_.matrix(change.lora->b, module.out, change.lora->rank);
      if (!b) return b.error();
      whole.rank = change.lora->rank;
      whole.scale = change.lora->scale;
      whole.a = *a;
      whole.b = *b;
      if (Status s = take_optional(whole.lora_bias, change.lora->lora_bias, vector); !s) return s;
    }
    if (Status s = take_optional(whole.magnitude, change.magnitude, vector); !s) return s;
    if (Status s = take_optional(whole.bias, change.bias, vector); !s) return s;
    const auto matrix = [&](const TensorRef& ref) -> Result<HostTensor> {
      if (!module.transposed) return tensors_.matrix(ref, module.out, module.in);
      Result<HostTensor> stored = tensors_.matrix(ref, module.in, module.out);
      return stored ? Result<HostTensor>(rearranged_.transposed(*stored)) : stored;
    };
    if (Status s = take_optional(whole.weight, change.weight, matrix); !s) return s;
    for (size_t i = 0; i < module.parts.size(); ++i) {
      AdapterPartDesc part = part_of(whole, module.parts[i]);
      part.part = module.part + static_cast<int>(i);
      narrow(part);
      parts.push_back(part);
    }
    return {};
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

  void narrow(AdapterPartDesc& part) {
    if (type_ == AdapterType::stored) return;
    if (part.weight) part.weight = tensors_.bf16(*part.weight);
    if (part.rank == 0 || (type_ == AdapterType::int8 && tensors_.int8(part))) return;
    part.a = tensors_.bf16(part.a);
    part.b = tensors_.bf16(part.b);
  }

  Status create_linear(const Module& first, const std::vector<AdapterPartDesc>& parts) {
    if (parts.empty()) return {};
    const bool head = first.place == ModulePlace::head;
    const auto site = static_cast<size_t>(first.linear_site);
    const Linear& base = head ? *base_.head : *base_.layers[first.layer].linear[site];
    Result<std::unique_ptr<AdapterLinear>> linear = backend_.adapter_linear_create(base, parts);
    if (!linear) return linear.error();
    (head ? adapter_.head : adapter_.layers[first.layer].linear[site]) = std::move(*linear);
    return {};
  }

  Status load_embedding(const Module& module, const ManifestModule& change) {
    AdapterEmbeddingDesc desc;
    if (change.lora) {
      if (change.lora->lora_bias) return Error{"an embedding has no bias"};
      Result<HostTensor> a = tensors_.matrix(change.lora->a, change.lora->rank, module.in);
      if (!a) return a.error();
      Result<HostTensor> b = tensors_.matrix(change.lora->b, module.out, change.lora->rank);
      if (!b) return b.error();
      desc.rank = change.lora->rank;
      desc.scale = change.lora->scale;
      desc.a = *a;
      desc.b = *b;
    }
    const auto vector = [&](const TensorRef& ref) { return tensors_.vector(ref, module.out); };
    if (Status s = take_optional(desc.magnitude, change.magnitude, vector); !s) return s;
    const auto table = [&](const TensorRef& ref) { return tensors_.matrix(ref, module.in, module.out); };
    if (Status s = take_optional(desc.weight, change.weight, table); !s) return s;
    if (desc.weight && type_ != AdapterType::stored) desc.weight = tensors_.bf16(*desc.weight);
    if (change.token_rows) {
      const TokenRows shape{module.in, module.out};
      if (Status s = take_token_rows(*change.token_rows, shape, desc.token_rows, desc.token_row_values); !s)
        return s;
    }
    Result<std::unique_ptr<AdapterEmbedding>> embed = backend_.adapter_embedding_create(*base_.embed, desc);
    if (!embed) return embed.error();
    adapter_.embed = std::move(*embed);
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
        tensors_.matrix(change.rows, static_cast<int64_t>(change.indices.size()), shape.width);
    if (!rows) return rows.error();
    indices = change.indices;
    values = *rows;
    return {};
  }

  Status load_norm(const Module& module, const ManifestModule& change) {
    if (change.lora || change.token_rows || !change.weight)
      return Error{"a norm's gain can only be replaced"};
    const Norm& norm = module.norm;
    NormDesc desc{.kind = norm.kind,
                  .width = norm.width,
                  .copies = norm.copies,
                  .gain = {},
                  .bias = {},
                  .offset = norm.offset};
    const auto gain = [&](const TensorRef& ref) {
      return norm.copies == 1 ? tensors_.vector(ref, module.out)
                              : tensors_.matrix(ref, norm.copies, norm.width);
    };
    if (Status s = take_optional(desc.gain, change.weight, gain); !s) return s;
    if (norm.bias && !change.bias) return Error{"a norm with a bias is replaced with its bias"};
    const auto vector = [&](const TensorRef& ref) { return tensors_.vector(ref, module.out); };
    if (Status s = take_optional(desc.bias, change.bias, vector); !s) return s;
    Result<std::unique_ptr<NormGain>> created = backend_.norm_create(desc);
    if (!created) return created.error();
    const auto site = static_cast<size_t>(module.norm_site);
    (module.place == ModulePlace::final_norm   ? adapter_.final_norm
     : module.place == ModulePlace::embed_norm ? adapter_.embed_norm
                                               : adapter_.layers[module.layer].norm[site]) =
        std::move(*created);
    return {};
  }

  AdapterTensors tensors_;
  PartTensors rearranged_;
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
  for (const Layer& layer : layers) {
    for (const auto& linear : layer.linear) total += bytes_of(linear);
    for (const auto& norm : layer.norm) total += bytes_of(norm);
  }
  return total;
}

Result<Adapter> load_adapter(const AdapterSource& source, const std::vector<Module>& base_modules,
                             const Weights& base, Backend& backend, AdapterType type) {
  Result<SafetensorsFile> file = SafetensorsFile::open(source.weights_path);
  if (!file) return file.error();
  return AdapterLoader(AdapterTensors(std::move(*file)), base, backend, type)
      .load(source.modules, base_modules);
}

}  // namespace lorikeet
