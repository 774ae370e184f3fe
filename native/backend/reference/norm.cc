// RMSNorm (Zhang and Sennrich 2019) and LayerNorm (Ba et al. 2016).

#include <cmath>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

Result<std::unique_ptr<NormGain>> ReferenceBackend::norm_create(const NormDesc& desc) {
  auto norm = std::make_unique<RefNormGain>();
  norm->kind = desc.kind;
  norm->width = desc.width;
  norm->offset = desc.offset;
  norm->gain =
      desc.gain ? to_floats(*desc.gain) : Floats(static_cast<size_t>(desc.copies * desc.width), 1.0f);
  for (float& value : norm->gain) value += desc.offset;
  if (desc.bias) norm->bias = to_floats(*desc.bias);
  return std::unique_ptr<NormGain>(std::move(norm));
}

void RefNormGain::apply(float* y, const float* x, float epsilon) const {
  for (size_t first = 0; first < gain.size(); first += static_cast<size_t>(width)) {
    double mean = 0, squares = 0;
    for (int64_t i = 0; i < width; ++i) mean += x[first + i];
    mean = kind == NormKind::layer ? mean / static_cast<double>(width) : 0.0;
    for (int64_t i = 0; i < width; ++i) squares += (x[first + i] - mean) * (x[first + i] - mean);
    const double inverse = 1.0 / std::sqrt(squares / static_cast<double>(width) + epsilon);
    for (int64_t i = 0; i < width; ++i) {
      const double shift = bias.empty() ? 0.0 : bias[first + i];
      y[first + i] = static_cast<float>((x[first + i] - mean) * inverse * gain[first + i] + shift);
    }
  }
}

void normalize_heads(float* x, int64_t count, const HeadNorm& norm, int64_t row) {
  const NormGain* gain = norm.gain;
  if (gain == nullptr) return;
  for (const NormSegment& segment : norm.segments) {
    if (row >= segment.row0 && row < segment.row0 + segment.rows) gain = segment.gain;
  }
  const auto& own = static_cast<const RefNormGain&>(*gain);
  const auto step = static_cast<int64_t>(own.gain.size());
  for (int64_t at = 0; at < count; at += step) own.apply(x + at, x + at, norm.epsilon);
}

void ReferenceBackend::norm(TensorView y, TensorView x, TensorView residual, const NormGain& gain,
                            float epsilon, std::span<const NormSegment> segments) {
  if (!step_.runs()) return;
  const auto row_width = static_cast<int64_t>(static_cast<const RefNormGain&>(gain).gain.size());
  size_t segment = 0;
  for (int64_t row = 0; row < x.rows; ++row) {
    while (segment < segments.size() && row >= segments[segment].row0 + segments[segment].rows) ++segment;
    const bool inside = segment < segments.size() && row >= segments[segment].row0;
    const float* in = f32(x) + row * row_width;
    if (!residual.empty()) {
      float* const sum = f32(residual) + row * row_width;
      for (int64_t i = 0; i < row_width; ++i) sum[i] += in[i];
      in = sum;
    }
    const NormGain& own = inside ? *segments[segment].gain : gain;
    static_cast<const RefNormGain&>(own).apply(f32(y) + row * row_width, in, epsilon);
  }
}

}  // namespace lorikeet::reference
