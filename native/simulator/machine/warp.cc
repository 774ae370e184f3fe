#include "simulator/machine/warp.h"

#include <algorithm>

#include "simulator/machine/launch.h"

namespace lorikeet::simulator {

namespace {

uint64_t value_of(const Preset& preset, const Grid& grid, uint32_t warp, uint32_t lane) {
  const Dim& block = grid.shape.block;
  const uint32_t thread = warp * Warp::kLanes + lane;
  const LaneMask bit = LaneMask{1} << lane;
  switch (preset.special) {
    case Special::none:
      return preset.bits;
    case Special::tid_x:
      return thread % block.x;
    case Special::tid_y:
      return thread / block.x % block.y;
    case Special::tid_z:
      return thread / block.x / block.y;
    case Special::ntid_x:
      return block.x;
    case Special::ntid_y:
      return block.y;
    case Special::ntid_z:
      return block.z;
    case Special::ctaid_x:
      return grid.block_at[0];
    case Special::ctaid_y:
      return grid.block_at[1];
    case Special::ctaid_z:
      return grid.block_at[2];
    case Special::nctaid_x:
      return grid.shape.grid.x;
    case Special::nctaid_y:
      return grid.shape.grid.y;
    case Special::nctaid_z:
      return grid.shape.grid.z;
    case Special::laneid:
      return lane;
    case Special::warpid:
      return warp;
    case Special::nwarpid:
      return (block.count() + 31) / 32;
    case Special::smid:
      return grid.block_number % 132;
    case Special::nsmid:
      return 132;
    case Special::lanemask_eq:
      return bit;
    case Special::lanemask_le:
      return bit | (bit - 1);
    case Special::lanemask_lt:
      return bit - 1;
    case Special::lanemask_ge:
      return ~(bit - 1);
    case Special::lanemask_gt:
      return ~(bit | (bit - 1));
    case Special::dynamic_smem_size:
      return grid.shape.dynamic_shared_bytes;
    case Special::total_smem_size:
      return grid.program->static_shared_bytes + grid.shape.dynamic_shared_bytes;
  }
  return 0;
}

bool differs_by_block(Special special) {
  return special == Special::ctaid_x || special == Special::ctaid_y || special == Special::ctaid_z ||
         special == Special::smid;
}

}  // namespace

void Warp::prepare(const Program& program, Grid& grid, Block& block, uint32_t index) {
  program_ = &program;
  grid_ = &grid;
  block_ = &block;
  counters_ = &grid.counters;
  index_ = index;
  // Floats that nobody wrote are NaN.
  registers_.assign(size_t{program.rows} * kLanes, 0xffffffffu);
  predicates_.assign(program.predicates, 0);
  predicates_[0] = kAllLanes;
  local_.assign(program.local.size() * kLanes, 0xff);
  local_states_.resize(local_.size());
  for (const Preset& preset : program.presets) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      const uint64_t value = value_of(preset, grid, index, lane);
      preset.wide ? void(lanes<uint64_t>(preset.row)[lane] = value)
                  : void(lanes<uint32_t>(preset.row)[lane] = static_cast<uint32_t>(value));
    }
  }
}

void Warp::set_presets() {
  for (const Preset& preset : program_->presets) {
    if (!differs_by_block(preset.special)) continue;
    const auto value = static_cast<uint32_t>(value_of(preset, *grid_, index_, 0));
    std::fill_n(lanes<uint32_t>(preset.row), kLanes, value);
  }
}

void Warp::start(LaneMask lanes) {
  set_presets();
  if (!local_.empty()) {
    for (uint32_t lane = 0; lane < kLanes; ++lane) {
      std::ranges::copy(program_->local,
                        local_states_.begin() + static_cast<ptrdiff_t>(lane * program_->local.size()));
    }
  }
  state_ = WarpState::ready;
  pc_ = last_pc_ = program_->entry;
  join_ = kNowhere;
  born_ = active_ = alive_ = lanes;
  paths_.clear();
  copies.clear();
  copy_groups.fill(0);
  waited_for_launch = 0;
  barrier_result_row = kNowhere;
}

void Warp::run(uint64_t quantum) {
  const Instruction* const code = program_->code.data();
  uint64_t lanes = 0, count = 0;
  const auto settle = [&] {
    counters_->instructions += count;
    counters_->lanes += lanes;
  };
  try {
    while (count < quantum && state_ == WarpState::ready) {
      const Instruction& instruction = code[pc_];
      last_pc_ = pc_++;
      const LaneMask mask = active_ & (predicates_[instruction.guard] ^ instruction.guard_flip);
      ++count;
      if (mask != 0) {
        lanes += static_cast<uint64_t>(std::popcount(mask));
        instruction.run(*this, instruction, mask);
      }
      while (pc_ == join_ && state_ != WarpState::done) next_path();
    }
  } catch (...) {
    settle();
    throw;
  }
  settle();
}

void Warp::next_path() {
  const Path path = paths_.back();
  paths_.pop_back();
  pc_ = path.pc;
  join_ = path.join;
  active_ = path.lanes;
}

// The way that is run first ends where both meet; what waits there is the whole.
void Warp::jump(const Instruction& branch, LaneMask taken) {
  const LaneMask others = active_ & ~taken;
  if (others == 0) {
    pc_ = branch.target;
    return;
  }
  const uint32_t next = pc_;
  if (branch.join != kNowhere) paths_.push_back({branch.join, join_, active_, false});
  const Path jumped{branch.target, branch.join != kNowhere ? branch.join : join_, taken, false};
  const Path fell{next, jumped.join, others, false};
  const Order order = grid_->options.order;
  const bool jumped_first =
      order == Order::reverse || (order == Order::random && grid_->chance.below(2) == 1);
  paths_.push_back(jumped_first ? fell : jumped);
  paths_.push_back(jumped_first ? jumped : fell);
  next_path();
}

void Warp::call(const Instruction& instruction, LaneMask lanes) {
  paths_.push_back({pc_, join_, active_, true});
  pc_ = instruction.target;
  join_ = kNowhere;
  active_ = lanes;
}

// Lanes return together: those that do so first wait for the others of the call.
void Warp::leave_function(LaneMask lanes) {
  const auto is_return = [](const Path& path) { return path.is_return; };
  const auto frame = std::find_if(paths_.rbegin(), paths_.rend(), is_return);
  if (frame == paths_.rend()) return exit(lanes);
  for (auto path = paths_.rbegin(); path != frame; ++path) path->lanes &= ~lanes;
  active_ &= ~lanes;
  while (active_ == 0) next_path();
}

void Warp::exit(LaneMask lanes) {
  alive_ &= ~lanes;
  active_ &= ~lanes;
  for (Path& path : paths_) path.lanes &= ~lanes;
  while (active_ == 0 && !paths_.empty()) next_path();
  if (active_ == 0) state_ = WarpState::done;
}

}  // namespace lorikeet::simulator
