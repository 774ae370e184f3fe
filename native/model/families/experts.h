// What families with experts share.
#pragma once

#include "model/families/reader.h"

namespace lorikeet {

struct ExpertOptions {
  int32_t experts = 0;
  int32_t chosen = 0;
  int32_t width = 0;  // of one
  bool renormalize = false;
};

// Experts in the place of a layer's MLP, by the names of Qwen's: router mlp.gate, experts mlp.experts.
void put_experts(ConfigReader& reader, Layer& layer, int32_t index, const ExpertOptions& options);
// A gated MLP `module` that all rows share.
void put_shared_expert(ConfigReader& reader, Layer& layer, const std::string& module, int32_t width);
// num_experts and the like, in either spelling; checked against what each row chooses.
ExpertOptions read_experts(ConfigReader& reader, const char* count_name, int32_t count, int32_t chosen);

}  // namespace lorikeet
