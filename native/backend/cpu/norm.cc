#include <algorithm>
#include <cassert>

#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

Result<std::unique_ptr<NormGain>> CpuBackend::norm_create(const HostTensor& gain) {
  auto memory = copy_f32(gain);
  if (!memory) return out_of_memory("a norm's gain");
  auto result = std::make_unique<CpuNormGain>();
  result->gain = std::move(*memory);
  return std::unique_ptr<NormGain>(std::move(result));
}

void CpuBackend::norm(float* y, const float* x, float* residual, int64_t rows, const NormGain& gain,
                      float epsilon, std::span<const NormSegment> segments) {
  const Memory& base = static_cast<const CpuNormGain&>(gain).gain;
  const auto n = static_cast<int64_t>(base.bytes() / sizeof(float));
  for_rows(rows, n, [&](int64_t row, int) {
    const auto after = std::partition_point(segments.begin(), segments.end(),
                                            [&](const NormSegment& s) { return s.row0 + s.rows <= row; });
    const bool replaced = after != segments.end() && after->row0 <= row;
    const Memory& own = replaced ? static_cast<const CpuNormGain*>(after->gain)->gain : base;
    assert(own.bytes() == base.bytes());
    kernels_.norm_row({.y = y + row * n,
                       .x = x + row * n,
                       .residual = residual == nullptr ? nullptr : residual + row * n,
                       .gain = own.f32(),
                       .n = n,
                       .epsilon = epsilon});
  });
}

}  // namespace lorikeet::cpu
