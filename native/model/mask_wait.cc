#include "model/mask_wait.h"

#include <atomic>
#include <thread>

namespace lorikeet {

namespace {

enum class Mask { pending, ready, refused };

Mask look(int32_t& number, int32_t wanted) {
  const int32_t now = std::atomic_ref<int32_t>(number).load(std::memory_order_acquire);
  if (now == wanted) return Mask::ready;
  return now == -wanted ? Mask::refused : Mask::pending;
}

// Short beside a step, long enough that the thread that makes masks gets its core.
constexpr std::chrono::microseconds kPause{20};

}  // namespace

bool MaskWait::wait_for(int32_t& number, int32_t wanted) {
  Mask mask = look(number, wanted);
  if (mask == Mask::pending && left_.count() > 0) {
    const auto start = std::chrono::steady_clock::now();
    std::chrono::nanoseconds waited{0};
    while (mask == Mask::pending && waited < left_) {
      std::this_thread::sleep_for(kPause);
      mask = look(number, wanted);
      waited = std::chrono::steady_clock::now() - start;
    }
    left_ -= waited;
  }
  return mask == Mask::ready;
}

void MaskWait::take(const StepPlan& plan, int32_t first, std::span<SampleRow> rows) {
  if (plan.mask_slot.empty()) return;
  const MaskSlots& masks = plan.masks;
  const auto words = static_cast<size_t>(masks.words);
  for (size_t row = 0; row < rows.size(); ++row) {
    const int32_t slot = plan.mask_slot[static_cast<size_t>(first) + row];
    if (slot < 0) continue;
    const int32_t wanted = plan.mask_number[static_cast<size_t>(first) + row];
    rows[row].skipped = !wait_for(masks.numbers[slot], wanted);
    rows[row].allowed = {masks.masks + static_cast<size_t>(slot) * words, words};
  }
}

}  // namespace lorikeet
