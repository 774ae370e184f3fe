// Rotary position embedding (Su et al. 2021), then K and V go to the rows' cache slots.

#include <algorithm>
#include <cmath>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

namespace {

// head [D]. The angle is a float32 product, as Transformers computes it: at long positions that rounding is
// visible.
void rotate(float* head, int32_t position, const RotationDesc& rope) {
  const auto half = static_cast<int>(rope.inv_freq.size());
  for (int i = 0; i < half; ++i) {
    const float angle = static_cast<float>(position) * rope.inv_freq[i];
    const double cosine = std::cos(static_cast<double>(angle)) * rope.attention_factor;
    const double sine = std::sin(static_cast<double>(angle)) * rope.attention_factor;
    float& low = head[rope.interleaved ? 2 * i : i];
    float& high = head[rope.interleaved ? 2 * i + 1 : i + half];
    const double x = low;
    const double y = high;
    low = static_cast<float>(x * cosine - y * sine);
    high = static_cast<float>(y * cosine + x * sine);
  }
}

double query_scale(const QueryScaling& scaling, int32_t position) {
  if (scaling.beta == 0) return 1.0;
  const double turns = std::floor(static_cast<double>(position + scaling.shift) / scaling.span);
  return 1.0 + scaling.beta * std::log(1.0 + turns);
}

}  // namespace

void ReferenceBackend::rope_kv(TensorView qkv, KvCache& kv, int layer, const Rotation& rotation,
                               const AttentionDesc& attention, const HeadNorms& norms) {
  if (!step_.runs()) return;
  const RotationDesc& rope = static_cast<const RefRotation&>(rotation).desc;
  const StepInput& step = step_.input();
  auto& cache = static_cast<RefKvCache&>(kv);
  const int64_t d = attention.head_dim;
  const int64_t q_width = attention.q_width(), kv_width = attention.kv_width(), width = attention.width();
  const bool has_keys = attention.projected != Projected::q;
  for (size_t t = 0; t < step.token.size(); ++t) {
    const auto row = static_cast<int64_t>(t);
    float* const q = f32(qkv) + row * width + attention.q_begin();  // q | k | v, or the first of them
    float* const k = q + q_width;
    float* const v = attention.projected == Projected::qkv ? k + kv_width : values_.data();
    if (attention.clip > 0) {
      for (float* x = q; x < q + width - attention.q_begin(); ++x)
        *x = std::clamp(*x, -attention.clip, attention.clip);
    }
    if (attention.projected == Projected::qk) std::copy_n(k, kv_width, v);
    const auto normalize_both = [&] {
      normalize_heads(q, q_width, norms.q, row);
      if (has_keys) normalize_heads(k, kv_width, norms.k, row);
    };
    if (!norms.after_rope) normalize_both();
    for (float* head = q; head < k + (has_keys ? kv_width : 0); head += d)
      rotate(head, step.position[t], rope);
    if (norms.after_rope) normalize_both();
    const double factor = query_scale(attention.query_scaling, step.position[t]);
    for (int64_t i = 0; i < q_width; ++i) q[i] = static_cast<float>(factor * q[i]);
    if (!has_keys) continue;
    normalize_heads(v, kv_width, norms.v, row);
    for (int h = 0; h < attention.kv_heads; ++h) {
      cache.store(layer, step.kv_slot[t], 0, h, k + h * d);
      cache.store(layer, step.kv_slot[t], 1, h, v + h * d);
    }
  }
}

}  // namespace lorikeet::reference
