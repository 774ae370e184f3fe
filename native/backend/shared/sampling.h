// Choosing a token from a row of logits: one implementation for every backend whose logits are in host
// memory.
//
// Order of the rules, as in vLLM: log-probabilities are of the raw logits; then the mask of allowed tokens;
// logit bias; repetition, presence and frequency penalties; temperature; min-p; top-k; top-p; the draw. A
// function of the row and its parameters alone.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "backend/interface/step.h"

namespace lorikeet {

// Working memory of one thread; allocated once for the vocabulary.
class SampleScratch {
 public:
  explicit SampleScratch(int64_t vocab);
  size_t bytes() const {
    return logits.capacity() * sizeof(float) + candidates.capacity() * sizeof(Candidate);
  }

  struct Candidate {
    double weight;  // exp((logit - max) / temperature): unnormalised probability
    int32_t token;
  };
  std::vector<float> logits;          // [V]
  std::vector<Candidate> candidates;  // capacity V
};

// How many of a row's logits there are for it.
inline int64_t vocab_of(const SampleRow& row, int64_t logits) {
  return row.vocab == 0 ? logits : row.vocab;
}

// logits [vocab], read only.
void sample_row(SampleResult& result, const float* logits, int64_t vocab, const SampleRow& row,
                SampleScratch& scratch);

// Philox4x32-10 (Salmon et al. 2011): the random bits number `counter` of stream `seed`.
std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> counter);
// The draw's uniform number in [0, 1), 53 bits.
double uniform(uint64_t seed, uint64_t counter);

}  // namespace lorikeet
