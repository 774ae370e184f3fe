#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "simulator/machine/fault.h"
#include "simulator/machine/memory.h"

namespace lorikeet::simulator {

// A static array of shared memory, and where it lies.
struct SharedArray {
  std::string name;
  uint32_t offset = 0, bytes = 0;
};

// Who touches: a lane of a warp.
struct Toucher {
  uint32_t warp = 0, lane = 0;
};

// The shared memory of one block, and who touched which word of it when.
//
// Races are found by vector clocks: a warp's own clock moves on at each barrier and each bar.warp.sync, and
// at a barrier all that meet there learn each other's. A touch is in order with another if the one who comes
// later had learned of the clock at which the other was.
class SharedMemory {
 public:
  // Arrays lie apart, with bytes between them that belong to none: what runs over an end is found out.
  // `dynamic` bytes come last.
  void prepare(const std::vector<SharedArray>& arrays, uint32_t dynamic_offset, uint32_t dynamic_bytes,
               uint32_t warps);
  // For the next block: all bytes uninitialised, all touches forgotten.
  void clear();

  uint32_t bytes() const { return static_cast<uint32_t>(data_.size()); }
  uint8_t* data(uint32_t offset) { return data_.data() + offset; }
  ByteState* states(uint32_t offset) { return states_.data() + offset; }

  // [offset, offset + bytes) lies within bytes() in both.
  void read(uint32_t offset, uint32_t bytes, Toucher who);
  void write(uint32_t offset, uint32_t bytes, Toucher who);

  void sync_warp(uint32_t warp) { ++own(warp); }
  void sync_warps(uint32_t mask);

  [[noreturn]] void refuse(uint32_t offset, uint32_t bytes, LaneMask lanes, bool is_write) const;

 private:
  struct Write {
    uint32_t clock = 0;
    uint8_t warp = 0, lane = 0, bytes = 0;
  };

  uint32_t& own(uint32_t warp) { return clocks_[warp * warps_ + warp]; }
  std::string place(uint32_t offset) const;
  void check_writer(const Write& write, uint32_t word, uint8_t bytes, Toucher who, const char* now) const;
  [[noreturn]] void refuse_race(uint32_t word, Toucher who, const char* now, Toucher other,
                                const char* then) const;

  std::vector<SharedArray> arrays_;
  uint32_t dynamic_offset_ = 0, dynamic_bytes_ = 0, warps_ = 1;
  std::vector<uint8_t> data_;
  std::vector<ByteState> states_, fresh_;
  std::vector<Write> writes_;    // one for each word
  std::vector<uint32_t> reads_;  // [word][warp]: the clock of its last read * 16 + which bytes
  std::vector<uint32_t>
      clocks_;  // [warp][of which warp]: what it has learned; at the start of a block all the same
};

}  // namespace lorikeet::simulator
