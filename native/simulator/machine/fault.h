#pragma once
#include <cstdint>
#include <string>
#include <utility>

namespace lorikeet::simulator {

using LaneMask = uint32_t;
inline constexpr LaneMask kAllLanes = ~LaneMask{0};

// What a kernel did that no kernel may.
enum class FaultKind : uint8_t {
  out_of_bounds,
  use_after_free,
  misaligned,
  uninitialised,
  early_copy,  // cp.async data touched before its wait
  shared_race,
  block_race,
  launch_race,  // with a kernel before, past griddepcontrol
  divergent_barrier,
  mismatched_barrier,
  missing_lanes,  // a shuffle or vote names lanes that are not there
  deadlock,
  endless,
  bad_launch,
  trap,
};

std::string name_of(FaultKind kind);

// Thrown by whoever sees it first; the launch adds where it was.
struct MachineFault {
  FaultKind kind;
  LaneMask lanes = 0;
  std::string detail;
};

struct FaultReport {
  FaultKind kind = FaultKind::trap;
  std::string kernel, detail, instruction;
  uint32_t line = 0;  // of the PTX text
  uint32_t block[3] = {0, 0, 0};
  uint32_t warp = 0;
  LaneMask lanes = 0;

  std::string text() const;
};

// "0-3, 7"
std::string lanes_text(LaneMask lanes);
std::string hex(uint64_t value);

}  // namespace lorikeet::simulator
