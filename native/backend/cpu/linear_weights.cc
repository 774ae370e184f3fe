// Checks and repacks the weights of linear maps and of the adapters on them. Nothing here touches what a
// running step uses: a loader thread may run it meanwhile.
#include <cassert>
#include <cmath>
#include <cstring>
#include <string>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/coded_integers.h"
#include "backend/shared/dtype.h"

namespace lorikeet::cpu {
namespace {

std::string shape_of(const HostTensor& tensor) {
  return "[" + std::to_string(tensor.rows) + ", " + std::to_string(tensor.cols) + "]";
}

Status expect_shape(const HostTensor& tensor, int64_t rows, int64_t cols, const char* what) {
  if (tensor.rows == rows && tensor.cols == cols) return {};
  return Error{std::string(what) + " has shape " + shape_of(tensor) + ", expected [" + std::to_string(rows) +
               ", " + std::to_string(cols) + "]"};
}

Status expect_vector(const std::optional<HostTensor>& vector, int64_t count, const char* what) {
  if (!vector || vector->rows * vector->cols == count) return {};
  return Error{std::string(what) + " has shape " + shape_of(*vector) + ", expected " + std::to_string(count) +
               " values"};
}

// [rank] what A x is multiplied by before B.
std::vector<float> factors(const AdapterPartDesc& desc) {
  std::vector<float> factor(static_cast<size_t>(desc.rank), desc.scale);
  for (size_t r = 0; r < desc.component_scale.size(); ++r) factor[r] *= desc.component_scale[r];
  return factor;
}

// `room`: outputs behind the part's own that rows may lie in.
Status check_adapter_part(const AdapterPartDesc& desc, const CpuLinear::Part& base, int64_t room) {
  const int64_t n = base.weight.n();
  const int64_t k = base.weight.k();
  if (desc.rank < 0) return Error{"an adapter's rank is negative"};
  if (desc.rank > 0) {
    if (Status status = expect_shape(desc.a, desc.rank, k, "lora_A"); !status) return status;
    if (Status status = expect_shape(desc.b, n, desc.rank, "lora_B"); !status) return status;
    assert((desc.a.dtype == DType::int8) == (desc.b.dtype == DType::int8) &&
           (desc.component_scale.size() == static_cast<size_t>(desc.rank) ||
            (desc.component_scale.empty() && desc.a.dtype != DType::int8)));
  }
  if (desc.weight) {
    if (Status status = expect_shape(*desc.weight, n, k, "a replaced weight"); !status) return status;
  }
  if (!desc.replaced_rows.empty()) {
    const auto rows = static_cast<int64_t>(desc.replaced_rows.size());
    if (!desc.replaced_row_values) return Error{"replaced rows without values"};
    if (Status status = expect_shape(*desc.replaced_row_values, rows, k, "replaced rows"); !status)
      return status;
    for (const int32_t row : desc.replaced_rows) {
      if (row < 0 || row >= n + room) return Error{"a replaced row lies outside the map"};
    }
  }
  if (Status status = expect_vector(desc.lora_bias, n, "lora_B.bias"); !status) return status;
  if (Status status = expect_vector(desc.magnitude, n, "a DoRA magnitude"); !status) return status;
  return expect_vector(desc.bias, n, "a replaced bias");
}

// [cols, rows] the tensor's transpose
std::vector<float> transposed(const HostTensor& tensor) {
  std::vector<float> result(static_cast<size_t>(tensor.rows * tensor.cols));
  for (int64_t row = 0; row < tensor.rows; ++row) {
    for (int64_t col = 0; col < tensor.cols; ++col) {
      result[static_cast<size_t>(col * tensor.rows + row)] =
          load_f32(tensor.data, tensor.dtype, row * tensor.cols + col);
    }
  }
  return result;
}

// Hands out a weight's tiles in the layout of PackedWeight.
class TileReader {
 public:
  TileReader(const Kernels& kernels, const BaseWeight& weight)
      : kernels_(kernels), packed_(weight.packed()), quantized_(weight.quantized()), coded_(weight.coded()) {
    if (packed_ == nullptr) tile_.resize(static_cast<size_t>(weight.k() * weight.tile_outputs()));
  }
  DType dtype() const { return packed_ != nullptr ? packed_->dtype() : DType::f32; }
  int groups(int64_t tile) const {
    if (packed_ != nullptr) return packed_->groups(tile);
    return coded_ != nullptr ? coded_->blocks(tile) : quantized_->blocks(tile);
  }
  // Valid until the next call.
  const void* read(int64_t tile) {
    if (packed_ != nullptr) return packed_->tile(tile);
    if (coded_ != nullptr) {
      coded_->decode(kernels_, tile_.data(), tile, 0, coded_->k());
    } else {
      quantized_->read_tile(tile_.data(), tile);
    }
    return tile_.data();
  }

