// The product of coded weights (backend/interface/coded_weights.h) with activations in 8 bits, which a map
// takes where its LinearDesc says so and its codes allow it: integers of four bits, each group with a scale
// and either a zero or an offset.
//
// Inputs stand in an order in which those of a group are side by side (act-order is undone once, at load).
// Activations in that order are quantized as those of every quantized map (backend/shared/quantization.h),
// and runs end where a group of weights or a group of activations does. With S = sum of (code - zero) q_x and
// X = sum of q_x over a run, both exact,
//   y = sum over activation groups of scale_x * (sum over runs of float(S) * scale [+ float(X) * offset])
// each step a fused multiply-add, in ascending order.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/interface/weights.h"

namespace lorikeet {

// Groups are whole steps long, unless a row has only one.
constexpr int kCodedStep = 32;

// What of a map is multiplied so.
struct IntegerInputs {
  std::vector<bool> parts;  // by LinearDesc::parts
  // [K] which input stands where, the same for all these parts; empty: as they are
  std::vector<int32_t> order;

  bool any() const;
};
// Parts whose inputs would stand in another order than those of the first are left out.
IntegerInputs integer_inputs(const LinearDesc& desc);

}  // namespace lorikeet
