// Element types of weights and KV pages as they lie in memory. Registers hold float32 only.
#pragma once

#include <cstdint>

namespace lorikeet::cpu {

struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};

}  // namespace lorikeet::cpu
