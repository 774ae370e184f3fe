#include "model/adapter_table.h"

#include <string>

namespace lorikeet {

int32_t AdapterTable::publish(Adapter adapter) {
  auto entry = std::make_unique<Entry>();
  entry->bytes = adapter.bytes();
  entry->adapter = std::make_shared<const Adapter>(std::move(adapter));
  const std::lock_guard lock(mutex_);
  const size_t bytes = entry->bytes;
  entries_.emplace(next_handle_, std::move(entry));
  bytes_ += bytes;
  return next_handle_++;
}

Result<std::shared_ptr<const Adapter>> AdapterTable::take(int32_t handle) {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(handle);
  if (found == entries_.end()) return Error{"no adapter has handle " + std::to_string(handle)};
  if (found->second->pinned)
    return Error{"adapter " + std::to_string(handle) + " is used by the running step"};
  std::shared_ptr<const Adapter> taken = std::move(found->second->adapter);
  bytes_ -= found->second->bytes;
  entries_.erase(found);
  return taken;
}

Status AdapterTable::pin(std::span<const int32_t> handles, std::vector<const Adapter*>& adapters) {
  const std::lock_guard lock(mutex_);
  adapters.clear();
  pinned_.clear();
  pinned_.reserve(handles.size());  // all that may throw, before anything is pinned
  adapters.reserve(handles.size());
  for (const int32_t handle : handles) {
    const auto found = entries_.find(handle);
    if (found == entries_.end()) {
      for (Entry* entry : pinned_) entry->pinned = false;
      pinned_.clear();
      return Error{"broken step plan: no adapter has handle " + std::to_string(handle)};
    }
    found->second->pinned = true;
    pinned_.push_back(found->second.get());
    adapters.push_back(found->second->adapter.get());
  }
  return {};
}

void AdapterTable::unpin() {
  const std::lock_guard lock(mutex_);
  for (Entry* entry : pinned_) entry->pinned = false;
  pinned_.clear();
}

size_t AdapterTable::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace lorikeet
