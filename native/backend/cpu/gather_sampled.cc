#include <algorithm>

#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

void CpuBackend::gather_sampled(TensorView to, TensorView from) {
  if (!step_.runs()) return;
  float* row = f32(to);
  for (const int32_t index : step_.input().sample_row) {
    std::copy_n(f32(from) + index * from.cols, from.cols, row);
    row += to.cols;
  }
}

}  // namespace lorikeet::cpu
