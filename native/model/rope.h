#pragma once

#include "backend/interface/backend.h"
#include "model/model_config.h"

namespace lorikeet {

// Inverse frequencies and attention factor, to the float32 operation as Transformers' modeling_rope_utils.py
// computes them: at position p an error in inv_freq grows p-fold.
RopeDesc make_rope(const RopeConfig& config, int head_dim);

}  // namespace lorikeet
