#pragma once
#include <cstddef>
#include <cstdint>

// What of the driver's binary interface is served here: our own declarations of its types and numbers, as far
// as the functions below use them. A program compiled against NVIDIA's header agrees with them byte for byte.

namespace lorikeet::simulator {

enum Result : int {
  kSuccess = 0,
  kInvalidValue = 1,
  kOutOfMemory = 2,
  kNotInitialized = 3,
  kNoDevice = 100,
  kInvalidDevice = 101,
  kInvalidContext = 201,
  kNoBinaryForGpu = 209,
  kInvalidPtx = 218,
  kInvalidHandle = 400,
  kNotFound = 500,
  kNotReady = 600,
  kIllegalAddress = 700,
  kLaunchOutOfResources = 701,
  kLaunchTimeout = 702,
  kAssert = 710,
  kMisalignedAddress = 716,
  kLaunchFailed = 719,
  kNotSupported = 801,
  kCaptureUnsupported = 900,
  kCaptureInvalidated = 901,
  kCaptureUnmatched = 903,
  kCaptureUnjoined = 904,
  kCaptureIsolation = 905,
};

// Handles: addresses whose meaning is ours.
struct StreamHandle;
struct FunctionHandle;

struct LaunchAttribute {
  int id;
  char padding[4];
  union {
    char bytes[64];
    int number;
  } value;
};
inline constexpr int kProgrammaticSerialization = 6;

struct LaunchConfig {
  unsigned grid[3], block[3], shared_bytes;
  StreamHandle* stream;
  const LaunchAttribute* attributes;
  unsigned attribute_count;
};

// CUDA_KERNEL_NODE_PARAMS of version 2; the first has all but the last two.
struct KernelNodeParams {
  FunctionHandle* function;
  unsigned grid[3], block[3], shared_bytes;
  void** parameters;
  void** extra;
  void* kernel;
  void* context;
};

enum FunctionAttribute : int {
  kFunctionMaxThreads = 0,
  kFunctionSharedBytes = 1,
  kFunctionConstBytes = 2,
  kFunctionLocalBytes = 3,
  kFunctionRegisters = 4,
  kFunctionPtxVersion = 5,
  kFunctionBinaryVersion = 6,
  kFunctionMaxDynamicSharedBytes = 8,
  kFunctionCarveout = 9,
};

}  // namespace lorikeet::simulator

// The functions that programs find by dlsym.
#define SIMULATOR_API extern "C" __attribute__((visibility("default")))
