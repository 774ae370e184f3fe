// Merges an adapter densely into the weights of the reference backend: W' = W + s B A, DoRA's magnitudes on
// its rows, replaced weights, biases and rows. Shares no code with the low-rank path (adapter.cc and the
// backends' adapter operations), which it exists to check, but for the rounding of narrow.h: what the adapter
// is kept in is no difference.
#pragma once

#include <string>

#include "model/adapter.h"
#include "model/weights.h"

namespace lorikeet {

// `changes_json`: DenseChange[] of libs/contracts/src/parity.ts, tensors by their names in the safetensors
// file. Refuses a module that the base lacks and a tensor that is missing or has another number of elements.
// After an error the weights are neither the base's nor the adapter's.
Status merge_dense(Weights& weights, const Network& network, const std::vector<Module>& base_modules,
                   const std::string& weights_path, const std::string& changes_json,
                   AdapterType type = AdapterType::stored);

}  // namespace lorikeet
