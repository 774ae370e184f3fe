// Takes the masks of sampled rows from where a thread of the host puts them while the step runs.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "model/step_plan.h"

namespace lorikeet {

// A mask is usually there long before the logits are. One that is not is waited for a little, as its row
// would have to be computed once more; but all other rows wait too, so the patience is one for the whole
// step, and rows without their mask then are skipped.
class MaskWait {
 public:
  static constexpr std::chrono::microseconds kPatience{2000};

  explicit MaskWait(std::chrono::microseconds patience = kPatience) : patience_(patience) {}

  // Of a step.
  void begin() { left_ = patience_; }
  // rows: the sampled rows of a checked plan from `first`.
  void take(const StepPlan& plan, int32_t first, std::span<SampleRow> rows);

 private:
  bool wait_for(int32_t& number, int32_t wanted);

  std::chrono::microseconds patience_;
  std::chrono::nanoseconds left_{0};
};

}  // namespace lorikeet
