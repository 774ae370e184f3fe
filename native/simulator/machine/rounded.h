#pragma once
#include <string_view>

#include "simulator/machine/program.h"

namespace lorikeet::simulator {

// f32 arithmetic rounded toward zero (.rz), down (.rm) or up (.rp). A unit of its own: it is compiled to
// expect that the processor's rounding changes.
enum class RoundedOp : uint8_t { add, subtract, multiply, fused, divide };

Handler rounded_handler(RoundedOp op, std::string_view rounding, bool ftz, bool sat);

}  // namespace lorikeet::simulator
