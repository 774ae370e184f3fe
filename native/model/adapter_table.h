// Adapters that are resident, by handle. Handles are never reused: a stale one is an error, not another
// adapter.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "model/adapter.h"

namespace lorikeet {

// Thread-safe: the loader publishes, the host takes out, a step pins.
class AdapterTable {
 public:
  int32_t publish(Adapter adapter);
  // Its bytes are counted no more; whoever lets go of it frees it. An error when the handle is unknown or the
  // running step uses it.
  Result<std::shared_ptr<const Adapter>> take(int32_t handle);
  // So that a pin of so many adapters allocates nothing.
  void reserve_pins(size_t count) { pinned_.reserve(count); }
  // Holds the handles' adapters until unpin(); one step at a time.
  Status pin(std::span<const int32_t> handles, std::vector<const Adapter*>& adapters);
  void unpin();
  size_t bytes() const;

 private:
  struct Entry {
    std::shared_ptr<const Adapter> adapter;
    size_t bytes = 0;
    bool pinned = false;
  };
  mutable std::mutex mutex_;
  std::map<int32_t, std::unique_ptr<Entry>> entries_;
  std::vector<Entry*> pinned_;
  int32_t next_handle_ = 1;
  size_t bytes_ = 0;
};

}  // namespace lorikeet
