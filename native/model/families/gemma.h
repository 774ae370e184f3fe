// What the families of Gemma share.
#pragma once

#include "model/families/reader.h"

namespace lorikeet {

// Llama's layer and frame with norms of (1 + w) and rows of the embedding times sqrt(hidden).
LayerOptions gemma_options(ConfigReader& reader);
void gemma_frame(ConfigReader& reader, const LayerOptions& options);
// Norms before and after both blocks (Gemma 2 and 3), and scores times query_pre_attn_scalar^-1/2.
Layer gemma_sandwich(ConfigReader& reader, int32_t index, const LayerOptions& options, double query_scalar);

}  // namespace lorikeet
