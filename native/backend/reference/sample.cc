#include "backend/reference/backend.h"

namespace lorikeet::reference {

void ReferenceBackend::sample(std::span<SampleResult> results, const float* logits, int64_t vocab,
                              std::span<const SampleRow> rows) {
  SampleScratch scratch(vocab);
  for (size_t r = 0; r < rows.size(); ++r) {
    sample_row(results[r], logits + static_cast<int64_t>(r) * vocab, vocab, rows[r], scratch);
  }
}

}  // namespace lorikeet::reference
