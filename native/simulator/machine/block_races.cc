#include "simulator/machine/block_races.h"

#include <algorithm>

#include "simulator/machine/launch.h"

namespace lorikeet::simulator {

namespace {

struct Touch {
  uint32_t block;
  uint8_t bytes;  // of the word, as bits
  bool is_write, is_atomic;
};

bool is_handed_on(const Grid& grid, uint32_t writer, uint32_t reader) {
  return grid.published.contains(writer) && grid.published.contains(reader);
}

[[noreturn]] void refuse(const Grid& grid, uint64_t offset, uint32_t lane, const Touch& touch, uint32_t other,
                         const char* did) {
  const Dim& size = grid.shape.grid;
  std::string who = "other blocks";
  if (other != WordUse::kMany) {
    const uint32_t at = other - 1;
    who = "block (" + std::to_string(at % size.x) + ", " + std::to_string(at / size.x % size.y) + ", " +
          std::to_string(at / size.x / size.y) + ")";
  }
  std::string detail = std::string(touch.is_write ? "writes " : "reads ") + hex(kGlobalWindow + offset);
  const auto allocation = grid.memory->find(kGlobalWindow + offset);
  if (allocation) {
    detail += " (" + std::to_string(kGlobalWindow + offset - allocation->address) +
              " bytes into an allocation of " + std::to_string(allocation->bytes) + ")";
  }
  throw MachineFault{FaultKind::block_race, LaneMask{1} << lane,
                     detail + ", which " + who + " of the same launch " + did};
}

// Before griddepcontrol.wait, what the launch before wrote may not be there yet, and what it reads must stay.
void check_overlap(const Warp& warp, uint32_t lane, uint64_t offset, const WordUse& use, const Touch& touch) {
  const Grid& grid = warp.grid();
  const bool recent = use.launch + 1 == grid.launch;
  if (!grid.may_overlap || !recent || (warp.waited_for_launch >> lane & 1)) return;
  const bool clash = (use.written & touch.bytes) || (touch.is_write && (use.read & touch.bytes));
  if (!clash) return;
  throw MachineFault{FaultKind::launch_race, LaneMask{1} << lane,
                     std::string(touch.is_write ? "writes " : "reads ") + hex(kGlobalWindow + offset) +
                         " before griddepcontrol.wait, which the launch before " +
                         ((use.written & touch.bytes) ? "wrote" : "reads")};
}

void check(const Grid& grid, uint64_t offset, uint32_t lane, const WordUse& use, const Touch& touch) {
  const bool both_atomic = touch.is_atomic && use.atomically;
  if (use.writer != WordUse::kNobody && use.writer != touch.block && (use.written & touch.bytes) &&
      !both_atomic && !is_handed_on(grid, use.writer, touch.block)) {
    refuse(grid, offset, lane, touch, use.writer, "wrote");
  }
  if (touch.is_write && use.reader != WordUse::kNobody && use.reader != touch.block &&
      (use.read & touch.bytes)) {
    refuse(grid, offset, lane, touch, use.reader, "read");
  }
}

// Where blocks touch different bytes of a word only the newest is kept: a race may be missed, none is made
// up.
void remember(uint32_t& holder, uint8_t& held, const Touch& touch) {
  if (holder == touch.block) {
    held |= touch.bytes;
  } else if (holder == WordUse::kNobody || !(held & touch.bytes)) {
    holder = touch.block;
    held = touch.bytes;
  } else {
    holder = WordUse::kMany;
    held &= touch.bytes;
  }
}

void note_word(Warp& warp, uint32_t lane, uint64_t offset, WordUse& use, const Touch& touch) {
  const Grid& grid = warp.grid();
  if (use.launch != grid.launch) {
    check_overlap(warp, lane, offset, use, touch);
    use = WordUse{.launch = grid.launch};
  }
  check(grid, offset, lane, use, touch);
  if (touch.is_write) {
    use.atomically = touch.is_atomic && (use.writer == WordUse::kNobody || use.atomically);
    remember(use.writer, use.written, touch);
  } else {
    remember(use.reader, use.read, touch);
  }
}

// What changes nothing: the block has touched these bytes so before, and no other has written or will be met.
bool is_known(const WordUse& use, uint32_t launch, const Touch& touch) {
  if (use.launch != launch || touch.is_atomic) return false;
  if (touch.is_write) {
    return use.writer == touch.block && (touch.bytes & ~use.written) == 0 && !use.atomically &&
           (use.reader == touch.block || use.reader == WordUse::kNobody);
  }
  return (use.reader == touch.block || use.reader == WordUse::kMany) && (touch.bytes & ~use.read) == 0 &&
         (use.writer == touch.block || use.writer == WordUse::kNobody);
}

}  // namespace

void note_use(Warp& warp, uint32_t lane, uint64_t offset, const Access& access) {
  Grid& grid = warp.grid();
  if (access.is_atomic && grid.fenced) grid.published.insert(grid.block_number);
  Touch touch{grid.block_number, 15, access.is_write, access.is_atomic};
  // Aligned, so that less than a word lies in one.
  if (access.bytes < 4) touch.bytes = static_cast<uint8_t>(((1u << access.bytes) - 1) << (offset % 4));
  WordUse* use = grid.memory->uses(offset);
  for (uint32_t at = 0; at < access.bytes; at += 4, ++use) {
    if (!is_known(*use, grid.launch, touch)) note_word(warp, lane, offset + at, *use, touch);
  }
}

}  // namespace lorikeet::simulator
