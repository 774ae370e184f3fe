#include "scarce_memory.h"

#include <atomic>
#include <cstdlib>
#include <new>

#include "allocations.h"
#include "backend/cpu/memory.h"

namespace {

// Of operator new: how many more succeed; negative: all do.
std::atomic<int64_t> news_left{-1};
std::atomic<size_t> least_size{0};  // smaller ones are not counted
std::atomic<bool> new_failed{false};
std::atomic<uint64_t> news_made{0};
std::atomic<uint64_t> largest_new{0};

bool may_allocate(size_t size) {
  news_made.fetch_add(1, std::memory_order_relaxed);
  uint64_t largest = largest_new.load(std::memory_order_relaxed);
  while (largest < size && !largest_new.compare_exchange_weak(largest, size, std::memory_order_relaxed)) {
  }
  if (size < least_size.load(std::memory_order_relaxed)) return true;
  int64_t left = news_left.load(std::memory_order_relaxed);
  while (left > 0) {
    if (news_left.compare_exchange_weak(left, left - 1, std::memory_order_relaxed)) return true;
  }
  if (left == 0) new_failed.store(true, std::memory_order_relaxed);
  return left < 0;
}

void* allocate(std::size_t size, std::size_t alignment) {
  if (!may_allocate(size)) throw std::bad_alloc();
  const std::size_t rounded = (size + alignment - 1) / alignment * alignment;
  void* const made = alignment <= alignof(std::max_align_t) ? std::malloc(size == 0 ? 1 : size)
                                                            : std::aligned_alloc(alignment, rounded);
  if (made == nullptr) throw std::bad_alloc();
  return made;
}

}  // namespace

// Of the whole program: all forms that it uses, since a sanitizer has its own of each.
void* operator new(std::size_t size) {
  return allocate(size, 1);
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return may_allocate(size) ? std::malloc(size == 0 ? 1 : size) : nullptr;
}
void* operator new[](std::size_t size) {
  return allocate(size, 1);
}
void operator delete[](void* made) noexcept {
  std::free(made);
}
void operator delete[](void* made, std::size_t) noexcept {
  std::free(made);
}
void operator delete(void* made, const std::nothrow_t&) noexcept {
  std::free(made);
}
void operator delete(void* made) noexcept {
  std::free(made);
}
void operator delete(void* made, std::size_t) noexcept {
  std::free(made);
}
void operator delete(void* made, std::align_val_t) noexcept {
  std::free(made);
}
void operator delete(void* made, std::size_t, std::align_val_t) noexcept {
  std::free(made);
}

namespace lorikeet::test {

uint64_t allocations() {
  return news_made.load() + cpu::count_allocations();
}

uint64_t take_largest_new() {
  return largest_new.exchange(0);
}

ScarceMemory::ScarceMemory(MemoryOf kind, int64_t count) {
  new_failed.store(false);
  if (kind == MemoryOf::backend) {
    cpu::fail_allocations_after(count);
  } else {
    least_size.store(kind == MemoryOf::large_new ? 1024 : 0);
    news_left.store(count);
  }
}

bool ScarceMemory::end() {
  news_left.store(-1);
  return cpu::fail_allocations_after(-1) || new_failed.load();
}

}  // namespace lorikeet::test
