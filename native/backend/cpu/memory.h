// Large, aligned, zeroed memory that asks the kernel for huge pages: with 4 KiB pages, address translation
// costs a streaming matrix product a fifth of its bandwidth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace lorikeet::cpu {

struct Slab;

class Memory {
 public:
  Memory() = default;
  // nullopt when the system has no more. Zero bytes give an empty block.
  static std::optional<Memory> allocate(size_t bytes);
  ~Memory();
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  std::byte* data() const { return data_; }
  float* f32() const { return reinterpret_cast<float*>(data_); }
  size_t bytes() const { return bytes_; }
  bool empty() const { return bytes_ == 0; }

 private:
  Slab* slab_ = nullptr;  // small blocks
  void* map_ = nullptr;   // the others: what munmap takes (free, under the address sanitizer)
  size_t map_bytes_ = 0;
  std::byte* data_ = nullptr;  // 64-byte aligned, at 2 MiB when mapped
  size_t bytes_ = 0;
};

// For tests: after `count` more allocations, each fails as if the system had no more. Negative: none fails.
// Returns whether one has failed since the last call.
bool fail_allocations_after(int64_t count);
// For tests: how many there have been, empty blocks aside.
uint64_t count_allocations();

}  // namespace lorikeet::cpu
