// Latent attention's heads, taken apart and put together.
#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/latent_heads.h"

namespace lorikeet::cpu {

void CpuBackend::take_columns(TensorView y, TensorView x, int64_t column) {
  if (!step_.runs()) return;
  for_rows(y.rows, y.cols, [&](int64_t row, int) {
    std::copy_n(f32(x) + row * x.cols + column, y.cols, f32(y) + row * y.cols);
  });
}

void CpuBackend::join_heads(TensorView qkv, TensorView q, TensorView kv, TensorView latent,
                            const LatentHeads& heads) {
  if (!step_.runs()) return;
  for_rows(qkv.rows, qkv.cols, [&](int64_t row, int) {
    const float* const turning = f32(latent) + (row + 1) * latent.cols - heads.rope;
    join_row(f32(qkv) + row * qkv.cols, f32(q) + row * q.cols, f32(kv) + row * kv.cols, turning, heads);
  });
}

void CpuBackend::trim_heads(TensorView y, TensorView x, const LatentHeads& heads) {
  if (!step_.runs()) return;
  for_rows(y.rows, y.cols,
           [&](int64_t row, int) { trim_row(f32(y) + row * y.cols, f32(x) + row * x.cols, heads); });
}

}  // namespace lorikeet::cpu
