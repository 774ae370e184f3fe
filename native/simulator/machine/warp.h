#pragma once
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#include "simulator/machine/program.h"

namespace lorikeet::simulator {

class Block;
struct Grid;

// What a launch moved and did; sums over all warps.
struct Counters {
  uint64_t instructions = 0;  // of warps
  uint64_t lanes = 0;         // of threads
  uint64_t global_bytes_read = 0, global_bytes_written = 0;
  uint64_t global_sectors = 0;  // of 32 bytes: what the memory system moves for them at least
  uint64_t shared_accesses = 0;
  uint64_t bank_conflicts = 0;   // cycles beyond the first that shared accesses take
  uint64_t matrix_products = 0;  // mma
  uint64_t barriers = 0;
};

// Values of up to 32 bits take a word per lane, the others two.
template <typename T>
using Stored = std::conditional_t<sizeof(T) == 8, uint64_t, uint32_t>;

template <typename T>
T unpack(Stored<T> stored) {
  if constexpr (sizeof(T) >= 4) {
    return std::bit_cast<T>(stored);
  } else {
    return static_cast<T>(stored);
  }
}

template <typename T>
Stored<T> pack(T value) {
  if constexpr (sizeof(T) >= 4) {
    return std::bit_cast<Stored<T>>(value);
  } else {
    return static_cast<std::make_unsigned_t<T>>(value);
  }
}

enum class WarpState : uint8_t { ready, waiting, done };

// 32 threads and their registers. Lanes that took different ways are run one way after the other, until the
// point where the ways meet (the branch's immediate post-dominator).
class Warp {
 public:
  static constexpr uint32_t kLanes = 32;

  void prepare(const Program& program, Grid& grid, Block& block, uint32_t index);
  void start(LaneMask lanes);

  // Runs at most `quantum` instructions, or until it has to wait or ends.
  void run(uint64_t quantum);

  const Program& program() const { return *program_; }
  Grid& grid() const { return *grid_; }
  Block& block() const { return *block_; }
  Counters& counters() const { return *counters_; }
  uint32_t index() const { return index_; }
  WarpState state() const { return state_; }
  uint32_t pc() const { return pc_; }
  // The instruction that runs, or the last that did.
  const Instruction& current() const { return program_->code[last_pc_]; }

  LaneMask born() const { return born_; }      // the lanes that the block has
  LaneMask active() const { return active_; }  // those on the way that is run now
  LaneMask alive() const { return alive_; }    // those that have not exited

  template <typename T>
  Stored<T>* lanes(uint32_t row) {
    return reinterpret_cast<Stored<T>*>(registers_.data() + size_t{row} * kLanes);
  }
  uint32_t& predicate(uint32_t number) { return predicates_[number]; }

  // Writes 32 values where `mask` says so.
  template <typename S>
  void store(S* row, const S* values, LaneMask mask) {
    if (mask == kAllLanes) {
      std::memcpy(row, values, sizeof(S) * kLanes);
    } else {
      for (uint32_t lane = 0; lane < kLanes; ++lane) row[lane] = mask >> lane & 1 ? values[lane] : row[lane];
    }
  }

  void jump(const Instruction& branch, LaneMask taken);
  void call(const Instruction& instruction, LaneMask lanes);
  void leave_function(LaneMask lanes);
  void exit(LaneMask lanes);
  void wait() { state_ = WarpState::waiting; }
  void wake() { state_ = WarpState::ready; }

  // Local memory of a lane.
  uint8_t* local(uint32_t lane, uint32_t offset) {
    return local_.data() + lane * program_->local.size() + offset;
  }
  ByteState* local_states(uint32_t lane, uint32_t offset) {
    return local_states_.data() + lane * program_->local.size() + offset;
  }

  // cp.async: what a lane has begun to copy to shared memory and not waited for.
  struct Copy {
    uint32_t lane, group, to;
    const uint8_t* from;
    uint8_t bytes, read;  // to write; to read, the rest is zero
  };
  std::vector<Copy> copies;
  std::array<uint32_t, kLanes> copy_groups{};  // committed so far
  LaneMask waited_for_launch = 0;              // lanes that ran griddepcontrol.wait
  uint32_t barrier_result_row = kNowhere;      // of bar.red, while it waits

 private:
  struct Path {
    uint32_t pc, join;
    LaneMask lanes;
    bool is_return;  // the rest of a caller
  };

  void set_presets();
  void next_path();

  const Program* program_ = nullptr;
  Grid* grid_ = nullptr;
  Block* block_ = nullptr;
  Counters* counters_ = nullptr;
  uint32_t index_ = 0;
  WarpState state_ = WarpState::ready;
  uint32_t pc_ = 0, join_ = kNowhere, last_pc_ = 0;
  LaneMask born_ = 0, active_ = 0, alive_ = 0;
  std::vector<Path> paths_;  // those that wait, the next last
  std::vector<uint32_t> registers_;
  std::vector<uint32_t> predicates_;
  std::vector<uint8_t> local_;
  std::vector<ByteState> local_states_;
};

}  // namespace lorikeet::simulator
