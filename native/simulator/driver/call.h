#pragma once
#include "simulator/driver/device.h"

namespace lorikeet::simulator {

// One call of a program: alone on the device, and refused where there is no context or an error stays.
class Call {
 public:
  Call() : lock_(device().mutex) {}

  // Why the call cannot do anything, if so.
  Result refusal() const {
    if (!device().has_context()) return kInvalidContext;
    return device().error();
  }
  Device& on() { return device(); }
  std::unique_lock<std::recursive_mutex>& lock() { return lock_; }

 private:
  std::unique_lock<std::recursive_mutex> lock_;
};

// Calls `act` where nothing refuses it.
template <typename F>
Result guarded(F act) {
  Call call;
  if (const Result refusal = call.refusal(); refusal != kSuccess) return refusal;
  return act(call);
}

}  // namespace lorikeet::simulator
