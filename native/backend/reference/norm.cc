// RMSNorm (Zhang and Sennrich 2019): y = x / sqrt(mean(x^2) + epsilon) * gain.

#include <cmath>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

Result<std::unique_ptr<NormGain>> ReferenceBackend::norm_create(const HostTensor& gain) {
  auto norm = std::make_unique<RefNormGain>();
  norm->gain = to_floats(gain);
  return std::unique_ptr<NormGain>(std::move(norm));
}

void ReferenceBackend::norm(float* y, const float* x, float* residual, int64_t rows, const NormGain& gain,
                            float epsilon, std::span<const NormSegment> segments) {
  const auto width = static_cast<int64_t>(static_cast<const RefNormGain&>(gain).gain.size());
  size_t segment = 0;
  for (int64_t row = 0; row < rows; ++row) {
    while (segment < segments.size() && row >= segments[segment].row0 + segments[segment].rows) ++segment;
    const bool inside = segment < segments.size() && row >= segments[segment].row0;
    const Floats& g = static_cast<const RefNormGain&>(inside ? *segments[segment].gain : gain).gain;

    const float* in = x + row * width;
    if (residual != nullptr) {
      float* sum = residual + row * width;
      for (int64_t i = 0; i < width; ++i) sum[i] += in[i];
      in = sum;
    }
    double squares = 0;
    for (int64_t i = 0; i < width; ++i) squares += static_cast<double>(in[i]) * in[i];
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(width) + epsilon);
    for (int64_t i = 0; i < width; ++i) y[row * width + i] = static_cast<float>(in[i] * inverse * g[i]);
  }
}

}  // namespace lorikeet::reference
