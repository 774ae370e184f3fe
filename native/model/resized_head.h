// What an adapter with a vocabulary of its own does to the base's output head.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "backend/interface/status.h"
#include "backend/interface/weights.h"

namespace lorikeet {

// Owns what had to be made; a deque's elements stay where they are.
class ResizedHead {
 public:
  // `whole` is made for outputs [0, tokens). The result is for those of the base, `outputs`: rows of more
  // tokens become replaced rows behind them, in float32 with the low-rank delta in them; where there are
  // fewer, zeros stand for the rest, which nobody reads. Refuses what a single row cannot say.
  Result<AdapterPartDesc> fit(const AdapterPartDesc& whole, int64_t tokens, int64_t outputs);

 private:
  Result<AdapterPartDesc> with_added_rows(const AdapterPartDesc& whole, int64_t tokens, int64_t outputs);
  AdapterPartDesc padded(const AdapterPartDesc& whole, int64_t outputs);
  // The first rows of the tensor, with zeros behind them where it has fewer.
  HostTensor rows_or_zeros(const HostTensor& tensor, int64_t rows);

  std::deque<std::vector<float>> values_;
  std::deque<std::vector<std::byte>> padded_;
};

}  // namespace lorikeet
