// Mixtures of experts on the device: the weights of all experts in one block, and tables by which kernels
// find each one's, since the host does not know which a row takes (kernels/experts.cu).
#pragma once

#include <array>

#include "backend/cuda/adapters.h"

namespace lorikeet::cuda {

enum ExpertMapName : uint8_t { kUp, kDown };
constexpr size_t kExpertMaps = 2;

struct CudaExperts final : Experts {
  // Of each expert, without memory of its own: what adapters are made against.
  std::array<std::vector<CudaLinear>, kExpertMaps> maps;
  std::array<const ExpertMap*, kExpertMaps> tables{};  // [E] on the device
  DeviceMemory weights, biases, table_memory;

  size_t bytes() const override { return weights.bytes() + biases.bytes() + table_memory.bytes(); }
};

struct CudaAdapterExperts final : AdapterExperts {
  std::array<const ExpertPart*, kExpertMaps> tables{};  // [E][parts of the map] on the device; null: nothing
  int64_t ranks = 0;  // of all parts of the map of one expert that has the most
  DeviceMemory memory, table_memory;

  size_t bytes() const override { return memory.bytes() + table_memory.bytes(); }
};

Result<std::unique_ptr<Experts>> create_experts(Device& device, std::span<const ExpertDesc> experts,
                                                int threads);
Result<std::unique_ptr<AdapterExperts>> create_adapter(Device& device, const CudaExperts& base,
                                                       std::span<const AdapterExpertDesc> experts);

}  // namespace lorikeet::cuda
