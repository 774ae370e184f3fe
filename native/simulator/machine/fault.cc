#include "simulator/machine/fault.h"

#include <array>
#include <cstdio>

namespace lorikeet::simulator {

std::string name_of(FaultKind kind) {
  constexpr std::array<const char*, 15> names{
      "out-of-bounds access",
      "use after free",
      "misaligned access",
      "read of uninitialised memory",
      "cp.async data touched before its wait",
      "race on shared memory",
      "race between blocks",
      "race with the launch before",
      "barrier in divergent code",
      "barrier met at different lines",
      "lanes named that are not there",
      "deadlock",
      "a kernel that does not end",
      "launch that no device takes",
      "trap",
  };
  return names[static_cast<size_t>(kind)];
}

std::string hex(uint64_t value) {
  std::array<char, 20> text{};
  std::snprintf(text.data(), text.size(), "0x%llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::string lanes_text(LaneMask lanes) {
  std::string text;
  for (int lane = 0; lane < 32; ++lane) {
    if (!(lanes >> lane & 1)) continue;
    int last = lane;
    while (last < 31 && (lanes >> (last + 1) & 1)) ++last;
    if (!text.empty()) text += ", ";
    text += std::to_string(lane);
    if (last > lane) text += "-" + std::to_string(last);
    lane = last;
  }
  return text.empty() ? "none" : text;
}

std::string FaultReport::text() const {
  std::string text = "simulator: " + name_of(kind) + "\n  kernel " + kernel;
  if (line > 0) text += "\n  line " + std::to_string(line) + ": " + instruction;
  text += "\n  block (" + std::to_string(block[0]) + ", " + std::to_string(block[1]) + ", " +
          std::to_string(block[2]) + ")";
  if (line > 0) text += ", warp " + std::to_string(warp) + ", lanes " + lanes_text(lanes);
  return text + "\n  " + detail + "\n";
}

}  // namespace lorikeet::simulator
