#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/kv_type.h"

namespace lorikeet::cpu {
namespace {

// Keys lie transposed in their page: [head_dim][page_tokens].
template <class U>
void scatter_key(std::byte* block, const void* key, int64_t head_dim, int64_t page_tokens, int64_t offset) {
  const U* const from = static_cast<const U*>(key);
  U* const to = reinterpret_cast<U*>(block) + offset;
  for (int64_t d = 0; d < head_dim; ++d) to[d * page_tokens] = from[d];
}

}  // namespace

// cos [T, D / 2] then sin [T, D / 2]. The angle is rounded to float32 before the cosine, as Hugging Face
// does: at long positions a more exact angle would be a different model.
const float* CpuBackend::rope_angles(const RopeDesc& rope) {
  const auto same = [&](const RopeTable& table) {
    return table.attention_factor == rope.attention_factor && table.inv_freq == rope.inv_freq;
  };
  auto table = std::find_if(rope_tables_.begin(), rope_tables_.end(), same);
  if (table == rope_tables_.end()) {
    rope_tables_.push_back({rope.inv_freq, rope.attention_factor, {}, false});
    table = rope_tables_.end() - 1;
  }
  const auto rows = static_cast<int64_t>(step_.position.size());
  const auto half = static_cast<int64_t>(rope.inv_freq.size());
  float* const cos = table->angles.floats(static_cast<size_t>(2 * rows * half));
  if (table->fresh) return cos;
  for_rows(rows, 32 * half, [&](int64_t row, int) {
    const auto position = static_cast<float>(step_.position[static_cast<size_t>(row)]);
    for (int64_t i = 0; i < half; ++i) {
      const float angle = position * rope.inv_freq[static_cast<size_t>(i)];
      cos[row * half + i] = static_cast<float>(std::cos(static_cast<double>(angle))) * rope.attention_factor;
      cos[(rows + row) * half + i] =
          static_cast<float>(std::sin(static_cast<double>(angle))) * rope.attention_factor;
    }
  });
  table->fresh = true;
  return cos;
}

void CpuBackend::rope_kv(float* qkv, KvCache& kv, int layer, const RopeDesc& rope,
                         const AttentionDesc& attention) {
  const auto& cache = static_cast<const CpuKvCache&>(kv);
  const int64_t head_dim = attention.head_dim;
  const int heads = attention.q_heads + 2 * attention.kv_heads;
  const auto rows = static_cast<int64_t>(step_.position.size());
  const int64_t half = head_dim / 2;
  assert(head_dim == cache.desc.head_dim && attention.kv_heads == cache.desc.kv_heads);
  assert(static_cast<int64_t>(rope.inv_freq.size()) == half && head_dim % 2 == 0 && head_dim <= kMaxHeadDim);
  const float* const cos = rope_angles(rope);
  const float* const sin = cos + rows * half;
  for_rows(rows, heads * head_dim, [&](int64_t row, int) {
    float* const q = qkv + row * heads * head_dim;
    float* const k = q + attention.q_heads * head_dim;
    for (float* head = q; head < k + attention.kv_heads * head_dim; head += head_dim) {
      kernels_.rotate_row(head, head + half, cos + row * half, sin + row * half, static_cast<int>(half));
    }
    const int32_t slot = step_.kv_slot[static_cast<size_t>(row)];
    for (int head = 0; head < attention.kv_heads; ++head) {
      const float* const key = k + head * head_dim;
      store_kv(cache, {layer, slot, head}, key, key + attention.kv_heads * head_dim);
    }
  });
}

// One head's key and value of a row.
void CpuBackend::store_kv(const CpuKvCache& cache, const KvPlace& place, const float* key,
                          const float* value) const {
  const KvDesc& desc = cache.desc;
  const int64_t page = place.slot / desc.page_tokens;
  const int64_t offset = place.slot % desc.page_tokens;
  std::byte* const keys = cache.keys(place.layer, page, place.head);
  std::byte* const to = cache.values(place.layer, page, place.head) +
                        static_cast<size_t>(offset * desc.head_dim) * dtype_bytes(desc.type);
  if (desc.type == DType::int8) {
    alignas(64) int8_t q[kMaxHeadDim];
    cache.key_scales(place.layer, page, place.head)[offset] =
        quantized_kernels_.quantize_vector(q, key, desc.head_dim);
    scatter_key<int8_t>(keys, q, desc.head_dim, desc.page_tokens, offset);
    cache.value_scales(place.layer, page, place.head)[offset] =
        quantized_kernels_.quantize_vector(q, value, desc.head_dim);
    std::memcpy(to, q, static_cast<size_t>(desc.head_dim));
    return;
  }
  alignas(64) float stored[kMaxHeadDim];
  const auto store = kernels_.store_row[static_cast<int>(desc.type)];
  store(stored, key, desc.head_dim);
  if (desc.type == DType::f32) {
    scatter_key<uint32_t>(keys, stored, desc.head_dim, desc.page_tokens, offset);
  } else {
    scatter_key<uint16_t>(keys, stored, desc.head_dim, desc.page_tokens, offset);
  }
  store(to, value, desc.head_dim);
}

}  // namespace lorikeet::cpu
