#include "backend/cpu/scratch.h"

#include <algorithm>

namespace lorikeet::cpu {

Status Scratch::reserve(size_t count) {
  if (count <= capacity()) return {};
  auto made = Memory::allocate(count * sizeof(float));
  if (!made) return Error{"out of memory for what steps work in", ErrorKind::out_of_memory};
  held_->fetch_add(made->bytes() - memory_.bytes());
  memory_ = std::move(*made);
  return {};
}

Status AdapterScratch::grow(const Needs& needs) {
  Block made(held_);
  // A run of rows is cut into as many pieces as it has whole ones, and one more.
  const int64_t runs = needs.sequences + needs.rows / kShrinkRows;
  if (Status s = made.shrunk.reserve(static_cast<size_t>(needs.rows * needs.rank)); !s) return s;
  if (Status s = made.items.reserve(static_cast<size_t>(runs * needs.run_items) * kItemFloats); !s) return s;
  next_.swap(made);
  needs_ = needs;
  fresh_ = true;
  return {};
}

Status AdapterScratch::reserve(const StepLimits& limits) {
  const std::lock_guard lock(mutex_);
  Needs needs = needs_;
  needs.rows = limits.rows;
  needs.sequences = limits.sequences;
  return grow(needs);
}

Status AdapterScratch::reserve_for(const CpuAdapterLinear& adapter) {
  int64_t run_items = 0;
  for (const auto& part : adapter.parts) {
    if (part) run_items += (part->rank + kShrinkRanks - 1) / kShrinkRanks;
  }
  const std::lock_guard lock(mutex_);
  if (adapter.rank_total <= needs_.rank && run_items <= needs_.run_items) return {};
  Needs needs = needs_;
  needs.rank = std::max<int64_t>(needs.rank, adapter.rank_total);
  needs.run_items = std::max(needs.run_items, run_items);
  return grow(needs);
}

void AdapterScratch::take() {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(fresh_, false)) return;
  now_.swap(next_);
  Block(held_).swap(next_);
}

}  // namespace lorikeet::cpu
