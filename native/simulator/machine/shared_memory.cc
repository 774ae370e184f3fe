#include "simulator/machine/shared_memory.h"

#include <algorithm>
#include <cstring>

namespace lorikeet::simulator {

namespace {

// Which bytes of `word` lie in [offset, offset + bytes), as bits.
uint8_t bytes_in_word(uint32_t word, uint32_t offset, uint32_t bytes) {
  const uint32_t first = std::max(offset, word * 4) - word * 4;
  const uint32_t last = std::min(offset + bytes, word * 4 + 4) - word * 4;
  return static_cast<uint8_t>(((1u << last) - 1) & ~((1u << first) - 1));
}

}  // namespace

void SharedMemory::prepare(const std::vector<SharedArray>& arrays, uint32_t dynamic_offset,
                           uint32_t dynamic_bytes, uint32_t warps) {
  arrays_ = arrays;
  dynamic_offset_ = dynamic_offset;
  dynamic_bytes_ = dynamic_bytes;
  warps_ = warps;
  const size_t size = (dynamic_offset + dynamic_bytes + 3) / 4 * 4;
  data_.assign(size, 0xff);
  fresh_.assign(size, ByteState::none);
  for (const SharedArray& array : arrays)
    std::fill_n(fresh_.begin() + array.offset, array.bytes, ByteState::raw);
  std::fill_n(fresh_.begin() + dynamic_offset, dynamic_bytes, ByteState::raw);
  states_ = fresh_;
  writes_.assign(size / 4, {});
  reads_.assign(size / 4 * warps, 0);
  clocks_.assign(size_t{warps} * warps, 0);
  for (uint32_t warp = 0; warp < warps; ++warp) own(warp) = 1;
}

// Clocks only ever grow: whatever the blocks before touched is older than what everybody has learned.
void SharedMemory::clear() {
  const uint32_t newest = *std::max_element(clocks_.begin(), clocks_.end());
  if (newest >= (1u << 27)) {
    prepare(std::vector<SharedArray>(arrays_), dynamic_offset_, dynamic_bytes_, warps_);
    return;
  }
  std::fill(data_.begin(), data_.end(), 0xff);
  std::copy(fresh_.begin(), fresh_.end(), states_.begin());
  std::fill(clocks_.begin(), clocks_.end(), newest);
  for (uint32_t warp = 0; warp < warps_; ++warp) own(warp) = newest + 1;
}

void SharedMemory::check_writer(const Write& write, uint32_t word, uint8_t bytes, Toucher who,
                                const char* now) const {
  if (!(write.bytes & bytes)) return;
  const bool in_order = write.warp == who.warp
                            ? write.lane == who.lane || write.clock < clocks_[who.warp * warps_ + who.warp]
                            : write.clock <= clocks_[who.warp * warps_ + write.warp];
  if (!in_order) refuse_race(word, who, now, {write.warp, write.lane}, "wrote it");
}

void SharedMemory::read(uint32_t offset, uint32_t bytes, Toucher who) {
  for (uint32_t word = offset / 4; word * 4 < offset + bytes; ++word) {
    const uint8_t touched = bytes >= 4 ? 15 : bytes_in_word(word, offset, bytes);
    const Write& write = writes_[word];
    if (write.clock != 0) check_writer(write, word, touched, who, "reads");
    uint32_t& mine = reads_[size_t{word} * warps_ + who.warp];
    const uint32_t stamp = own(who.warp) << 4;
    mine = (mine & ~15u) == stamp ? mine | touched : stamp | touched;
  }
}

void SharedMemory::write(uint32_t offset, uint32_t bytes, Toucher who) {
  const uint32_t* learned = &clocks_[size_t{who.warp} * warps_];
  for (uint32_t word = offset / 4; word * 4 < offset + bytes; ++word) {
    const uint8_t touched = bytes >= 4 ? 15 : bytes_in_word(word, offset, bytes);
    Write& last = writes_[word];
    if (last.clock != 0) check_writer(last, word, touched, who, "writes");
    const uint32_t* readers = &reads_[size_t{word} * warps_];
    bool clash = false;
    for (uint32_t warp = 0; warp < warps_; ++warp) {
      clash |= (readers[warp] >> 4) > learned[warp] && (readers[warp] & touched) != 0;
    }
    for (uint32_t warp = 0; clash && warp < warps_; ++warp) {
      if ((readers[warp] >> 4) > learned[warp] && (readers[warp] & touched)) {
        refuse_race(word, who, "writes", {warp, 32}, "read it");
      }
    }
    const bool same = last.clock == learned[who.warp] && last.warp == who.warp && last.lane == who.lane;
    last = {learned[who.warp], static_cast<uint8_t>(who.warp), static_cast<uint8_t>(who.lane),
            static_cast<uint8_t>(same ? last.bytes | touched : touched)};
  }
}

void SharedMemory::sync_warps(uint32_t mask) {
  std::vector<uint32_t> joined(warps_, 0);
  for (uint32_t warp = 0; warp < warps_; ++warp) {
    if (!(mask >> warp & 1)) continue;
    for (uint32_t of = 0; of < warps_; ++of) joined[of] = std::max(joined[of], clocks_[warp * warps_ + of]);
  }
  for (uint32_t warp = 0; warp < warps_; ++warp) {
    if (!(mask >> warp & 1)) continue;
    std::copy(joined.begin(), joined.end(), clocks_.begin() + static_cast<ptrdiff_t>(warp * warps_));
    ++own(warp);
  }
}

std::string SharedMemory::place(uint32_t offset) const {
  for (const SharedArray& array : arrays_) {
    if (offset >= array.offset && offset - array.offset < array.bytes) {
      return array.name + "+" + std::to_string(offset - array.offset);
    }
  }
  if (offset >= dynamic_offset_ && offset - dynamic_offset_ < dynamic_bytes_) {
    return "dynamic shared memory+" + std::to_string(offset - dynamic_offset_);
  }
  std::string before = "behind all shared memory (" + std::to_string(dynamic_bytes_) + " bytes are dynamic)";
  for (const SharedArray& array : arrays_) {
    if (offset >= array.offset + array.bytes && (offset < dynamic_offset_ || dynamic_bytes_ == 0)) {
      before = std::to_string(offset - array.offset - array.bytes) + " bytes past the end of " + array.name +
               " (" + std::to_string(array.bytes) + " bytes)";
    }
  }
  return before;
}

void SharedMemory::refuse_race(uint32_t word, Toucher who, const char* now, Toucher other,
                               const char* then) const {
  const std::string by =
      "warp " + std::to_string(other.warp) + (other.lane < 32 ? " lane " + std::to_string(other.lane) : "");
  const char* const missing = other.warp == who.warp ? "no __syncwarp" : "no barrier";
  throw MachineFault{FaultKind::shared_race, LaneMask{1} << who.lane,
                     "warp " + std::to_string(who.warp) + " " + now + " " + place(word * 4) + ", and " + by +
                         " " + then + " with " + missing + " between"};
}

void SharedMemory::refuse(uint32_t offset, uint32_t bytes, LaneMask lanes, bool is_write) const {
  FaultKind kind = FaultKind::out_of_bounds;
  uint32_t at = offset;
  for (; at < offset + bytes && at < data_.size(); ++at) {
    const ByteState state = states_[at];
    if (state == ByteState::ready || (is_write && state == ByteState::raw)) continue;
    if (state == ByteState::raw) kind = FaultKind::uninitialised;
    if (state == ByteState::copying) kind = FaultKind::early_copy;
    break;
  }
  throw MachineFault{kind, lanes,
                     std::string(is_write ? "write of " : "read of ") + std::to_string(bytes) +
                         " shared bytes at " + std::to_string(offset) + ": " + place(at)};
}

}  // namespace lorikeet::simulator
