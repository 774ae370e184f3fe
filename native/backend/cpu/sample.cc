#include <cassert>
#include <utility>

#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {

void CpuBackend::sample(std::span<SampleResult> results, const float* logits, int64_t vocab,
                        std::span<const SampleRow> rows) {
  assert(results.size() == rows.size());
  if (vocab != sample_vocab_) {
    sample_scratch_.clear();
    scratch_bytes_.fetch_sub(std::exchange(sample_bytes_, 0));
    // One by one: a copy of one would lack its capacity, and grow in the pool's work.
    for (int thread = 0; thread < pool_.threads(); ++thread) sample_scratch_.emplace_back(vocab);
    for (const SampleScratch& scratch : sample_scratch_) sample_bytes_ += scratch.bytes();
    scratch_bytes_.fetch_add(sample_bytes_);
    sample_vocab_ = vocab;
  }
  pool_.run(static_cast<int64_t>(rows.size()), [&](int64_t item, int thread) {
    const auto row = static_cast<size_t>(item);
    sample_row(results[row], logits + item * vocab, vocab, rows[row],
               sample_scratch_[static_cast<size_t>(thread)]);
  });
}

}  // namespace lorikeet::cpu
