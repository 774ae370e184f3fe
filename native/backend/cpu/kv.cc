#include <cassert>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/kv_type.h"

namespace lorikeet::cpu {

std::byte* CpuKvCache::page(int layer, int64_t page) const {
  assert(layer >= 0 && layer < desc.layers && page >= 0 && page < desc.pages);
  return memory.data() +
         (static_cast<size_t>(layer) * static_cast<size_t>(desc.pages) + static_cast<size_t>(page)) *
             kv_page_bytes(desc);
}

std::byte* CpuKvCache::keys(int layer, int64_t page, int kv_head) const {
  return this->page(layer, page) + static_cast<size_t>(kv_head * block_elements()) * dtype_bytes(desc.type);
}

std::byte* CpuKvCache::values(int layer, int64_t page, int kv_head) const {
  return keys(layer, page, desc.kv_heads + kv_head);
}

float* CpuKvCache::key_scales(int layer, int64_t page, int kv_head) const {
  return reinterpret_cast<float*>(keys(layer, page, 2 * desc.kv_heads)) + int64_t{kv_head} * desc.page_tokens;
}

float* CpuKvCache::value_scales(int layer, int64_t page, int kv_head) const {
  return key_scales(layer, page, desc.kv_heads + kv_head);
}

Result<std::unique_ptr<KvCache>> CpuBackend::kv_create(const KvDesc& desc) {
  if (desc.layers < 1 || desc.pages < 1 || desc.page_tokens < 1 || desc.kv_heads < 1 || desc.head_dim < 1) {
    return Error{"the KV cache needs at least one layer, page, token per page, head and dimension"};
  }
  if (desc.head_dim > kMaxHeadDim) {
    return Error{"head_dim " + std::to_string(desc.head_dim) + " is above " + std::to_string(kMaxHeadDim)};
  }
  // Two vectors of even length fill whole floats, so the scales behind them are aligned.
  if (desc.type == DType::int8 && desc.head_dim % 2 != 0) {
    return Error{"head_dim " + std::to_string(desc.head_dim) + " is odd: the cache cannot be int8"};
  }
  auto kv = std::make_unique<CpuKvCache>();
  kv->desc = desc;
  auto memory = Memory::allocate(static_cast<size_t>(desc.layers) * static_cast<size_t>(desc.pages) *
                                 kv_page_bytes(desc));
  if (!memory) return out_of_memory("the KV cache");
  kv->memory = std::move(*memory);
  return std::unique_ptr<KvCache>(std::move(kv));
}

void CpuBackend::kv_copy(KvCache& kv, std::span<const int32_t> from, std::span<const int32_t> to) {
  assert(from.size() == to.size());
  const auto& cache = static_cast<CpuKvCache&>(kv);
  for (int layer = 0; layer < cache.desc.layers; ++layer) {
    for (size_t i = 0; i < from.size(); ++i) {
      std::memcpy(cache.page(layer, to[i]), cache.page(layer, from[i]), kv_page_bytes(cache.desc));
    }
  }
}

}  // namespace lorikeet::cpu
