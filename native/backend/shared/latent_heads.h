// Rows of latent attention's heads in host memory: copies alone, the same for all backends that have it
// there.
#pragma once

#include <algorithm>

#include "backend/interface/ops.h"

namespace lorikeet {

// One row of Backend::join_heads; `turning` [rope] of all heads' keys.
inline void join_row(float* qkv, const float* q, const float* kv, const float* turning,
                     const LatentHeads& heads) {
  const int64_t d = heads.head_dim();
  float* const keys = qkv + heads.q_width();
  float* const values = keys + heads.q_width();
  for (int64_t h = 0; h < heads.heads; ++h) {
    const float* const own = q + h * d;
    std::copy_n(own, heads.nope, std::copy_n(own + heads.nope, heads.rope, qkv + h * d));
    const float* const both = kv + h * (heads.nope + heads.value_dim);
    std::copy_n(both, heads.nope, std::copy_n(turning, heads.rope, keys + h * d));
    float* const end = std::copy_n(both + heads.nope, heads.value_dim, values + h * d);
    std::fill(end, values + (h + 1) * d, 0.0f);
  }
}

// One row of Backend::trim_heads.
inline void trim_row(float* y, const float* x, const LatentHeads& heads) {
  for (int64_t h = 0; h < heads.heads; ++h)
    std::copy_n(x + h * heads.head_dim(), heads.value_dim, y + h * heads.value_dim);
}

}  // namespace lorikeet
