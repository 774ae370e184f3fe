// Latent attention's heads, taken apart and put together.
#include <algorithm>

#include "backend/reference/backend.h"
#include "backend/shared/latent_heads.h"

namespace lorikeet::reference {

void ReferenceBackend::take_columns(TensorView y, TensorView x, int64_t column) {
  if (!step_.runs()) return;
  for (int64_t row = 0; row < y.rows; ++row) {
    std::copy_n(f32(x) + row * x.cols + column, y.cols, f32(y) + row * y.cols);
  }
}

void ReferenceBackend::join_heads(TensorView qkv, TensorView q, TensorView kv, TensorView latent,
                                  const LatentHeads& heads) {
  if (!step_.runs()) return;
  for (int64_t row = 0; row < qkv.rows; ++row) {
    const float* const turning = f32(latent) + (row + 1) * latent.cols - heads.rope;
    join_row(f32(qkv) + row * qkv.cols, f32(q) + row * q.cols, f32(kv) + row * kv.cols, turning, heads);
  }
}

void ReferenceBackend::trim_heads(TensorView y, TensorView x, const LatentHeads& heads) {
  if (!step_.runs()) return;
  for (int64_t row = 0; row < y.rows; ++row) {
    trim_row(f32(y) + row * y.cols, f32(x) + row * x.cols, heads);
  }
}

}  // namespace lorikeet::reference
