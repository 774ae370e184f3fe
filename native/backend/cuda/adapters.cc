#include "backend/cuda/adapters.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace lorikeet::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kOutputsOfBlock = 8;

const char* fault_of(const CudaLinear& base, const AdapterPartDesc& desc, bool seen) {
  if (desc.part < 0 || static_cast<size_t>(desc.part) >= base.parts.size())
    return "names a part that the map lacks";
  if (seen) return "names a part twice";
  const int64_t n = base.parts[static_cast<size_t>(desc.part)].n, k = base.inputs();
  const auto vector_of = [&](const std::optional<HostTensor>& t) { return !t || t->rows * t->cols == n; };
  if (desc.rank < 0) return "has a negative rank";
  if (desc.rank > 0 && (desc.a.rows != desc.rank || desc.a.cols != k)) return "has an A of another shape";
  if (desc.rank > 0 && (desc.b.rows != n || desc.b.cols != desc.rank)) return "has a B of another shape";
  if (!desc.component_scale.empty() && std::ssize(desc.component_scale) != desc.rank)
    return "has component scales of another rank";
  if (!vector_of(desc.lora_bias) || !vector_of(desc.magnitude) || !vector_of(desc.bias))
    return "has a vector of another length";
  if (desc.weight && (desc.weight->rows != n || desc.weight->cols != k))
    return "has a weight of another shape";
  if (desc.replaced_row_values && (desc.replaced_row_values->cols != k ||
                                   desc.replaced_row_values->rows != std::ssize(desc.replaced_rows)))
    return "has replaced rows of another shape";
  for (const int32_t row : desc.replaced_rows) {
    if (row < 0 || row >= n) return "replaces a row that the map lacks";
  }
  return nullptr;
}

std::vector<float> scaled(const HostTensor& tensor, float by) {
  std::vector<float> values = floats_of(tensor);
  for (float& value : values) value *= by;
  return values;
}

// What of a part lies where in the block, from its beginning; SIZE_MAX: it has none.
constexpr size_t kNone = SIZE_MAX;
struct Places {
  size_t a = kNone, b = kNone, factor = kNone, lora_bias = kNone, magnitude = kNone, ratio = kNone,
         weight = kNone, bias = kNone, replaced = kNone, replaced_values = kNone;
};

Places lay_out(BlockBuilder& block, const AdapterPartDesc& desc) {
  Places at;
  if (desc.rank > 0) {
    at.a = block.add(desc.a);
    at.b = block.add(desc.b);
    if (!desc.component_scale.empty()) at.factor = block.add(desc.component_scale);
  }
  if (desc.lora_bias) at.lora_bias = block.add(scaled(*desc.lora_bias, desc.scale));
  if (desc.weight) at.weight = block.add(*desc.weight);
  if (desc.magnitude) {
    const std::vector<float> magnitude = floats_of(*desc.magnitude);
    at.magnitude = block.add(magnitude);
    at.ratio = block.add(nullptr, magnitude.size() * sizeof(float));
  }
  if (desc.bias) at.bias = block.add(floats_of(*desc.bias));
  if (desc.replaced_row_values) {
    at.replaced = block.add(desc.replaced_rows.data(), desc.replaced_rows.size() * sizeof(int32_t));
    at.replaced_values = block.add(*desc.replaced_row_values);
  }
  return at;
}

CudaAdapterLinear::Part part_at(const DeviceMemory& block, const Places& at, const AdapterPartDesc& desc) {
  const auto floats = [&](size_t place) { return place == kNone ? nullptr : block.at<const float>(place); };
  CudaAdapterLinear::Part part;
  part.rank = desc.rank;
  part.scale = desc.scale;
  if (desc.rank > 0) {
    part.a = {block.at(at.a), element_of(desc.a.dtype)};
    part.b = {block.at(at.b), element_of(desc.b.dtype)};
  }
  part.factor = floats(at.factor);
  part.lora_bias = floats(at.lora_bias);
  part.ratio = floats(at.ratio);
  if (desc.weight) part.weight = {block.at(at.weight), element_of(desc.weight->dtype)};
  part.bias = floats(at.bias);
  if (desc.replaced_row_values) {
    part.replaced = block.at<const int32_t>(at.replaced);
    part.replaced_count = static_cast<int32_t>(desc.replaced_rows.size());
    part.replaced_values = {block.at(at.replaced_values), element_of(desc.replaced_row_values->dtype)};
  }
  return part;
}

