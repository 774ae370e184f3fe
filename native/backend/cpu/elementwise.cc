// What a network does to activations element by element.
#include <cmath>

#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

void CpuBackend::add_scaled(float* y, const float* x, int64_t count, float factor) {
  for_pieces(count,
             [&](int64_t begin, int64_t size) { kernels_.add_scaled(y + begin, x + begin, factor, size); });
}

void CpuBackend::gate_rows(float* y, const float* gate, int64_t rows, int64_t cols) {
  for_rows(rows, cols, [&](int64_t row, int) {
    const double factor = 1.0 / (1.0 + std::exp(-static_cast<double>(gate[row])));
    kernels_.scale_row(y + row * cols, y + row * cols, static_cast<float>(factor), cols);
  });
}

void CpuBackend::scale(float* y, int64_t count, float factor) {
  for_pieces(count,
             [&](int64_t begin, int64_t size) { kernels_.scale_row(y + begin, y + begin, factor, size); });
}

void CpuBackend::soft_cap(float* y, int64_t count, float cap) {
  for_pieces(count, [&](int64_t begin, int64_t size) { kernels_.soft_cap_row(y + begin, cap, size); });
}

}  // namespace lorikeet::cpu
