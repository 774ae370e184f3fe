#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "simulator/machine/launch.h"

namespace lorikeet::simulator {

// Read from the environment when a context is made. README.md lists the variables.
struct DriverSettings {
  Options options;
  uint64_t memory_bytes = uint64_t{8} << 30;
  int capability = 90;         // of compute, times ten
  int driver_version = 12040;  // times a thousand, as cuDriverGetVersion tells it
  bool print_counters = false;
  // Faults on purpose: numbers count from 1 and from the making of the context.
  std::optional<uint64_t> fail_allocation, fail_launch, hang_launch;
  // Where a file of this name is, the next launch takes it away and fails or, where it begins with "hang",
  // never ends. Empty: none.
  std::string fault_file;
};

DriverSettings settings_from_environment();

// Of the machine's devices those that the program may see, in its order.
std::vector<int> visible_devices();
std::string uuid_of_device(int device);

}  // namespace lorikeet::simulator
