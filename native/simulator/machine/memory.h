#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "simulator/machine/fault.h"

namespace lorikeet::simulator {

// One for each byte that a kernel may touch. `ready` is the only one that may be read.
enum class ByteState : uint8_t { none = 0, freed = 1, raw = 2, copying = 3, ready = 4 };

// Device addresses are no host addresses, so that a host that follows one fails here as it does on a machine
// with a card. The windows are 2^40 bytes apart: an address says by its upper bits which memory it means.
inline constexpr uint64_t kSharedWindow = uint64_t{1} << 40;
inline constexpr uint64_t kLocalWindow = uint64_t{2} << 40;
inline constexpr uint64_t kParamWindow = uint64_t{3} << 40;
inline constexpr uint64_t kGlobalWindow = uint64_t{4} << 40;
inline constexpr uint64_t kWindowBytes = uint64_t{1} << 40;

// Who touched a word of global memory in a launch, and which of its bytes.
struct WordUse {
  static constexpr uint32_t kNobody = 0, kMany = ~uint32_t{0};
  uint32_t launch = 0;        // of both below: older ones do not count
  uint32_t writer = kNobody;  // number of the block + 1
  uint32_t reader = kNobody;
  uint8_t written = 0, read = 0;  // bytes, as bits
  bool atomically = false;        // written by atomics alone
};
static_assert(sizeof(WordUse) == 16);

// The memory of the device: one range of addresses, whose freed parts are taken again as late as possible, so
// that what still points to them is found out. Not for several threads at once.
class DeviceMemory {
 public:
  static constexpr uint64_t kSpan = uint64_t{1} << 35;

  explicit DeviceMemory(uint64_t total_bytes);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  // Nothing where the device's memory is used up. Addresses are multiples of 256.
  std::optional<uint64_t> allocate(uint64_t bytes);
  // False: no allocation begins there.
  bool release(uint64_t address);

  uint64_t total_bytes() const { return total_; }
  uint64_t free_bytes() const { return total_ - used_; }

  struct Allocation {
    uint64_t address, bytes;
  };
  std::optional<Allocation> find(uint64_t address) const;

  // Where [address, address + bytes) lies in one living allocation; else what is wrong.
  uint8_t* host_range(uint64_t address, uint64_t bytes, std::string* why);
  void mark(uint64_t address, uint64_t bytes, ByteState state);

  // By offset from kGlobalWindow, below kSpan.
  uint8_t* data(uint64_t offset) { return data_ + offset; }
  ByteState* states(uint64_t offset) { return states_ + offset; }
  WordUse* uses(uint64_t offset) { return uses_ + offset / 4; }

  // Memory of the host that kernels may touch (pinned): its own addresses.
  void add_host(const void* begin, uint64_t bytes);
  bool remove_host(const void* begin);
  bool is_host(uint64_t address, uint64_t bytes) const;

  // What an access of this state is told as.
  [[noreturn]] void refuse(uint64_t address, uint32_t bytes, LaneMask lanes, bool is_write) const;

 private:
  std::optional<uint64_t> place(uint64_t bytes) const;
  std::optional<uint64_t> gap_from(uint64_t from, uint64_t bytes) const;
  std::string surroundings(uint64_t address) const;

  uint64_t total_, used_ = 0, next_ = 0;
  uint8_t* data_;
  ByteState* states_;
  WordUse* uses_;
  std::map<uint64_t, uint64_t> living_, freed_, host_;  // address (living, freed: offset) -> bytes
};

}  // namespace lorikeet::simulator
