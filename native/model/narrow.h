// An adapter's matrices in fewer bits than its file has.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "backend/interface/tensor.h"

namespace lorikeet {

// float32 in bfloat16, to nearest, ties to even.
std::vector<uint16_t> to_bf16(const HostTensor& tensor);

// B A as a sum of `rank` outer products, column r of B times row r of A: both in integers of [-127, 127], and
// one float32 for the two. A sum over K needs no scale inside, then, and neither does one over the rank: it
// goes where the adapter's own scale goes.
struct Int8Factors {
  std::vector<int8_t> a;     // [rank, K]
  std::vector<int8_t> b;     // [n, rank]
  std::vector<float> scale;  // [rank]
};
// Of A or of B: the sum of all errors over the sum of all values, each component weighed by its other factor
// (large rows of A may stand beside small columns of B). Normally distributed values lose 0.010 in rows of a
// few thousand, and as much more as the largest is further out: 0.03 where that is 12 deviations.
constexpr double kLargestLoss = 0.03;

// a [rank, K], b [n, rank]. Nothing where a value is not finite, or the rounding loses more than
// kLargestLoss.
std::optional<Int8Factors> to_int8(const HostTensor& a, const HostTensor& b);

}  // namespace lorikeet
