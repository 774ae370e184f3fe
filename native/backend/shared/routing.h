// Which experts a token goes to, and with what weights. Shared by the backends on host memory, like sampling.
#pragma once

#include <cstdint>
#include <span>

#include "backend/interface/backend.h"

namespace lorikeet {

struct ChosenExpert {
  int32_t expert = 0;
  float weight = 0;
};

// chosen [desc.chosen], best first (a tie goes to the lower expert), from one row's logits [desc.experts].
// Depends on nothing else. Arithmetic in float64, so that all backends choose alike.
void route(std::span<ChosenExpert> chosen, const float* logits, const RouterDesc& desc);

}  // namespace lorikeet
