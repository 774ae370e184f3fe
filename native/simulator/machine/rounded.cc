#include "simulator/machine/rounded.h"

#include <cfenv>

#include "simulator/machine/lanes.h"

namespace lorikeet::simulator {

namespace {

class RoundingMode {
 public:
  explicit RoundingMode(int mode) : before_(std::fegetround()) { std::fesetround(mode); }
  ~RoundingMode() { std::fesetround(before_); }
  RoundingMode(const RoundingMode&) = delete;
  RoundingMode& operator=(const RoundingMode&) = delete;

 private:
  int before_;
};

float compute(RoundedOp op, float a, float b, float c) {
  // Through memory, so that nothing is computed before the mode is set or after it was left.
  volatile float x = a, y = b, z = c;
  switch (op) {
    case RoundedOp::add:
      return x + y;
    case RoundedOp::subtract:
      return x - y;
    case RoundedOp::multiply:
      return x * y;
    case RoundedOp::divide:
      return x / y;
    case RoundedOp::fused:
      return std::fma(x, y, z);
  }
  return 0;
}

template <RoundedOp kOp, int kMode>
void rounded_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const uint32_t *a = warp.lanes<uint32_t>(instruction.row[1]), *b = warp.lanes<uint32_t>(instruction.row[2]),
                 *c = warp.lanes<uint32_t>(instruction.row[kOp == RoundedOp::fused ? 3 : 2]);
  uint32_t out[Warp::kLanes];
  {
    const RoundingMode mode(kMode);
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      const volatile float result = compute(kOp, std::bit_cast<float>(a[lane]), std::bit_cast<float>(b[lane]),
                                            std::bit_cast<float>(c[lane]));
      out[lane] = std::bit_cast<uint32_t>(static_cast<float>(result));
    }
  }
  warp.store(warp.lanes<uint32_t>(instruction.row[0]), out, mask);
}

template <RoundedOp kOp>
Handler by_rounding(std::string_view rounding) {
  if (rounding == "rz") return rounded_lanes<kOp, FE_TOWARDZERO>;
  if (rounding == "rm") return rounded_lanes<kOp, FE_DOWNWARD>;
  return rounded_lanes<kOp, FE_UPWARD>;
}

}  // namespace

Handler rounded_handler(RoundedOp op, std::string_view rounding, bool ftz, bool sat) {
  if (ftz || sat) return nullptr;  // no kernel has asked for both
  switch (op) {
    case RoundedOp::add:
      return by_rounding<RoundedOp::add>(rounding);
    case RoundedOp::subtract:
      return by_rounding<RoundedOp::subtract>(rounding);
    case RoundedOp::multiply:
      return by_rounding<RoundedOp::multiply>(rounding);
    case RoundedOp::divide:
      return by_rounding<RoundedOp::divide>(rounding);
    case RoundedOp::fused:
      return by_rounding<RoundedOp::fused>(rounding);
  }
  return nullptr;
}

}  // namespace lorikeet::simulator
