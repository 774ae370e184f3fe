// SwiGLU (Shazeer 2020): y = silu(gate) * up.

#include <cmath>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

void ReferenceBackend::glu(float* y, const float* gate_up, int64_t rows, int64_t width) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* gate = gate_up + row * 2 * width;
    const float* up = gate + width;
    for (int64_t i = 0; i < width; ++i) {
      const double g = gate[i];
      y[row * width + i] = static_cast<float>(g / (1.0 + std::exp(-g)) * up[i]);
    }
  }
}

}  // namespace lorikeet::reference
