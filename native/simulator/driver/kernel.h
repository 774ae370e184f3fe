#pragma once
#include <memory>
#include <vector>

#include "simulator/driver/abi.h"
#include "simulator/machine/launch.h"
#include "simulator/machine/loaded_module.h"

namespace lorikeet::simulator {

// A module that the program loaded; its launches keep it alive.
struct LoadedKernels {
  std::shared_ptr<DeviceMemory> memory;  // outlives the module, whose variables lie there
  std::unique_ptr<LoadedModule> module;
};

struct KernelFunction {
  std::shared_ptr<LoadedKernels> owner;
  const Program* program = nullptr;
  uint32_t max_dynamic_shared_bytes = 48 * 1024;
};

// A launch with all that it needs, whatever the program does with its arguments later.
struct KernelLaunch {
  std::shared_ptr<LoadedKernels> owner;
  const Program* program = nullptr;
  LaunchShape shape;
  std::vector<uint8_t> parameters;
  bool may_overlap = false;  // with what stands before it in the stream
};

}  // namespace lorikeet::simulator
