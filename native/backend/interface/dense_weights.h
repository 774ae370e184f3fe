// The reference backend's weights as plain numbers that may be changed in place, before the first step.
// The independent path of the parity check merges an adapter into them (model/dense_merge.h), so that no code
// of the low-rank path has a part in its answer. The objects must come from the reference backend.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "backend/interface/weights.h"

namespace lorikeet {

// One part of a linear map, quantized weights already turned back into numbers. A quantized map quantizes the
// activations, too, but not for what an adapter adds: that has a place of its own.
struct DenseLinear {
  std::span<float> weight;  // [n, k]
  std::span<float> added;   // [n, k], zero; empty when the map is not quantized: add to `weight`
  std::optional<std::vector<float>>& bias;  // [n]
  int64_t n = 0;
  int64_t k = 0;
};
DenseLinear dense_linear(Linear& linear, int part);
// One expert's map of gate and up, or its `down`.
Linear& dense_expert(Experts& experts, int expert, bool down);

// [V, H]. A table that was tied to the head becomes one of its own: an adapter may change either alone.
std::span<float> dense_table(Embedding& embedding);

// Of the model's embedding and head: both have so many tokens now, those that are new in zeros.
void resize_dense_vocabulary(Embedding& embedding, Linear& head, int64_t vocab);

struct DenseNorm {
  std::span<float> gain;  // with its offset
  std::span<float> bias;  // empty where there is none
};
DenseNorm dense_norm(NormGain& norm);

}  // namespace lorikeet
