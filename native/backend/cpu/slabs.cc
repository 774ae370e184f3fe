#include "backend/cpu/slabs.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "backend/cpu/memory.h"

namespace lorikeet::cpu {

struct Slab {
  Memory memory;
  size_t used = 0;   // bytes given out since it was last empty
  size_t dirty = 0;  // bytes ever given out: what lies behind is still zero
  int blocks = 0;
};

namespace {

constexpr size_t kSlabBytes = size_t{8} << 20;
constexpr size_t kKeptEmpty = 4;
constexpr size_t kPageBytes = 4096;
constexpr size_t kAlignment = 64;

class Heap {
 public:
  SlabBlock allocate(size_t bytes) {
    const std::lock_guard lock(mutex_);
    const size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    Slab* const slab = slab_with(size);
    if (slab == nullptr) return {nullptr, nullptr};
    std::byte* const data = slab->memory.data() + slab->used;
    if (slab->used < slab->dirty) std::memset(data, 0, std::min(size, slab->dirty - slab->used));
    slab->used += size;
    slab->dirty = std::max(slab->dirty, slab->used);
    ++slab->blocks;
    return {data, slab};
  }

  void release(Slab* slab) {
    const std::lock_guard lock(mutex_);
    if (--slab->blocks > 0) return;
    slab->used = 0;
    if (count_empty() <= kKeptEmpty) return;
    std::erase_if(slabs_, [&](const auto& each) { return each.get() == slab; });
  }

  void prepare() {
    while (true) {
      {
        const std::lock_guard lock(mutex_);
        if (count_empty() >= kKeptEmpty) return;
      }
      auto memory = Memory::allocate(kSlabBytes);
      if (!memory) return;  // whoever needs it will say so
      for (size_t i = 0; i < kSlabBytes; i += kPageBytes) memory->data()[i] = std::byte{0};
      const std::lock_guard lock(mutex_);
      add(std::move(*memory));
    }
  }

 private:
  size_t count_empty() const {
    return static_cast<size_t>(
        std::count_if(slabs_.begin(), slabs_.end(), [](const auto& slab) { return slab->blocks == 0; }));
  }

  Slab* add(Memory memory) {
    auto slab = std::make_unique<Slab>();
    slab->memory = std::move(memory);
    slabs_.push_back(std::move(slab));
    return slabs_.back().get();
  }

  // The fullest slab that still has room, so that what is empty stays so.
  Slab* slab_with(size_t size) {
    Slab* best = nullptr;
    for (const auto& slab : slabs_) {
      if (kSlabBytes - slab->used >= size && (best == nullptr || slab->used > best->used)) best = slab.get();
    }
    if (best != nullptr) return best;
    auto memory = Memory::allocate(kSlabBytes);
    if (!memory) return nullptr;
    return add(std::move(*memory));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<Slab>> slabs_;
};

// Never destroyed: blocks may outlive every other static object.
Heap& heap() {
  static Heap* const instance = new Heap;
  return *instance;
}

}  // namespace

SlabBlock slab_allocate(size_t bytes) {
  return heap().allocate(bytes);
}

void slabs_prepare() {
  heap().prepare();
}

void slab_release(Slab* slab) {
  heap().release(slab);
}

}  // namespace lorikeet::cpu
