// What Qwen3-Next and Qwen3.5 share: three layers of four are gated delta nets, the others attention whose
// output is gated by a second half of q_proj.
#pragma once

#include <vector>

#include "model/families/reader.h"

namespace lorikeet {

struct NextOptions {
  LayerOptions layer;
  std::vector<bool> recurrent;  // by layer
  DeltaNet net;                 // its heads
};

// After read_dimensions.
NextOptions read_next(ConfigReader& reader);
// Embedding, rope, final norm and head, and what of the checkpoint is not the text model's.
void next_frame(ConfigReader& reader, const NextOptions& options);
// A layer with a dense MLP. The delta net's projections are one module for each key head's q, k, v and z, and
// one for b and a; or, `apart`, four modules.
Layer next_layer(const ConfigReader& reader, int32_t index, const NextOptions& options, bool apart);

}  // namespace lorikeet
