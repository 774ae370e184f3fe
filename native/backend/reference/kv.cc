// The paged KV cache (Kwon et al. 2023).

#include <cstring>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

size_t RefKvCache::bytes() const {
  size_t total = 0;
  for (const auto& layer : layers) total += layer.size();
  return total;
}

Result<std::unique_ptr<KvCache>> ReferenceBackend::kv_create(const KvDesc& desc) {
  auto kv = std::make_unique<RefKvCache>();
  kv->desc = desc;
  kv->layers.resize(desc.layers);
  for (auto& layer : kv->layers) layer.resize(desc.pages * kv->page_bytes());
  return std::unique_ptr<KvCache>(std::move(kv));
}

void ReferenceBackend::kv_copy(KvCache& kv, std::span<const int32_t> from, std::span<const int32_t> to) {
  assert(from.size() == to.size());
  auto& cache = static_cast<RefKvCache&>(kv);
  const size_t bytes = cache.page_bytes();
  for (auto& layer : cache.layers) {
    for (size_t i = 0; i < from.size(); ++i) {
      if (from[i] != to[i]) std::memcpy(&layer[to[i] * bytes], &layer[from[i] * bytes], bytes);
    }
  }
}

}  // namespace lorikeet::reference
