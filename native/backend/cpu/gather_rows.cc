#include <cstring>

#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

void CpuBackend::gather_rows(float* to, const float* from, std::span<const int32_t> index, int64_t cols) {
  for (size_t i = 0; i < index.size(); ++i) {
    std::memcpy(to + static_cast<int64_t>(i) * cols, from + index[i] * cols,
                static_cast<size_t>(cols) * sizeof(float));
  }
}

}  // namespace lorikeet::cpu
