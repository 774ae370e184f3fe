#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

Status CpuBackend::reserve_sampling(const NetworkShape& shape) {
  sample_scratch_.clear();
  sample_scratch_.reserve(static_cast<size_t>(pool_.threads()));
  // One by one: a copy of one would lack its capacity, and grow in the pool's work.
  for (int thread = 0; thread < pool_.threads(); ++thread) sample_scratch_.emplace_back(shape.vocab);
  return {};
}

void CpuBackend::sample(TensorView logits, int32_t first) {
  if (!step_.runs()) return;
  const std::span<SampleResult> results = step_.results(first, logits.rows);
  const std::span<const SampleRow> rows = step_.input().samples.subspan(static_cast<size_t>(first));
  pool_.run(logits.rows, [&](int64_t item, int thread) {
    const auto row = static_cast<size_t>(item);
    sample_row(results[row], f32(logits) + item * logits.cols, vocab_of(rows[row], logits.cols), rows[row],
               sample_scratch_[static_cast<size_t>(thread)]);
  });
}

}  // namespace lorikeet::cpu