// Kernels say by NaN that a row has no direction.
Status check_ratio(Device& device, const float* ratio, int64_t n, const char* what) {
  std::vector<float> values(static_cast<size_t>(n));
  const Status read = device.in_load([&](Device::LoadStream& stream) {
    stream.copy_out(values.data(), reinterpret_cast<DeviceAddress>(ratio), values.size() * sizeof(float));
  });
  if (!read) return read;
  if (std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) return {};
  return Error{std::string("DoRA: ") + what + " is zero or not finite, so it has no direction"};
}

Status compute_ratio(Device& device, const CudaLinear& base, const AdapterPartDesc& desc,
                     const CudaAdapterLinear::Part& part, const float* magnitude) {
  const CudaLinear::Part& own = base.parts[static_cast<size_t>(desc.part)];
  DenseProduct weight;
  weight.w = part.weight.data;
  weight.type = part.weight.type;
  const Status done = device.in_load([&](Device::LoadStream& stream) {
    stream.launch(Kernel::dora_ratio, {(own.n + kOutputsOfBlock - 1) / kOutputsOfBlock}, kThreads, part.ratio,
                  magnitude, base.weight.view, own.first, weight, part.a.data,
                  static_cast<int32_t>(part.a.type), part.b.data, static_cast<int32_t>(part.b.type),
                  part.factor, part.scale, static_cast<int32_t>(part.rank), static_cast<int32_t>(own.n));
  });
  if (!done) return done;
  return check_ratio(device, part.ratio, own.n, "a row of W + s B A");
}

}  // namespace

struct AdapterBlock::Laid {
  AdapterPartDesc desc;
  const CudaLinear* base;
  Places at;
};

AdapterBlock::AdapterBlock() = default;
AdapterBlock::~AdapterBlock() = default;

Status AdapterBlock::add(const CudaLinear& base, std::span<const AdapterPartDesc> parts) {
  std::vector<bool> seen(base.parts.size(), false);
  for (const AdapterPartDesc& desc : parts) {
    const bool known = desc.part >= 0 && static_cast<size_t>(desc.part) < seen.size();
    if (const char* const fault = fault_of(base, desc, known && seen[static_cast<size_t>(desc.part)])) {
      return Error{std::string("an adapter of a linear map ") + fault};
    }
    seen[static_cast<size_t>(desc.part)] = true;
    laid_.push_back({desc, &base, lay_out(block_, desc)});
  }
  return {};
}

Result<DeviceMemory> AdapterBlock::upload(Device& device, std::span<CudaAdapterLinear::Part> parts) const {
  assert(parts.size() == laid_.size());
  auto memory = block_.upload(device, "an adapter");
  if (!memory) return memory;
  for (size_t i = 0; i < laid_.size(); ++i) {
    const auto& [desc, base, at] = laid_[i];
    parts[i] = part_at(*memory, at, desc);
    if (!desc.magnitude) continue;
    const auto* const magnitude = memory->at<const float>(at.magnitude);
    if (Status s = compute_ratio(device, *base, desc, parts[i], magnitude); !s) return s.error();
  }
  return memory;
}

Result<std::unique_ptr<AdapterLinear>> create_adapter(Device& device, const CudaLinear& base,
                                                      std::span<const AdapterPartDesc> descs) {
  AdapterBlock block;
  if (Status s = block.add(base, descs); !s) return s.error();
  std::vector<CudaAdapterLinear::Part> parts(descs.size());
  auto memory = block.upload(device, parts);
  if (!memory) return memory.error();
  auto adapter = std::make_unique<CudaAdapterLinear>();
  adapter->memory = std::move(*memory);
  adapter->parts.resize(base.parts.size());
  for (size_t i = 0; i < parts.size(); ++i) {
    parts[i].s_offset = adapter->ranks;
    adapter->ranks += parts[i].rank;
    adapter->parts[static_cast<size_t>(descs[i].part)] = parts[i];
  }
  return std::unique_ptr<AdapterLinear>(std::move(adapter));
}

