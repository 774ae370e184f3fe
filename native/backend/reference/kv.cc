// The paged KV cache (Kwon et al. 2023).

#include <cstring>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

size_t RefKvCache::bytes() const {
  size_t total = 0;
  for (const auto& layer : layers) total += layer.size();
  return total;
}

size_t RefKvCache::offset(int layer, int32_t slot, int which, int kv_head) const {
  const int64_t kv_heads = desc.layers[layer].kv_heads, head_dim = desc.layers[layer].head_dim;
  const int64_t page = slot / desc.page_tokens;
  const int64_t token = slot % desc.page_tokens;
  const int64_t vector = ((page * 2 + which) * kv_heads + kv_head) * desc.page_tokens + token;
  return static_cast<size_t>(vector) *
         (static_cast<size_t>(head_dim) * dtype_bytes(desc.type) + kv_scale_bytes(desc.type));
}

void RefKvCache::store(int layer, int32_t slot, int which, int kv_head, const float* from) {
  std::byte* const to = layers[layer].data() + offset(layer, slot, which, kv_head);
  const int head_dim = desc.layers[layer].head_dim;
  if (desc.type == DType::int8) {
    const float scale = quantize_activations(reinterpret_cast<int8_t*>(to), from, head_dim);
    std::memcpy(to + head_dim, &scale, sizeof scale);
    return;
  }
  for (int i = 0; i < head_dim; ++i) store_f32(to, desc.type, i, from[i]);
}

void RefKvCache::load(double* to, int layer, int32_t slot, int which, int kv_head) const {
  const std::byte* const from = layers[layer].data() + offset(layer, slot, which, kv_head);
  const int head_dim = desc.layers[layer].head_dim;
  if (desc.type == DType::int8) {
    float scale;
    std::memcpy(&scale, from + head_dim, sizeof scale);
    for (int i = 0; i < head_dim; ++i) {
      to[i] = static_cast<double>(scale) * static_cast<int8_t>(from[i]);
    }
    return;
  }
  for (int i = 0; i < head_dim; ++i) to[i] = load_f32(from, desc.type, i);
}

Result<std::unique_ptr<KvCache>> ReferenceBackend::kv_create(const KvDesc& desc) {
  auto kv = std::make_unique<RefKvCache>();
  kv->desc = desc;
  for (const KvLayer& layer : desc.layers) {
    kv->layers.emplace_back(static_cast<size_t>(desc.pages) *
                            kv_page_bytes(layer, desc.page_tokens, desc.type));
  }
  return std::unique_ptr<KvCache>(std::move(kv));
}

void RefKvCache::copy(std::span<const int32_t> from, std::span<const int32_t> to) {
  assert(from.size() == to.size());
  for (auto& layer : layers) {
    const size_t bytes = layer.size() / static_cast<size_t>(desc.pages);
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i] != to[i]) std::memcpy(&layer[to[i] * bytes], &layer[from[i] * bytes], bytes);
    }
  }
}

}  // namespace lorikeet::reference
