// Element types of weights and KV pages as they lie in memory; I8 means scale * bits, the scale elsewhere.
// Registers hold float32 only.
#pragma once

#include <cstdint>

namespace lorikeet::cpu {

struct F16 {
  uint16_t bits;
};
struct BF16 {
  uint16_t bits;
};
struct I8 {
  int8_t bits;
};

}  // namespace lorikeet::cpu
