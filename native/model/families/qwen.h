// What the families of Qwen share.
#pragma once

#include "model/families/reader.h"

namespace lorikeet {

// The window of each layer. Off unless use_sliding_window says otherwise, whatever stands in sliding_window.
std::vector<int32_t> qwen_windows(ConfigReader& reader);

}  // namespace lorikeet