 private:
  const Kernels& kernels_;
  const PackedWeight* packed_;
  const QuantizedWeight* quantized_;
  const CodedWeight* coded_;
  std::vector<float> tile_;
};

// magnitude / ||W + scale B A||_row (Liu et al. 2024), W as it is used: the adapter's own weight where it has
// one, the base's after quantization otherwise.
Result<PaddedVector> dora_ratio(const Kernels& kernels, const AdapterPartDesc& desc,
                                const BaseWeight& weight) {
  const int64_t width = weight.tile_outputs();
  auto ratio = pad_vector(*desc.magnitude, width, 1.0f);
  if (!ratio) return out_of_memory("an adapter");
  const auto a = desc.rank > 0 ? transposed(desc.a) : std::vector<float>();
  const std::vector<float> factor = factors(desc);
  std::vector<float> b(static_cast<size_t>(desc.rank * width));  // [rank, tile], factor folded in
  TileReader tiles(kernels, weight);
  for (int64_t tile = 0; tile < weight.tiles(); ++tile) {
    const int64_t outputs = std::min(width, weight.n() - tile * width);
    for (int64_t n = 0; n < outputs; ++n) {
      for (int r = 0; r < desc.rank; ++r) {
        b[static_cast<size_t>(r * width + n)] =
            factor[static_cast<size_t>(r)] *
            load_f32(desc.b.data, desc.b.dtype, (tile * width + n) * desc.rank + r);
      }
    }
    double sums[kMaxTile] = {};
    kernels.tile_row_norms[static_cast<int>(tiles.dtype())]({.sums = sums,
                                                             .weight = tiles.read(tile),
                                                             .k = weight.k(),
                                                             .groups = tiles.groups(tile),
                                                             .a = a.data(),
                                                             .b = b.data(),
                                                             .rank = desc.rank});
    for (int64_t n = 0; n < outputs; ++n) {
      float& value = ratio->memory.f32()[tile * width + n];
      value = static_cast<float>(static_cast<double>(value) / std::sqrt(sums[n]));
      if (!std::isfinite(value)) return Error{"a DoRA row has norm zero or a magnitude that is not finite"};
    }
  }
  return std::move(*ratio);
}

// False: no memory.
bool take_replaced_rows(const AdapterPartDesc& desc, int64_t k, CpuAdapterLinear::Part& part) {
  if (!desc.replaced_row_values) return true;
  const HostTensor& values = *desc.replaced_row_values;
  auto memory = Memory::allocate(static_cast<size_t>(values.rows * k) * sizeof(float));
  if (!memory) return false;
  for (int64_t i = 0; i < values.rows * k; ++i) memory->f32()[i] = load_f32(values.data, values.dtype, i);
  part.replaced_row_values = std::move(*memory);
  part.replaced_rows = desc.replaced_rows;
  return true;
}

Result<CpuAdapterLinear::Part> adapter_part(const Kernels& kernels, const AdapterPartDesc& desc,
                                            const CpuLinear::Part& base, int64_t room) {
  if (Status status = check_adapter_part(desc, base, room); !status) return status.error();
  CpuAdapterLinear::Part part;
  part.rank = desc.rank;
  part.factor = factors(desc);
  const int64_t tile = base.weight.tile_outputs();
  if (desc.rank > 0) {
    auto a = PackedRows::pack(desc.a, kernels.lanes);
    auto b = PackedWeight::pack(desc.b, kernels.lanes);
    if (!a || !b) return out_of_memory("an adapter");
    part.a = std::move(*a);
    part.b = std::move(*b);
  }
  if (desc.weight) {
    auto weight = PackedWeight::pack(*desc.weight, kernels.lanes);
    if (!weight) return out_of_memory("an adapter's replaced weight");
    part.weight = std::move(*weight);
  }
  const auto take = [&](const std::optional<HostTensor>& from, float scale, PaddedVector& to) {
    if (!from) return true;
    auto padded = pad_vector(*from, tile, scale);
    if (padded) to = std::move(*padded);
    return padded.has_value();
  };
  if (!take(desc.lora_bias, desc.scale, part.lora_bias) || !take(desc.bias, 1.0f, part.bias)) {
    return out_of_memory("an adapter");
  }
  if (desc.magnitude) {
    auto ratio = dora_ratio(kernels, desc, part.weight ? *part.weight : base.weight);
    if (!ratio) return ratio.error();
    part.ratio = std::move(*ratio);
  }
  if (!take_replaced_rows(desc, base.weight.k(), part)) return out_of_memory("an adapter's replaced rows");
  return part;
}

// `integer_order`: null, or that of a part in codes which is multiplied in integers.
Result<BaseWeight> base_weight(const LinearPart& part, Quantization quantization,
                               const std::vector<int32_t>* integer_order, int lanes, int threads) {
  if (part.coded) {
    assert(quantization == Quantization::none);
    auto weight = CodedWeight::pack(*part.coded, lanes, threads, integer_order);
    if (!weight) return weight.error();
    return BaseWeight(std::move(*weight));
  }
  const WeightSource source{part.weight, quantization, part.nf4_absmax};
  if (source.quantization != Quantization::none) {
    auto weight = QuantizedWeight::pack(source, lanes, threads);
    if (!weight) return weight.error();
    return BaseWeight(std::move(*weight));
  }
  auto weight = PackedWeight::pack(source.tensor, lanes, threads);
  if (!weight) return out_of_memory("the model's weights");
  return BaseWeight(std::move(*weight));
}

}  // namespace

size_t CpuAdapterLinear::bytes() const {
  size_t total = 0;
  for (const auto& part : parts) {
    if (!part) continue;
    total += part->a.bytes() + part->b.bytes() + part->lora_bias.bytes() + part->ratio.bytes() +
             part->bias.bytes() + part->replaced_rows.size() * sizeof(int32_t) +
             part->replaced_row_values.bytes();
    if (part->weight) total += part->weight->bytes();
  }
  return total;
}

Result<std::unique_ptr<Linear>> CpuBackend::linear_create(const LinearDesc& desc) {
  if (desc.parts.empty()) return Error{"a linear map needs at least one part"};
  auto linear = std::make_unique<CpuLinear>();
  linear->k = desc.parts.front().weight.cols;
  linear->room = desc.room;
  linear->quantization = desc.quantization;
  IntegerInputs integers = integer_inputs(desc);
  linear->coded_in_integers = integers.any();
  linear->input_order = std::move(integers.order);
  for (size_t i = 0; i < desc.parts.size(); ++i) {
    const LinearPart& from = desc.parts[i];
    if (from.weight.rows < 1 || from.weight.cols < 1)
      return Error{"a linear map has shape " + shape_of(from.weight)};
    if (Status status = expect_shape(from.weight, from.weight.rows, linear->k, "a stacked weight"); !status) {
      return status.error();
    }
    if (Status status = expect_vector(from.bias, from.weight.rows, "a bias"); !status) return status.error();
    auto weight = base_weight(from, desc.quantization, integers.parts[i] ? &linear->input_order : nullptr,
                              kernels_.lanes, pool_.threads());
    if (!weight) return weight.error();
    CpuLinear::Part part{
        .weight = std::move(*weight), .bias = {}, .output0 = linear->n, .tile0 = linear->tiles};
    if (from.bias) {
      auto bias = pad_vector(*from.bias, part.weight.tile_outputs(), 1.0f);
      if (!bias) return out_of_memory("the model's weights");
      part.bias = std::move(*bias);
    }
    linear->n += part.weight.n();
    linear->tiles += part.weight.tiles();
    linear->parts.push_back(std::move(part));
  }
  return std::unique_ptr<Linear>(std::move(linear));
}

Result<std::unique_ptr<AdapterLinear>> CpuBackend::adapter_linear_create(
    const Linear& base, std::span<const AdapterPartDesc> parts) {
  const auto& linear = static_cast<const CpuLinear&>(base);
  auto adapter = std::make_unique<CpuAdapterLinear>();
  adapter->parts.resize(linear.parts.size());
  for (const AdapterPartDesc& desc : parts) {
    const auto index = static_cast<size_t>(desc.part);
    if (desc.part < 0 || index >= linear.parts.size())
      return Error{"an adapter names a part that does not exist"};
    if (adapter->parts[index]) return Error{"an adapter names a part twice"};
    const bool last = index + 1 == linear.parts.size();
    auto part = adapter_part(kernels_, desc, linear.parts[index], last ? linear.room : 0);
    if (!part) return part.error();
    part->s_offset = adapter->rank_total;
    adapter->rank_total += part->rank;
    adapter->replaces_rows = adapter->replaces_rows || !part->replaced_rows.empty();
    adapter->parts[index] = std::move(*part);
  }
  if (Status s = adapters_.reserve_for(*adapter); !s) return s.error();
  return std::unique_ptr<AdapterLinear>(std::move(adapter));
}

}  // namespace lorikeet::cpu
