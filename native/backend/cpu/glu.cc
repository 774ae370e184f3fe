#include <algorithm>
#include <cassert>
#include <cstring>

#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

void CpuBackend::glu(float* y, const float* gate_up, int64_t rows, int64_t width) {
  for_rows(rows, width, [&](int64_t row, int) {
    const float* const gate = gate_up + row * 2 * width;
    kernels_.glu_row(y + row * width, gate, gate + width, width);
  });
}

void CpuBackend::gather_rows(float* to, const float* from, std::span<const int32_t> index, int64_t cols) {
  for (size_t i = 0; i < index.size(); ++i) {
    std::memcpy(to + static_cast<int64_t>(i) * cols, from + index[i] * cols,
                static_cast<size_t>(cols) * sizeof(float));
  }
}

}  // namespace lorikeet::cpu
