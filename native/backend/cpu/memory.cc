#include "backend/cpu/memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <utility>

#include "backend/cpu/slabs.h"

namespace lorikeet::cpu {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

size_t round_up(size_t value, size_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace

std::optional<Memory> Memory::allocate(size_t bytes) {
  Memory memory;
  if (bytes == 0) return memory;
  if (bytes <= kLargestSlabBlock) {
    const SlabBlock block = slab_allocate(bytes);
    if (block.data == nullptr) return std::nullopt;
    memory.slab_ = block.slab;
    memory.data_ = block.data;
  } else {
    const size_t map_bytes = round_up(bytes, kHugePageBytes) + kHugePageBytes;
    void* map = mmap(nullptr, map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED) return std::nullopt;
    const auto address = round_up(reinterpret_cast<uintptr_t>(map), kHugePageBytes);
    memory.map_ = map;
    memory.map_bytes_ = map_bytes;
    memory.data_ = reinterpret_cast<std::byte*>(address);
    // A kernel without huge pages refuses; the memory works all the same.
    (void)madvise(memory.data_, round_up(bytes, kHugePageBytes), MADV_HUGEPAGE);
  }
  memory.bytes_ = bytes;
  return memory;
}

Memory::~Memory() {
  if (slab_ != nullptr) slab_release(slab_);
  if (map_ != nullptr) munmap(map_, map_bytes_);
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
