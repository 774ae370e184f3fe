// Memory that ops work in. It is made before the first step, or where an adapter is loaded, and never in a
// step.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>

#include "backend/cpu/memory.h"
#include "backend/cpu/weights.h"
#include "backend/interface/status.h"
#include "backend/interface/step.h"

namespace lorikeet::cpu {

// 64-byte aligned; contents undefined.
class Scratch {
 public:
  // Counts what it holds in `held`, which must outlive it.
  explicit Scratch(std::atomic<size_t>& held) : held_(&held) {}
  ~Scratch() { held_->fetch_sub(memory_.bytes()); }
  Scratch(Scratch&&) = default;
  Scratch& operator=(Scratch&&) = delete;
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  // At least so many floats from now on.
  Status reserve(size_t count);
  void swap(Scratch& other) { std::swap(memory_, other.memory_); }  // both count in the same place
  size_t capacity() const { return memory_.bytes() / sizeof(float); }
  float* floats(size_t count) const {
    assert(count <= capacity());
    (void)count;
    return memory_.f32();
  }

 private:
  std::atomic<size_t>* held_;
  Memory memory_;
};

// A piece of one adapter's shrink: some rows of a segment times some ranks.
struct ShrinkItem {
  const CpuAdapterLinear::Part* part;
  int32_t row0, rows;
  int32_t rank0, ranks;
  float scale;  // the segment's
};
constexpr int32_t kShrinkRows = 32;
constexpr int32_t kShrinkRanks = 16;

// What a step's adapters need, which grows with their ranks. Whoever loads an adapter makes more of it, and
// the step thread takes that where a step begins: no step has an adapter whose load has not returned.
class AdapterScratch {
 public:
  explicit AdapterScratch(std::atomic<size_t>& held) : held_(held), now_(held), next_(held) {}

  // Both on any thread.
  Status reserve(const StepLimits& limits);
  Status reserve_for(const CpuAdapterLinear& adapter);
  // Step thread, before the step's ops.
  void take();

  // s [rows, largest rank_total]
  float* shrunk(int64_t count) const { return now_.shrunk.floats(static_cast<size_t>(count)); }
  void clear_items() { item_count_ = 0; }
  void add_item(const ShrinkItem& item) {
    assert((item_count_ + 1) * kItemFloats <= now_.items.capacity());
    first_item()[item_count_++] = item;
  }
  std::span<const ShrinkItem> items() const { return {first_item(), item_count_}; }

 private:
  static constexpr size_t kItemFloats = sizeof(ShrinkItem) / sizeof(float);
  struct Block {
    explicit Block(std::atomic<size_t>& held) : shrunk(held), items(held) {}
    void swap(Block& other) {
      shrunk.swap(other.shrunk);
      items.swap(other.items);
    }
    Scratch shrunk;
    Scratch items;
  };
  // Of steps, and of the adapters in them.
  struct Needs {
    int64_t rows = 0, sequences = 0;
    int64_t rank = 0;       // largest rank_total
    int64_t run_items = 0;  // most that kShrinkRows rows of one adapter become
  };
  Status grow(const Needs& needs);  // under the lock
  ShrinkItem* first_item() const { return reinterpret_cast<ShrinkItem*>(now_.items.floats(0)); }

  std::atomic<size_t>& held_;
  Block now_;
  size_t item_count_ = 0;
  std::mutex mutex_;  // of what follows
  Needs needs_;
  bool fresh_ = false;  // next_ is what needs_ say, and now_ less
  Block next_;
};

}  // namespace lorikeet::cpu
