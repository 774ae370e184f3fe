#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "simulator/machine/block.h"
#include "simulator/machine/memory.h"
#include "simulator/machine/program.h"
#include "simulator/machine/warp.h"

namespace lorikeet::simulator {

// In which order blocks, warps and the two ways of a branch are run. A program that is right does not notice.
enum class Order : uint8_t { forward, reverse, random };

struct Options {
  Order order = Order::forward;
  uint64_t seed = 1;
  bool races = true;  // look for them: takes about a third of the time
  // Instructions of all warps of a launch after which it counts as one that does not end.
  uint64_t budget = uint64_t{20} << 30;
};

// A stream of numbers that differs from seed to seed and is the same on every machine.
class Chance {
 public:
  explicit Chance(uint64_t seed) : state_(seed) {}
  uint32_t below(uint32_t limit);

 private:
  uint64_t state_;
};

struct Dim {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t{x} * y * z; }
};

struct LaunchShape {
  Dim grid, block;
  uint32_t dynamic_shared_bytes = 0;
};

// One launch: what its warps share.
struct Grid {
  const Program* program;
  DeviceMemory* memory;
  LaunchShape shape;
  const uint8_t* parameters;
  Options options;
  Chance chance;
  Counters counters;
  uint32_t launch = 1;        // number of this launch
  bool may_overlap = false;   // with the launch before, until griddepcontrol.wait
  uint32_t block_number = 0;  // of the block that runs, + 1
  std::array<uint32_t, 3> block_at{};
  // Blocks that fenced and then did an atomic: what they wrote before may be read by others that did so too.
  std::unordered_set<uint32_t> published{};
  bool fenced = false;  // the block that runs
};

struct LaunchResult {
  Counters counters;
  std::optional<FaultReport> fault;
};

struct LaunchRequest {
  const Program& program;
  LaunchShape shape;
  const uint8_t* parameters;  // [program.parameter_bytes]
  uint32_t number;            // counts up from 1 over all launches on this memory
  bool may_overlap = false;
};

// Runs all blocks, one after the other. Stops at the first fault.
LaunchResult launch(const LaunchRequest& request, DeviceMemory& memory, const Options& options);

}  // namespace lorikeet::simulator
