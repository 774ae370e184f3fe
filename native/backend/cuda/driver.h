// The NVIDIA driver, found when a device is opened: no CUDA header, no runtime library, nothing to link with.
// These are our own declarations of the functions that are used, by the names under which libcuda.so.1
// exports the versions meant (`_v2` ...), which every driver since has kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "backend/interface/status.h"

namespace lorikeet::cuda {

using DeviceAddress = uint64_t;
// Handles, as the driver's own: addresses of what nobody looks into.
using ContextHandle = struct ContextTag*;
using ModuleHandle = struct ModuleTag*;
using FunctionHandle = struct FunctionTag*;
using StreamHandle = struct StreamTag*;
using GraphHandle = struct GraphTag*;
using ExecutableGraphHandle = struct ExecutableGraphTag*;

// CUDA 11.4: takes the kernels' PTX (.version 7.4).
constexpr int kLeastDriver = 11040;
// Compute capability, times ten: mma on integers and bfloat16.
constexpr int kLeastCapability = 80;
// Of a capture: other threads do as they like meanwhile.
constexpr int kCaptureOfThread = 1;
// What stream_query says of work that has not ended.
constexpr int kNotReady = 600;

enum DeviceAttribute : int {
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kMultiprocessors = 16,
};

#define LORIKEET_CUDA_FUNCTIONS(X)                                                                           \
  X(init, "cuInit", (unsigned flags))                                                                        \
  X(driver_version, "cuDriverGetVersion", (int* version))                                                    \
  X(device_count, "cuDeviceGetCount", (int* count))                                                          \
  X(device_get, "cuDeviceGet", (int* device, int ordinal))                                                   \
  X(device_name, "cuDeviceGetName", (char* name, int size, int device))                                      \
  X(device_attribute, "cuDeviceGetAttribute", (int* value, int attribute, int device))                       \
  X(device_memory, "cuDeviceTotalMem_v2", (size_t * bytes, int device))                                      \
  X(context_retain, "cuDevicePrimaryCtxRetain", (ContextHandle * context, int device))                       \
  X(context_release, "cuDevicePrimaryCtxRelease_v2", (int device))                                           \
  X(context_set, "cuCtxSetCurrent", (ContextHandle context))                                                 \
  X(error_name, "cuGetErrorName", (int error, const char** name))                                            \
  X(error_text, "cuGetErrorString", (int error, const char** text))                                          \
  X(memory_info, "cuMemGetInfo_v2", (size_t * free, size_t * total))                                         \
  X(memory_allocate, "cuMemAlloc_v2", (DeviceAddress * address, size_t bytes))                               \
  X(memory_free, "cuMemFree_v2", (DeviceAddress address))                                                    \
  X(host_allocate, "cuMemHostAlloc", (void** pointer, size_t bytes, unsigned flags))                         \
  X(host_free, "cuMemFreeHost", (void* pointer))                                                             \
  X(copy_to_device, "cuMemcpyHtoDAsync_v2",                                                                  \
    (DeviceAddress to, const void* from, size_t bytes, StreamHandle stream))                                 \
  X(copy_to_host, "cuMemcpyDtoHAsync_v2", (void* to, DeviceAddress from, size_t bytes, StreamHandle stream)) \
  X(copy_on_device, "cuMemcpyDtoDAsync_v2",                                                                  \
    (DeviceAddress to, DeviceAddress from, size_t bytes, StreamHandle stream))                               \
  X(fill, "cuMemsetD8Async", (DeviceAddress to, unsigned char value, size_t bytes, StreamHandle stream))     \
  X(module_load, "cuModuleLoadDataEx",                                                                       \
    (ModuleHandle * module, const void* image, unsigned options, int* option, void** value))                 \
  X(module_unload, "cuModuleUnload", (ModuleHandle module))                                                  \
  X(module_function, "cuModuleGetFunction",                                                                  \
    (FunctionHandle * function, ModuleHandle module, const char* name))                                      \
  X(launch, "cuLaunchKernel",                                                                                \
    (FunctionHandle function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,           \
     unsigned block_y, unsigned block_z, unsigned shared_bytes, StreamHandle stream, void** arguments,       \
     void** extra))                                                                                          \
  X(stream_create, "cuStreamCreate", (StreamHandle * stream, unsigned flags))                                \
  X(stream_destroy, "cuStreamDestroy_v2", (StreamHandle stream))                                             \
  X(stream_query, "cuStreamQuery", (StreamHandle stream))                                                    \
  X(stream_wait, "cuStreamSynchronize", (StreamHandle stream))                                               \
  X(capture_begin, "cuStreamBeginCapture_v2", (StreamHandle stream, int mode))                               \
  X(capture_end, "cuStreamEndCapture", (StreamHandle stream, GraphHandle * graph))                           \
  X(graph_instantiate, "cuGraphInstantiateWithFlags",                                                        \
    (ExecutableGraphHandle * executable, GraphHandle graph, unsigned long long flags))                       \
  X(graph_destroy, "cuGraphDestroy", (GraphHandle graph))                                                    \
  X(graph_launch, "cuGraphLaunch", (ExecutableGraphHandle executable, StreamHandle stream))                  \
  X(executable_destroy, "cuGraphExecDestroy", (ExecutableGraphHandle executable))

class Driver {
 public:
  // LORIKEET_CUDA_DRIVER or libcuda.so.1; initialized, and new enough. The error is the whole reason.
  static Result<std::shared_ptr<const Driver>> open();

#define LORIKEET_CUDA_MEMBER(name, symbol, arguments) int(*name) arguments = nullptr;
  LORIKEET_CUDA_FUNCTIONS(LORIKEET_CUDA_MEMBER)
#undef LORIKEET_CUDA_MEMBER

  // `code` of a function that did not succeed, and what was being done. Once a device is lost all that
  // follows fails, until the process ends.
  Error error(int code, const std::string& doing) const;
  Status status(int code, const char* doing) const {
    return code == 0 ? Status() : Status(error(code, doing));
  }

 private:
  Driver() = default;
};

}  // namespace lorikeet::cuda
