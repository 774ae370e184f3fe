// What the families of Qwen share.
#pragma once

#include "model/families/experts.h"

namespace lorikeet {

// The window of each layer. Off unless use_sliding_window says otherwise, whatever stands in sliding_window.
std::vector<int32_t> qwen_windows(ConfigReader& reader);
// Which layers have experts: every decoder_sparse_step-th, those of mlp_only_layers aside.
std::vector<bool> qwen_sparse_layers(ConfigReader& reader);
// Experts in the place of a layer's MLP, and one of width `shared` that all rows share, scaled by a gate of
// its own.
void put_qwen_experts(ConfigReader& reader, Layer& layer, int32_t index, const ExpertOptions& options,
                      int32_t shared);

}  // namespace lorikeet
