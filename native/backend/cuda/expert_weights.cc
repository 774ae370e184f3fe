// Weights of mixtures of experts and of their adapters, as kernels find them.

#include "backend/cuda/expert_weights.h"

#include <algorithm>

namespace lorikeet::cuda {
namespace {

constexpr size_t kAlignment = 256;  // of a matrix in the block
constexpr const char* kMapNames[kExpertMaps] = {"gate and up", "down"};

const LinearDesc& map_of(const ExpertDesc& desc, size_t map) {
  return map == kUp ? desc.up : desc.down;
}
const std::vector<AdapterPartDesc>& parts_of(const AdapterExpertDesc& desc, size_t map) {
  return map == kUp ? desc.up : desc.down;
}

size_t aligned(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool alike(const Matrix& a, const Matrix& b) {
  return a.n == b.n && a.k == b.k && a.format == b.format && a.type == b.type;
}

// Of each expert's matrix, which differ in their weights alone.
Result<Matrix> common_shape(std::span<const ExpertDesc> experts, size_t map) {
  std::optional<Matrix> common;
  for (const ExpertDesc& desc : experts) {
    const LinearDesc& own = map_of(desc, map);
    const auto shape = shape_of(own.parts, own.quantization);
    if (!shape) return shape;
    if (!common) common = *shape;
    if (!alike(*common, *shape)) {
      return Error{std::string("experts whose ") + kMapNames[map] +
                       " differ in shape or type are not served on a CUDA device",
                   ErrorKind::unsupported};
    }
  }
  return *common;
}

CudaLinear linear_at(const Matrix& matrix, std::span<const LinearPart> parts) {
  CudaLinear linear;
  linear.weight.view = matrix;
  int64_t first = 0;
  for (const LinearPart& part : parts) {
    linear.parts.push_back({first, part.weight.rows});
    first += part.weight.rows;
  }
  return linear;
}

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

}  // namespace

Result<std::unique_ptr<Experts>> create_experts(Device& device, std::span<const ExpertDesc> experts,
                                                int threads) {
  auto result = std::make_unique<CudaExperts>();
  std::array<Matrix, kExpertMaps> shapes;
  size_t total = 0;
  for (size_t map = 0; map < kExpertMaps; ++map) {
    const auto shape = common_shape(experts, map);
    if (!shape) return shape.error();
    shapes[map] = *shape;
    total += aligned(matrix_bytes(*shape)) * experts.size();
  }
  auto weights = DeviceMemory::allocate(device, total, "weights of experts");
  if (!weights) return weights.error();
  result->weights = std::move(*weights);

  std::vector<ExpertMap> table;  // [map][E]
  std::vector<float> biases;
  std::vector<std::optional<size_t>> bias_at;
  DeviceAddress at = result->weights.address();
  for (size_t map = 0; map < kExpertMaps; ++map) {
    for (const ExpertDesc& desc : experts) {
      const std::vector<LinearPart>& parts = map_of(desc, map).parts;
      Matrix matrix = shapes[map];
      if (Status s = fill_matrix(device, at, matrix, parts, threads); !s) return s.error();
      at += aligned(matrix_bytes(matrix));
      result->maps[map].push_back(linear_at(matrix, parts));
      table.push_back({.matrix = matrix});
      const std::vector<float> own = biases_of(parts);
      bias_at.push_back(own.empty() ? std::nullopt : std::optional(biases.size()));
      biases.insert(biases.end(), own.begin(), own.end());
    }
  }
  auto bias_memory = DeviceMemory::holding(device, bytes_of(biases), "biases of experts");
  if (!bias_memory) return bias_memory.error();
  result->biases = std::move(*bias_memory);
  for (size_t i = 0; i < table.size(); ++i) {
    if (bias_at[i]) table[i].bias = result->biases.at<const float>() + *bias_at[i];
  }
  auto table_memory = DeviceMemory::holding(device, bytes_of(table), "where experts are");
  if (!table_memory) return table_memory.error();
  result->table_memory = std::move(*table_memory);
  for (size_t map = 0; map < kExpertMaps; ++map) {
    result->tables[map] = result->table_memory.at<const ExpertMap>() + map * experts.size();
  }
  return std::unique_ptr<Experts>(std::move(result));
}

namespace {

// One part of one map of one expert, in the order in which the block has them.
struct Slot {
  size_t map;
  size_t expert;
  size_t part;
};

Result<std::vector<Slot>> add_all(AdapterBlock& block, const CudaExperts& base,
                                  std::span<const AdapterExpertDesc> experts) {
  std::vector<Slot> slots;
  for (const AdapterExpertDesc& desc : experts) {
    const auto expert = static_cast<size_t>(desc.expert);
    if (desc.expert < 0 || expert >= base.maps[kUp].size())
      return Error{"an adapter names an expert that does not exist"};
    for (size_t map = 0; map < kExpertMaps; ++map) {
      const std::vector<AdapterPartDesc>& parts = parts_of(desc, map);
      for (const AdapterPartDesc& part : parts) {
        if (part.weight || part.bias || part.replaced_row_values || part.rank <= 0)
          return Error{"an expert takes low-rank deltas alone on a CUDA device", ErrorKind::unsupported};
        slots.push_back({map, expert, static_cast<size_t>(part.part)});
      }
      if (Status s = block.add(base.maps[map][expert], parts); !s) return s.error();
    }
  }
  return slots;
}

ExpertPart table_entry(const CudaAdapterLinear::Part& part, const CudaLinear::Part& place, int64_t s_offset) {
  return {.a = part.a.data,
          .b = part.b.data,
          .factor = part.factor,
          .lora_bias = part.lora_bias,
          .ratio = part.ratio,
          .first = static_cast<int32_t>(place.first),
          .n = static_cast<int32_t>(place.n),
          .rank = part.rank,
          .s_offset = static_cast<int32_t>(s_offset),
          .scale = part.scale,
          .a_type = part.a.type,
          .b_type = part.b.type};
}

}  // namespace

Result<std::unique_ptr<AdapterExperts>> create_adapter(Device& device, const CudaExperts& base,
                                                       std::span<const AdapterExpertDesc> experts) {
  AdapterBlock block;
  const auto slots = add_all(block, base, experts);
  if (!slots) return slots.error();
  std::vector<CudaAdapterLinear::Part> parts(slots->size());
  auto memory = block.upload(device, parts);
  if (!memory) return memory.error();
  auto adapter = std::make_unique<CudaAdapterExperts>();
  adapter->memory = std::move(*memory);

  const size_t count = base.maps[kUp].size();
  std::array<size_t, kExpertMaps> own_parts{}, first{};
  for (size_t map = 0; map < kExpertMaps; ++map) own_parts[map] = base.maps[map].front().parts.size();
  first[kDown] = count * own_parts[kUp];
  std::vector<ExpertPart> table(first[kDown] + count * own_parts[kDown]);
  std::array<bool, kExpertMaps> any{};
  for (size_t i = 0; i < slots->size(); ++i) {
    const auto& [map, expert, part] = (*slots)[i];
    ExpertPart* const own = &table[first[map] + expert * own_parts[map]];
    int64_t ranks = 0;
    for (size_t other = 0; other < own_parts[map]; ++other) ranks += own[other].rank;
    own[part] = table_entry(parts[i], base.maps[map][expert].parts[part], ranks);
    adapter->ranks = std::max(adapter->ranks, ranks + parts[i].rank);
    any[map] = true;
  }
  auto table_memory = DeviceMemory::holding(device, bytes_of(table), "an adapter");
  if (!table_memory) return table_memory.error();
  adapter->table_memory = std::move(*table_memory);
  for (size_t map = 0; map < kExpertMaps; ++map) {
    if (any[map]) adapter->tables[map] = adapter->table_memory.at<const ExpertPart>() + first[map];
  }
  return std::unique_ptr<AdapterExperts>(std::move(adapter));
}

}  // namespace lorikeet::cuda
