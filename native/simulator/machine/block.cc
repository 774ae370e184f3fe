#include "simulator/machine/block.h"

#include <bit>

#include "simulator/machine/launch.h"

namespace lorikeet::simulator {

namespace {

constexpr uint64_t kLongQuantum = 1 << 16;

LaneMask lanes_of_warp(uint64_t threads, uint32_t warp) {
  const uint64_t left = threads - uint64_t{warp} * Warp::kLanes;
  return left >= Warp::kLanes ? kAllLanes : (LaneMask{1} << left) - 1;
}

}  // namespace

void Block::prepare(const Program& program, Grid& grid) {
  threads_ = static_cast<uint32_t>(grid.shape.block.count());
  warps_ = std::vector<Warp>((threads_ + Warp::kLanes - 1) / Warp::kLanes);
  shared_.prepare(program.shared_arrays, program.dynamic_shared_offset, grid.shape.dynamic_shared_bytes,
                  static_cast<uint32_t>(warps_.size()));
  for (uint32_t i = 0; i < warps_.size(); ++i) warps_[i].prepare(program, grid, *this, i);
}

void Block::run(Grid& grid) {
  shared_.clear();
  barriers_.fill({});
  for (uint32_t i = 0; i < warps_.size(); ++i) warps_[i].start(lanes_of_warp(threads_, i));
  while (pick(grid)) {
    const bool random = grid.options.order == Order::random;
    warps_[running_].run(random ? 1 + grid.chance.below(200) : kLongQuantum);
    if (grid.counters.instructions > grid.options.budget) {
      throw MachineFault{FaultKind::endless, warps_[running_].active(),
                         "more than " + std::to_string(grid.options.budget) + " instructions"};
    }
  }
}

// The next warp that can run. A warp that used up its time gives way to the others.
bool Block::pick(Grid& grid) {
  const auto count = static_cast<uint32_t>(warps_.size());
  const Order order = grid.options.order;
  const uint32_t skip = order == Order::random ? grid.chance.below(count) : 0;
  bool all_done = true;
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t at = (running_ + 1 + skip + i) % count;
    if (order == Order::reverse) at = (running_ + 2 * count - 1 - i) % count;
    if (warps_[at].state() == WarpState::ready) {
      running_ = at;
      return true;
    }
    all_done &= warps_[at].state() == WarpState::done;
  }
  if (!all_done) refuse_deadlock();
  return false;
}

void Block::arrive(Warp& warp, const Arrival& arrival) {
  Barrier& barrier = barriers_[arrival.barrier];
  const uint32_t bit = 1u << warp.index(), line = warp.current().line;
  const uint32_t expected =
      arrival.threads != 0 ? arrival.threads : static_cast<uint32_t>(warps_.size()) * 32;
  const std::string name = "barrier " + std::to_string(arrival.barrier);
  if (barrier.arrived == 0) {
    barrier = {};
    barrier.expected = expected;
    barrier.whole_block = arrival.threads == 0;
    barrier.line = line;
    barrier.reduction = arrival.reduction;
  }
  if (barrier.expected != expected || barrier.reduction != arrival.reduction ||
      (barrier.whole_block && barrier.line != line)) {
    throw MachineFault{FaultKind::mismatched_barrier, warp.active(),
                       name + " is met here, and by another warp at line " + std::to_string(barrier.line)};
  }
  if (barrier.arrived & bit) {
    throw MachineFault{FaultKind::mismatched_barrier, warp.active(), name + " is met twice by one warp"};
  }
  barrier.arrived |= bit;
  barrier.threads += Warp::kLanes;
  barrier.count += static_cast<uint32_t>(std::popcount(arrival.holds));
  barrier.all &= arrival.holds == warp.born();
  barrier.any |= arrival.holds != 0;
  if (arrival.waits) {
    barrier.waiting |= bit;
    warp.wait();
  }
  if (barrier.threads >= barrier.expected) complete(barrier);
}

void Block::complete(Barrier& barrier) {
  shared_.sync_warps(barrier.arrived);
  for (Warp& warp : warps_) {
    if (!(barrier.waiting >> warp.index() & 1)) continue;
    give_result(warp, barrier);
    warp.wake();
    ++warp.counters().barriers;
  }
  barrier = {};
}

void Block::give_result(Warp& warp, const Barrier& barrier) const {
  const uint32_t row = warp.barrier_result_row;
  if (row == kNowhere || barrier.reduction == Reduction::none) return;
  if (barrier.reduction == Reduction::popc) {
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) warp.lanes<uint32_t>(row)[lane] = barrier.count;
  } else {
    const bool holds = barrier.reduction == Reduction::all ? barrier.all : barrier.any;
    warp.predicate(row) = holds ? kAllLanes : 0;
  }
  warp.barrier_result_row = kNowhere;
}

void Block::refuse_deadlock() const {
  std::string who;
  LaneMask lanes = 0;
  for (const Warp& warp : warps_) {
    if (!who.empty()) who += "; ";
    who += "warp " + std::to_string(warp.index());
    if (warp.state() == WarpState::done) {
      who += " has ended";
    } else {
      who += " waits at line " + std::to_string(warp.current().line);
      lanes |= warp.active();
    }
  }
  throw MachineFault{FaultKind::deadlock, lanes, "no warp can go on: " + who};
}

}  // namespace lorikeet::simulator
