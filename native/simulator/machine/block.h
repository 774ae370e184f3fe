#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "simulator/machine/shared_memory.h"
#include "simulator/machine/warp.h"

namespace lorikeet::simulator {

enum class Reduction : uint8_t { none, popc, all, any };

// A warp's step into a barrier.
struct Arrival {
  uint32_t barrier = 0;
  uint32_t threads = 0;  // as the instruction names them; 0: all of the block
  bool waits = true;     // false: bar.arrive
  Reduction reduction = Reduction::none;
  LaneMask holds = 0;  // of a reduction: the lanes whose predicate is true
};

class Block {
 public:
  void prepare(const Program& program, Grid& grid);
  // Runs the block that `grid` says to its end.
  void run(Grid& grid);

  SharedMemory& shared() { return shared_; }
  void arrive(Warp& warp, const Arrival& arrival);

  // The warp that ran last, for reports.
  const Warp& running() const { return warps_[running_]; }

 private:
  struct Barrier {
    uint32_t arrived = 0, waiting = 0;  // warps, as bits
    uint32_t threads = 0, expected = 0, line = 0;
    bool whole_block = true;
    Reduction reduction = Reduction::none;
    uint32_t count = 0;
    bool all = true, any = false;
  };

  void complete(Barrier& barrier);
  void give_result(Warp& warp, const Barrier& barrier) const;
  bool pick(Grid& grid);
  [[noreturn]] void refuse_deadlock() const;

  SharedMemory shared_;
  std::vector<Warp> warps_;
  std::array<Barrier, 16> barriers_;
  uint32_t running_ = 0, threads_ = 0;
};

}  // namespace lorikeet::simulator
