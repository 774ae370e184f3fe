#pragma once
#include "simulator/driver/kernel.h"

namespace lorikeet::simulator {

// A launch as the program asks for it.
struct LaunchRequestOfProgram {
  FunctionHandle* function;
  Dim grid, block;
  unsigned shared_bytes;
  void** parameters;
  void** extra;
};

Result make_launch(const LaunchRequestOfProgram& request, KernelLaunch& launch);
KernelFunction& function_of(FunctionHandle* handle);

}  // namespace lorikeet::simulator
