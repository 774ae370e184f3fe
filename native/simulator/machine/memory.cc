#include "simulator/machine/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace lorikeet::simulator {

namespace {

constexpr uint64_t kAlignment = 256;
// Between allocations: what runs over an end lands in no other one's bytes.
constexpr uint64_t kGuard = 4096;

uint64_t round_up(uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Pages that nobody touches take no memory.
void* reserve(uint64_t bytes) {
  void* const begin =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (begin == MAP_FAILED) throw std::bad_alloc();
  return begin;
}

// Gives whole pages back; they read as zero again.
void forget(void* begin, uint64_t bytes) {
  constexpr uintptr_t page = 4096;
  const uintptr_t first = (reinterpret_cast<uintptr_t>(begin) + page - 1) / page * page;
  const uintptr_t last = (reinterpret_cast<uintptr_t>(begin) + bytes) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace

DeviceMemory::DeviceMemory(uint64_t total_bytes)
    : total_(total_bytes),
      data_(static_cast<uint8_t*>(reserve(kSpan))),
      states_(static_cast<ByteState*>(reserve(kSpan))),
      uses_(static_cast<WordUse*>(reserve(kSpan / 4 * sizeof(WordUse)))) {}

DeviceMemory::~DeviceMemory() {
  munmap(data_, kSpan);
  munmap(states_, kSpan);
  munmap(uses_, kSpan / 4 * sizeof(WordUse));
}

std::optional<uint64_t> DeviceMemory::gap_from(uint64_t from, uint64_t bytes) const {
  uint64_t at = from;
  auto next = living_.lower_bound(at);
  if (next != living_.begin()) {
    const auto before = std::prev(next);
    at = std::max(at, round_up(before->first + before->second) + kGuard);
  }
  for (; next != living_.end() && next->first < at + bytes + kGuard; ++next) {
    at = round_up(next->first + next->second) + kGuard;
  }
  if (at + bytes + kGuard > kSpan) return std::nullopt;
  return at;
}

std::optional<uint64_t> DeviceMemory::place(uint64_t bytes) const {
  const auto later = gap_from(next_, bytes);
  return later ? later : gap_from(0, bytes);
}

std::optional<uint64_t> DeviceMemory::allocate(uint64_t bytes) {
  if (bytes == 0 || bytes > total_) return std::nullopt;
  const uint64_t size = round_up(bytes);
  if (size > free_bytes()) return std::nullopt;
  const auto offset = place(size);
  if (!offset) return std::nullopt;
  for (auto old = freed_.lower_bound(*offset); old != freed_.end() && old->first < *offset + size;) {
    old = freed_.erase(old);
  }
  living_[*offset] = bytes;
  used_ += size;
  next_ = *offset + size + kGuard;
  mark(kGlobalWindow + *offset, bytes, ByteState::raw);
  return kGlobalWindow + *offset;
}

bool DeviceMemory::release(uint64_t address) {
  const auto found = living_.find(address - kGlobalWindow);
  if (found == living_.end()) return false;
  const auto [offset, bytes] = *found;
  living_.erase(found);
  freed_[offset] = bytes;
  used_ -= round_up(bytes);
  forget(data_ + offset, bytes);
  forget(uses_ + offset / 4, bytes / 4 * sizeof(WordUse));
  mark(address, bytes, ByteState::freed);
  return true;
}

std::optional<DeviceMemory::Allocation> DeviceMemory::find(uint64_t address) const {
  const uint64_t offset = address - kGlobalWindow;
  auto next = living_.upper_bound(offset);
  if (next == living_.begin()) return std::nullopt;
  --next;
  if (offset - next->first >= next->second) return std::nullopt;
  return Allocation{kGlobalWindow + next->first, next->second};
}

uint8_t* DeviceMemory::host_range(uint64_t address, uint64_t bytes, std::string* why) {
  if (is_host(address, bytes)) return reinterpret_cast<uint8_t*>(address);
  const auto allocation = find(address);
  if (allocation && bytes <= allocation->bytes - (address - allocation->address)) {
    return data_ + (address - kGlobalWindow);
  }
  *why = std::to_string(bytes) + " bytes at " + hex(address) + ": " + surroundings(address);
  return nullptr;
}

void DeviceMemory::mark(uint64_t address, uint64_t bytes, ByteState state) {
  if (address < kGlobalWindow) return;  // the host's
  std::memset(static_cast<void*>(states_ + (address - kGlobalWindow)), static_cast<int>(state), bytes);
}

void DeviceMemory::add_host(const void* begin, uint64_t bytes) {
  host_[reinterpret_cast<uint64_t>(begin)] = bytes;
}

bool DeviceMemory::remove_host(const void* begin) {
  return host_.erase(reinterpret_cast<uint64_t>(begin)) == 1;
}

bool DeviceMemory::is_host(uint64_t address, uint64_t bytes) const {
  auto next = host_.upper_bound(address);
  if (next == host_.begin()) return false;
  --next;
  const uint64_t offset = address - next->first;
  return offset < next->second && bytes <= next->second - offset;
}

std::string DeviceMemory::surroundings(uint64_t address) const {
  const uint64_t offset = address - kGlobalWindow;
  const auto tell = [&](const std::map<uint64_t, uint64_t>& among, const char* what) -> std::string {
    auto next = among.upper_bound(offset);
    if (address < kGlobalWindow || next == among.begin()) return "";
    --next;
    const uint64_t inside = offset - next->first;
    const std::string name = std::string(what) + " of " + std::to_string(next->second) + " bytes at " +
                             hex(kGlobalWindow + next->first);
    if (inside < next->second) return std::to_string(inside) + " bytes into " + name;
    return std::to_string(inside - next->second) + " bytes past the end of " + name;
  };
  if (const auto freed = freed_.upper_bound(offset); freed != freed_.begin() && address >= kGlobalWindow) {
    const auto before = std::prev(freed);
    if (offset - before->first < before->second) return tell(freed_, "the freed allocation");
  }
  const std::string living = tell(living_, "the allocation");
  return living.empty() ? "in no allocation" : living;
}

void DeviceMemory::refuse(uint64_t address, uint32_t bytes, LaneMask lanes, bool is_write) const {
  const std::string what = std::string(is_write ? "write of " : "read of ") + std::to_string(bytes) +
                           " bytes at " + hex(address) + ": ";
  const uint64_t offset = address - kGlobalWindow;
  FaultKind kind = FaultKind::out_of_bounds;
  uint64_t at = address;
  for (uint32_t i = 0; i < bytes && offset + i < kSpan; ++i) {
    const ByteState state = states_[offset + i];
    if (state == ByteState::ready || (is_write && state == ByteState::raw)) continue;
    at = address + i;
    if (state == ByteState::freed) kind = FaultKind::use_after_free;
    if (state == ByteState::raw) kind = FaultKind::uninitialised;
    break;
  }
  const std::string where = at == address ? "" : "byte " + std::to_string(at - address) + " is ";
  throw MachineFault{kind, lanes, what + where + surroundings(at)};
}

}  // namespace lorikeet::simulator
