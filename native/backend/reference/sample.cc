#include "backend/reference/backend.h"

namespace lorikeet::reference {

void ReferenceBackend::sample(TensorView logits, int32_t first) {
  if (!step_.runs()) return;
  const std::span<SampleResult> results = step_.results(first, logits.rows);
  for (size_t r = 0; r < results.size(); ++r) {
    const SampleRow& row = step_.input().samples[static_cast<size_t>(first) + r];
    sample_row(results[r], f32(logits) + static_cast<int64_t>(r) * logits.cols, vocab_of(row, logits.cols),
               row, *sampling_);
  }
}

}  // namespace lorikeet::reference
