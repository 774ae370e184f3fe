#include "backend/cpu/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "backend/cpu/slabs.h"

namespace lorikeet::cpu {
namespace {

// The address sanitizer sees a byte read beyond a block only where the block is its own allocator's.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

constexpr size_t kAlignment = 64;
constexpr size_t kHugePageBytes = size_t{2} << 20;
constexpr size_t kSmallPageBytes = size_t{64} << 10;  // no machine's small page is larger

// How many allocations more succeed; negative: all that the system grants.
std::atomic<int64_t> allocations_left{-1};
std::atomic<bool> refused{false};
std::atomic<uint64_t> allocations_made{0};

bool refused_for_a_test() {
  int64_t left = allocations_left.load(std::memory_order_relaxed);
  while (left > 0) {
    if (allocations_left.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return false;
  }
  if (left == 0) refused.store(true, std::memory_order_relaxed);
  return left == 0;
}

size_t round_up(size_t value, size_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

bool fail_allocations_after(int64_t count) {
  allocations_left.store(count);
  return refused.exchange(false);
}

uint64_t count_allocations() {
  return allocations_made.load();
}

std::optional<Memory> Memory::allocate(size_t bytes) {
  Memory memory;
  if (bytes == 0) return memory;
  allocations_made.fetch_add(1, std::memory_order_relaxed);
  if (refused_for_a_test()) return std::nullopt;
  if (kSanitized) {
    if (posix_memalign(&memory.map_, kAlignment, bytes) != 0) return std::nullopt;
    memory.data_ = static_cast<std::byte*>(memory.map_);
    std::memset(memory.data_, 0, bytes);
  } else if (bytes <= kLargestSlabBlock) {
    const SlabBlock block = slab_allocate(bytes);
    if (block.data == nullptr) return std::nullopt;
    memory.slab_ = block.slab;
    memory.data_ = block.data;
  } else {
    // Huge pages up to the last one that would hold less than half a page of ours; small ones for that rest.
    const size_t rest = bytes % kHugePageBytes;
    const size_t huge_bytes = rest < kHugePageBytes / 2 ? bytes - rest : round_up(bytes, kHugePageBytes);
    const size_t used_bytes = std::max(huge_bytes, round_up(bytes, kSmallPageBytes));
    const size_t map_bytes = used_bytes + kHugePageBytes;
    void* map = mmap(nullptr, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return std::nullopt;
    const auto address = round_up(reinterpret_cast<uintptr_t>(map), kHugePageBytes);
    memory.data_ = reinterpret_cast<std::byte*>(address);
    // What surrounds the block goes back: behind a rest in small pages, nothing may tempt the kernel to a
    // huge one.
    const size_t before = address - reinterpret_cast<uintptr_t>(map);
    if (before > 0) munmap(map, before);
    if (map_bytes - before > used_bytes) munmap(memory.data_ + used_bytes, map_bytes - before - used_bytes);
    memory.map_ = memory.data_;
    memory.map_bytes_ = used_bytes;
    // A kernel without huge pages refuses; the memory works all the same.
    (void)madvise(memory.data_, huge_bytes, MADV_HUGEPAGE);
  }
  memory.bytes_ = bytes;
  return memory;
}

Memory::~Memory() {
  if (slab_ != nullptr) slab_release(slab_);
  if (kSanitized) {
    std::free(map_);
  } else if (map_ != nullptr) {
    munmap(map_, map_bytes_);
  }
}

Memory::Memory(Memory&& other) noexcept
    : slab_(std::exchange(other.slab_, nullptr)),
      map_(std::exchange(other.map_, nullptr)),
      map_bytes_(std::exchange(other.map_bytes_, 0)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)) {}

Memory& Memory::operator=(Memory&& other) noexcept {
  std::swap(slab_, other.slab_);
  std::swap(map_, other.map_);
  std::swap(map_bytes_, other.map_bytes_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

}  // namespace lorikeet::cpu
