// Rotary position embedding (Su et al. 2021) on pairs (i, i + D/2), then K and V go to the rows' cache slots.

#include <cmath>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

namespace {

// head [D]. The angle is a float32 product, as Transformers computes it: at long positions that rounding is
// visible.
void rotate(float* head, int head_dim, int32_t position, const RopeDesc& rope) {
  const int half = head_dim / 2;
  for (int i = 0; i < half; ++i) {
    const float angle = static_cast<float>(position) * rope.inv_freq[i];
    const double cosine = std::cos(static_cast<double>(angle)) * rope.attention_factor;
    const double sine = std::sin(static_cast<double>(angle)) * rope.attention_factor;
    const double x = head[i];
    const double y = head[i + half];
    head[i] = static_cast<float>(x * cosine - y * sine);
    head[i + half] = static_cast<float>(y * cosine + x * sine);
  }
}

}  // namespace

void ReferenceBackend::rope_kv(float* qkv, KvCache& kv, int layer, const RopeDesc& rope,
                               const AttentionDesc& attention) {
  auto& cache = static_cast<RefKvCache&>(kv);
  const int d = attention.head_dim;
  const int64_t width = static_cast<int64_t>(attention.q_heads + 2 * attention.kv_heads) * d;
  for (size_t row = 0; row < step_.token.size(); ++row) {
    float* heads = qkv + static_cast<int64_t>(row) * width;  // [HQ + 2 HKV, D]: q | k | v
    for (int h = 0; h < attention.q_heads + attention.kv_heads; ++h) {
      rotate(heads + int64_t{h} * d, d, step_.position[row], rope);
    }
    for (int which = 0; which < 2; ++which) {
      for (int h = 0; h < attention.kv_heads; ++h) {
        const float* from = heads + int64_t{attention.q_heads + which * attention.kv_heads + h} * d;
        cache.store(layer, step_.kv_slot[row], which, h, from);
      }
    }
  }
}

}  // namespace lorikeet::reference
