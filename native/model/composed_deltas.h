// Several low-rank deltas of one module as one.
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "backend/interface/tensor.h"

namespace lorikeet {

// scale * (B diag(component_scale) A x + bias); without component_scale B A x.
struct LowRank {
  int32_t rank = 0;
  float scale = 1.0f;
  HostTensor a;                                 // [rank, in]
  HostTensor b;                                 // [out, rank]
  std::optional<HostTensor> bias = {};          // [out]
  std::span<const float> component_scale = {};  // [rank] or empty
};

// Owns what it makes.
class ComposedDeltas {
 public:
  // Of two at least, none of which has component_scale: A one below the other, B side by side.
  LowRank sum(std::span<const LowRank> deltas);
  // float32 [rows, cols], each row times its scale
  HostTensor scaled_rows(const HostTensor& matrix, std::span<const float> scale);

 private:
  // Elements of a deque stay where they are.
  std::deque<std::vector<std::byte>> matrices_;
  std::deque<std::vector<float>> values_;
};

}  // namespace lorikeet
