#include <algorithm>
#include <cassert>

#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

Result<std::unique_ptr<NormGain>> CpuBackend::norm_create(const NormDesc& desc) {
  auto norm = std::make_unique<CpuNormGain>();
  norm->kind = desc.kind;
  norm->width = desc.width;
  norm->copies = desc.copies;
  const int64_t count = norm->row_width();
  assert(!desc.gain || desc.gain->rows * desc.gain->cols == count);
  assert(!desc.bias || desc.bias->rows * desc.bias->cols == count);
  auto gain = desc.gain ? copy_f32(*desc.gain) : Memory::allocate(static_cast<size_t>(count) * sizeof(float));
  if (!gain) return out_of_memory("a norm's gain");
  if (!desc.gain) std::fill_n(gain->f32(), count, 1.0f);
  if (desc.offset != 0.0f) {
    for (int64_t i = 0; i < count; ++i) gain->f32()[i] += desc.offset;
  }
  norm->gain = std::move(*gain);
  if (desc.bias) {
    auto bias = copy_f32(*desc.bias);
    if (!bias) return out_of_memory("a norm's bias");
    norm->bias = std::move(*bias);
  }
  return std::unique_ptr<NormGain>(std::move(norm));
}

const CpuNormGain& CpuBackend::gain_of_row(const NormGain& base, std::span<const NormSegment> segments,
                                           int64_t row) {
  const auto after = std::partition_point(segments.begin(), segments.end(),
                                          [&](const NormSegment& s) { return s.row0 + s.rows <= row; });
  const bool replaced = after != segments.end() && after->row0 <= row;
  return static_cast<const CpuNormGain&>(replaced ? *after->gain : base);
}

void CpuBackend::normalize(const CpuNormGain& norm, float* y, const float* x, float* residual,
                           float epsilon) const {
  const auto run = norm.kind == NormKind::rms ? kernels_.norm_row : kernels_.layer_norm_row;
  for (int64_t first = 0; first < norm.row_width(); first += norm.width) {
    run({.y = y + first,
         .x = x + first,
         .residual = residual == nullptr ? nullptr : residual + first,
         .gain = norm.gain.f32() + first,
         .bias = norm.bias.empty() ? nullptr : norm.bias.f32() + first,
         .n = norm.width,
         .epsilon = epsilon});
  }
}

void CpuBackend::norm(TensorView y, TensorView x, TensorView residual, const NormGain& gain, float epsilon,
                      std::span<const NormSegment> segments) {
  if (!step_.runs()) return;
  const int64_t n = static_cast<const CpuNormGain&>(gain).row_width();
  float* const to = f32(y);
  const float* const from = f32(x);
  float* const sum = f32(residual);
  for_rows(x.rows, n, [&](int64_t row, int) {
    const CpuNormGain& own = gain_of_row(gain, segments, row);
    assert(own.row_width() == n);
    normalize(own, to + row * n, from + row * n, sum == nullptr ? nullptr : sum + row * n, epsilon);
  });
}

}  // namespace lorikeet::cpu
