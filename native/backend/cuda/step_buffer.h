// What the host sends to the device for a step: its plan and lists for single ops. Written into pinned memory
// one behind the other, so that they go up in one copy before the step's launches, and gone with the step.
#pragma once

#include <cstring>

#include "backend/cuda/device.h"

namespace lorikeet::cuda {

class StepBuffer {
 public:
  Status reserve(Device& device, size_t bytes) {
    if (bytes <= host_.bytes()) return {};
    auto host = PinnedMemory::allocate(device, bytes);
    if (!host) return host.error();
    auto memory = DeviceMemory::allocate(device, bytes, "what steps are sent in");
    if (!memory) return memory.error();
    host_ = std::move(*host);
    memory_ = std::move(*memory);
    return {};
  }
  size_t bytes() const { return host_.bytes() + memory_.bytes(); }

  // The step before has ended.
  void begin() { used_ = kept_ = 0; }
  // What was sent so far stays until the step ends.
  void keep() { kept_ = used_; }

  // Room for up to `count` values. Where the buffer is full, what came after keep() has to be done with
  // first.
  template <class T>
  std::span<T> open(Device& device, size_t count) {
    if (used_ + count * sizeof(T) > host_.bytes()) {
      device.drain();
      used_ = kept_;
    }
    if (used_ + count * sizeof(T) > host_.bytes()) return {};
    return {reinterpret_cast<T*>(host_.data() + used_), count};
  }
  // Sends the first of them; their place on the device.
  template <class T>
  T* send(Device& device, std::span<const T> values) {
    const size_t at = used_;
    device.send(memory_.address() + at, host_.data() + at, values.size_bytes());
    used_ += (values.size_bytes() + kAlignment - 1) / kAlignment * kAlignment;
    return memory_.at<T>(at);
  }
  // Null: they do not fit.
  template <class T>
  T* send_copy(Device& device, std::span<const T> values) {
    const std::span<T> room = open<T>(device, values.size());
    if (room.size() < values.size()) return nullptr;
    if (!values.empty()) std::memcpy(room.data(), values.data(), values.size_bytes());
    return send(device, std::span<const T>(room));
  }

 private:
  static constexpr size_t kAlignment = 16;

  PinnedMemory host_;
  DeviceMemory memory_;
  size_t used_ = 0, kept_ = 0;
};

}  // namespace lorikeet::cuda
