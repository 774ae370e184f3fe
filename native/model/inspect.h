// What can be known of a checkpoint within a moment: its config.json and its tensors' names, no weights.
#pragma once

#include <string>
#include <vector>

#include "backend/interface/status.h"

namespace lorikeet {

// An error when the folder's network is not implemented or a tensor that it needs is missing.
Status inspect_checkpoint(const std::string& folder);

}  // namespace lorikeet
