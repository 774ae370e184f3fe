// What can be known of a checkpoint within a moment: its config.json and its tensors' names, no weights.
#pragma once

#include <string>
#include <vector>

#include "backend/interface/status.h"
#include "backend/interface/weights.h"
#include "model/features.h"

namespace lorikeet {

// What an engine has to know before it decides on sizes.
struct CheckpointSummary {
  int32_t max_positions = 0;
  std::vector<KvLayer> kv_layers;  // what each layer keeps of a token
  NetworkFeatures features;
  std::string quantization;  // how the checkpoint itself keeps its linear maps; "none" where they are plain
};

// An error when the folder's network is not implemented or a tensor that it needs is missing.
Result<CheckpointSummary> inspect_checkpoint(const std::string& folder);

}  // namespace lorikeet
