#include <cassert>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/kv_type.h"

namespace lorikeet::cpu {

std::byte* CpuKvCache::page(int layer, int64_t page) const {
  const auto index = static_cast<size_t>(layer);
  assert(layer >= 0 && index < desc.layers.size() && page >= 0 && page < desc.pages);
  return memory.data() + layer_begin[index] + static_cast<size_t>(page) * page_bytes[index];
}

RecurrentPages CpuKvCache::recurrent(int layer) const {
  const auto index = static_cast<size_t>(layer);
  return {page(layer, 0), page_bytes[index], desc.page_tokens, desc.layers[index].recurrent};
}

std::byte* CpuKvCache::keys(int layer, int64_t page, int kv_head) const {
  return this->page(layer, page) +
         static_cast<size_t>(kv_head * block_elements(layer)) * dtype_bytes(desc.type);
}

std::byte* CpuKvCache::values(int layer, int64_t page, int kv_head) const {
  return keys(layer, page, kv_heads(layer) + kv_head);
}

float* CpuKvCache::key_scales(int layer, int64_t page, int kv_head) const {
  return reinterpret_cast<float*>(keys(layer, page, 2 * kv_heads(layer))) +
         int64_t{kv_head} * desc.page_tokens;
}

float* CpuKvCache::value_scales(int layer, int64_t page, int kv_head) const {
  return key_scales(layer, page, kv_heads(layer) + kv_head);
}

Result<std::unique_ptr<KvCache>> CpuBackend::kv_create(const KvDesc& desc) {
  if (desc.layers.empty() || desc.pages < 1 || desc.page_tokens < 1) {
    return Error{"the KV cache needs at least one layer, page and token per page"};
  }
  auto kv = std::make_unique<CpuKvCache>();
  kv->desc = desc;
  size_t bytes = 0;
  for (const KvLayer& layer : desc.layers) {
    const bool recurrent = layer.recurrent.inputs > 0;
    if (!recurrent && (layer.kv_heads < 1 || layer.head_dim < 1))
      return Error{"a layer of the KV cache needs at least one head and dimension"};
    if (layer.head_dim > kMaxHeadDim) {
      return Error{"head_dim " + std::to_string(layer.head_dim) + " is above " + std::to_string(kMaxHeadDim)};
    }
    // Two vectors of even length fill whole floats, so the scales behind them are aligned.
    if (desc.type == DType::int8 && layer.head_dim % 2 != 0) {
      return Error{"head_dim " + std::to_string(layer.head_dim) + " is odd: the cache cannot be int8"};
    }
    kv->layer_begin.push_back(bytes);
    kv->page_bytes.push_back(kv_page_bytes(layer, desc.page_tokens, desc.type));
    bytes += kv->page_bytes.back() * static_cast<size_t>(desc.pages);
  }
  auto memory = Memory::allocate(bytes);
  if (!memory) return out_of_memory("the KV cache");
  kv->memory = std::move(*memory);
  return std::unique_ptr<KvCache>(std::move(kv));
}

void CpuKvCache::copy(std::span<const int32_t> from, std::span<const int32_t> to) const {
  assert(from.size() == to.size());
  for (size_t layer = 0; layer < desc.layers.size(); ++layer) {
    for (size_t i = 0; i < from.size(); ++i) {
      const auto index = static_cast<int>(layer);
      std::memcpy(page(index, to[i]), page(index, from[i]), page_bytes[layer]);
    }
  }
}

}  // namespace lorikeet::cpu
