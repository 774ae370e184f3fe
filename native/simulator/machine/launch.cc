#include "simulator/machine/launch.h"

#include <algorithm>
#include <numeric>

namespace lorikeet::simulator {

namespace {

constexpr uint32_t kMaxSharedBytes = 227 * 1024;

// What the hardware would refuse before the first instruction.
std::optional<std::string> fault_of(const LaunchRequest& request) {
  const Dim &grid = request.shape.grid, &block = request.shape.block;
  const uint64_t shared = uint64_t{request.program.static_shared_bytes} + request.shape.dynamic_shared_bytes;
  if (grid.count() == 0 || block.count() == 0) return "a dimension is 0";
  if (grid.count() > 0x7fffffff) return "more than 2^31 - 1 blocks, which nobody would wait for here";
  if (grid.y > 65535 || grid.z > 65535) return "grid.y and grid.z end at 65,535";
  if (block.x > 1024 || block.y > 1024 || block.z > 64) return "a block has at most (1024, 1024, 64) threads";
  if (block.count() > request.program.max_threads) {
    return "a block of " + std::to_string(block.count()) + " threads, where the kernel is made for at most " +
           std::to_string(request.program.max_threads);
  }
  if (shared > kMaxSharedBytes)
    return std::to_string(shared) + " bytes of shared memory, where a block has 232,448";
  return std::nullopt;
}

FaultReport report_of(const MachineFault& fault, const Grid& grid, const Block& block) {
  FaultReport report;
  report.kind = fault.kind;
  report.kernel = grid.program->name;
  report.detail = fault.detail;
  report.line = block.running().current().line;
  report.instruction = grid.program->line_text(report.line);
  std::ranges::copy(grid.block_at, report.block);
  report.warp = block.running().index();
  report.lanes = fault.lanes;
  return report;
}

// The numbers of the blocks, in the order in which they run.
class BlockOrder {
 public:
  BlockOrder(uint64_t blocks, Order order, Chance& chance) : blocks_(blocks), order_(order) {
    if (order != Order::random) return;
    shuffled_.resize(blocks);
    std::iota(shuffled_.begin(), shuffled_.end(), 0);
    for (size_t i = blocks; i > 1; --i)
      std::swap(shuffled_[i - 1], shuffled_[chance.below(static_cast<uint32_t>(i))]);
  }
  uint32_t at(uint64_t turn) const {
    if (order_ == Order::random) return shuffled_[turn];
    return static_cast<uint32_t>(order_ == Order::reverse ? blocks_ - 1 - turn : turn);
  }

 private:
  uint64_t blocks_;
  Order order_;
  std::vector<uint32_t> shuffled_;
};

}  // namespace

// splitmix64
uint32_t Chance::below(uint32_t limit) {
  uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<uint32_t>((z ^ (z >> 31)) % limit);
}

LaunchResult launch(const LaunchRequest& request, DeviceMemory& memory, const Options& options) {
  LaunchResult result;
  if (const auto why = fault_of(request)) {
    result.fault.emplace();
    result.fault->kind = FaultKind::bad_launch;
    result.fault->kernel = request.program.name;
    result.fault->detail = *why;
    return result;
  }
  Grid grid{.program = &request.program,
            .memory = &memory,
            .shape = request.shape,
            .parameters = request.parameters,
            .options = options,
            .chance = Chance(options.seed + request.number),
            .counters = {},
            .launch = request.number,
            .may_overlap = request.may_overlap};
  Block block;
  block.prepare(request.program, grid);
  const Dim& size = request.shape.grid;
  try {
    const BlockOrder order(size.count(), options.order, grid.chance);
    for (uint64_t turn = 0; turn < size.count(); ++turn) {
      const uint32_t at = order.at(turn);
      grid.block_number = at + 1;
      grid.block_at = {at % size.x, at / size.x % size.y, at / size.x / size.y};
      grid.fenced = false;
      block.run(grid);
    }
  } catch (const MachineFault& fault) {
    result.fault = report_of(fault, grid, block);
  }
  result.counters = grid.counters;
  return result;
}

}  // namespace lorikeet::simulator
