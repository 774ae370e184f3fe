// What a network does to activations element by element.
#include <cassert>
#include <cmath>

#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

void CpuBackend::add_scaled(TensorView y, TensorView x, float factor) {
  if (!step_.runs()) return;
  float* const to = f32(y);
  const float* const from = f32(x);
  for_pieces(y.count(), [&](int64_t begin, int64_t size) {
    kernels_.add_scaled(to + begin, from + begin, factor, size);
  });
}

void CpuBackend::gate_rows(TensorView y, TensorView gate) {
  if (!step_.runs()) return;
  for_rows(y.rows, y.cols, [&](int64_t row, int) {
    const double factor = 1.0 / (1.0 + std::exp(-static_cast<double>(f32(gate)[row])));
    float* const own = f32(y) + row * y.cols;
    kernels_.scale_row(own, own, static_cast<float>(factor), y.cols);
  });
}

void CpuBackend::multiply(TensorView y, TensorView x, int64_t column) {
  if (!step_.runs()) return;
  assert(column + y.cols <= x.cols && y.rows == x.rows);
  for_rows(y.rows, y.cols, [&](int64_t row, int) {
    kernels_.multiply_row(f32(y) + row * y.cols, f32(x) + row * x.cols + column, y.cols);
  });
}

void CpuBackend::scale(TensorView y, float factor) {
  if (!step_.runs()) return;
  float* const values = f32(y);
  for_pieces(y.count(), [&](int64_t begin, int64_t size) {
    kernels_.scale_row(values + begin, values + begin, factor, size);
  });
}

void CpuBackend::soft_cap(TensorView y, float cap) {
  if (!step_.runs()) return;
  float* const values = f32(y);
  for_pieces(y.count(),
             [&](int64_t begin, int64_t size) { kernels_.soft_cap_row(values + begin, cap, size); });
}

}  // namespace lorikeet::cpu
