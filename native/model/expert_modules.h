// What adapters may change of a layer's experts, by name. Not in list_modules: a layer has hundreds of
// experts, and their weights are loaded as one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "model/network.h"

namespace lorikeet {

struct ExpertModule {
  size_t layer = 0;
  // Those whose weight it is: one, `stem`N.gate, or in a stack all of the layer, `stem` and the fused name.
  int first = 0;
  int count = 1;
  bool stacked = false;
  bool down = false;            // of the map of gate and up otherwise
  int part = 0;                 // of that map: its first
  std::vector<PartRows> parts;  // rows of the module
  int64_t out = 0;              // of one expert
  int64_t in = 0;
};

// None where the network has no expert by that name.
std::optional<ExpertModule> find_expert_module(const Network& network, const std::string& name);

}  // namespace lorikeet
