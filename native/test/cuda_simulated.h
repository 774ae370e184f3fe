// The CUDA backend on the simulated driver (native/simulator), whose settings are read when a device is
// opened.
#pragma once

#include <cstdlib>
#include <string>

#include "backend/cuda/device.h"
#include "backend/interface/open_backend.h"
#include "test/checks.h"

namespace lorikeet::test {

// Set as long as it lives, then gone.
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) { setenv(name, value.c_str(), 1); }
  ~Variable() { unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

struct Simulated {
  Variable driver{"LORIKEET_CUDA_DRIVER", SIMULATED_DRIVER};
};

// Of a device that is open, so that the simulator has its context.
inline size_t free_bytes(const cuda::Device& device) {
  size_t free = 0, total = 0;
  device.enter();
  REQUIRE(device.driver().memory_info(&free, &total) == 0);
  return free;
}

}  // namespace lorikeet::test