namespace {

const char* fault_of(const Matrix& table, const AdapterEmbeddingDesc& desc) {
  const int64_t vocab = table.n, hidden = table.k;
  if (desc.rank < 0) return "has a negative rank";
  if (desc.rank > 0 && (desc.a.rows != desc.rank || desc.a.cols != vocab)) return "has an A of another shape";
  if (desc.rank > 0 && (desc.b.rows != hidden || desc.b.cols != desc.rank)) return "has a B of another shape";
  if (desc.weight && (desc.weight->rows != vocab || desc.weight->cols != hidden))
    return "has a table of another shape";
  if (desc.magnitude && desc.magnitude->rows * desc.magnitude->cols != hidden)
    return "has a magnitude of another length";
  if (desc.token_row_values &&
      (desc.token_row_values->cols != hidden || desc.token_row_values->rows != std::ssize(desc.token_rows)))
    return "has token rows of another shape";
  return nullptr;
}

}  // namespace

Result<std::unique_ptr<AdapterEmbedding>> create_adapter(Device& device, const CudaEmbedding& base,
                                                         const AdapterEmbeddingDesc& desc) {
  const Matrix& table = base.table;
  if (const char* const fault = fault_of(table, desc)) {
    return Error{std::string("an adapter of an embedding ") + fault};
  }
  BlockBuilder block;
  Places at;
  size_t token_row = kNone, token_value = kNone;
  if (desc.rank > 0) {
    at.a = block.add(desc.a);
    at.b = block.add(desc.b);
  }
  if (desc.weight) at.weight = block.add(*desc.weight);
  if (desc.magnitude) {
    at.magnitude = block.add(floats_of(*desc.magnitude));
    at.ratio = block.add(nullptr, static_cast<size_t>(table.k) * sizeof(float));
  }
  if (desc.token_row_values) {
    token_row = block.add(desc.token_rows.data(), desc.token_rows.size() * sizeof(int32_t));
    token_value = block.add(floats_of(*desc.token_row_values));
  }
  auto memory = block.upload(device, "an adapter");
  if (!memory) return memory.error();
  auto adapter = std::make_unique<CudaAdapterEmbedding>();
  EmbeddingItem& item = adapter->item;
  item.rank = desc.rank;
  item.adapter_scale = desc.scale;
  if (desc.rank > 0) {
    item.a = memory->at(at.a);
    item.a_type = element_of(desc.a.dtype);
    item.b = memory->at(at.b);
    item.b_type = element_of(desc.b.dtype);
  }
  if (desc.weight) {
    item.weight = memory->at(at.weight);
    item.weight_type = element_of(desc.weight->dtype);
  }
  if (desc.token_row_values) {
    item.token_row = memory->at<const int32_t>(token_row);
    item.token_row_value = memory->at<const float>(token_value);
    item.token_rows = static_cast<int32_t>(desc.token_rows.size());
  }
  if (desc.magnitude) {
    const auto* const ratio = memory->at<const float>(at.ratio);
    const auto* const magnitude = memory->at<const float>(at.magnitude);
    const Status done = device.in_load([&](Device::LoadStream& stream) {
      stream.launch(Kernel::embedding_ratio, {(table.k + kOutputsOfBlock - 1) / kOutputsOfBlock}, kThreads,
                    ratio, magnitude, table, item);
    });
    if (!done) return done.error();
    if (Status s = check_ratio(device, ratio, table.k, "a column of the table"); !s) return s.error();
    item.ratio = ratio;
  }
  adapter->memory = std::move(*memory);
  return std::unique_ptr<AdapterEmbedding>(std::move(adapter));
}

}  // namespace lorikeet::cuda
