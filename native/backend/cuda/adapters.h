// Adapters on the device: each one block of memory.
#pragma once

#include "backend/cuda/weights.h"

namespace lorikeet::cuda {

// Rows of numbers somewhere in an adapter's block.
struct DeviceRows {
  const void* data = nullptr;
  Element type = Element::f32;
};

struct CudaAdapterLinear final : AdapterLinear {
  struct Part {
    int rank = 0;          // 0: no low-rank delta
    int64_t s_offset = 0;  // of its A x among those of all parts
    DeviceRows a, b;       // [rank, K], [n, rank]
    float scale = 1.0f;
    const float* factor = nullptr;     // [rank] or null
    const float* lora_bias = nullptr;  // [n] or null, the scale in it
    const float* ratio = nullptr;      // [n] or null
    DeviceRows weight;                 // [n, K], data null: the base's
    const float* bias = nullptr;       // [n] or null: the base's
    const int32_t* replaced = nullptr;
    int32_t replaced_count = 0;
    DeviceRows replaced_values;  // [replaced_count, K]
  };
  DeviceMemory memory;
  std::vector<std::optional<Part>> parts;  // by part of the map
  int64_t ranks = 0;                       // of all parts

  size_t bytes() const override { return memory.bytes(); }
};

struct CudaAdapterEmbedding final : AdapterEmbedding {
  DeviceMemory memory;
  EmbeddingItem item;

  size_t bytes() const override { return memory.bytes(); }
};

// Parts of adapters of linear maps, gathered into one block of memory.
class AdapterBlock {
 public:
  AdapterBlock();
  ~AdapterBlock();

  // What the descriptions point to is read here.
  Status add(const CudaLinear& base, std::span<const AdapterPartDesc> parts);
  // The parts in the order in which they were added.
  Result<DeviceMemory> upload(Device& device, std::span<CudaAdapterLinear::Part> parts) const;

 private:
  struct Laid;
  BlockBuilder block_;
  std::vector<Laid> laid_;
};

Result<std::unique_ptr<AdapterLinear>> create_adapter(Device& device, const CudaLinear& base,
                                                      std::span<const AdapterPartDesc> parts);
Result<std::unique_ptr<AdapterEmbedding>> create_adapter(Device& device, const CudaEmbedding& base,
                                                         const AdapterEmbeddingDesc& desc);

}  // namespace lorikeet::cuda
