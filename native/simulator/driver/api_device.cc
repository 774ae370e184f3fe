// cuInit, versions, devices, contexts, texts of errors, and what this library adds.
#include <algorithm>
#include <cstdio>
#include <cstring>

#include "simulator/driver/call.h"

namespace lorikeet::simulator {

namespace {

struct ErrorText {
  Result code;
  const char *name, *text;
};

constexpr ErrorText kErrors[] = {
    {kSuccess, "CUDA_SUCCESS", "no error"},
    {kInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {kOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {kNotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {kNoDevice, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {kInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {kInvalidContext, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {kNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available: the simulator takes PTX"},
    {kInvalidPtx, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {kInvalidHandle, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {kNotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {kNotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    {kIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {kLaunchOutOfResources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "too many resources requested for launch"},
    {kLaunchTimeout, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {kAssert, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {kMisalignedAddress, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {kLaunchFailed, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {kNotSupported, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {kCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {kCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {kCaptureUnmatched, "CUDA_ERROR_STREAM_CAPTURE_UNMATCHED", "capture was not initiated in this stream"},
    {kCaptureUnjoined, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "capturing stream has unjoined work"},
};

const ErrorText* text_of(int code) {
  const auto* const found =
      std::ranges::find(kErrors, code, [](const ErrorText& e) { return static_cast<int>(e.code); });
  return found == std::end(kErrors) ? nullptr : found;
}

struct DeviceAttribute {
  int id, value;
};

// Of the reference card, an H200: what differs by card and programs ask for.
constexpr DeviceAttribute kAttributes[] = {
    {1, 1024},         // threads per block
    {2, 1024},         // block.x
    {3, 1024},         // block.y
    {4, 64},           // block.z
    {5, 0x7fffffff},   // grid.x
    {6, 65535},        // grid.y
    {7, 65535},        // grid.z
    {8, 48 * 1024},    // shared memory per block, without an attribute
    {9, 64 * 1024},    // constant memory
    {10, 32},          // warp
    {12, 65536},       // registers per block
    {13, 1980000},     // kHz
    {16, 132},         // multiprocessors
    {18, 0},           // integrated
    {19, 1},           // maps host memory
    {31, 1},           // concurrent kernels
    {36, 3201000},     // kHz of the memory
    {37, 6144},        // bits of the memory's bus
    {38, 50 << 20},    // L2
    {39, 2048},        // threads per multiprocessor
    {40, 3},           // copy engines
    {41, 1},           // unified addresses
    {81, 228 * 1024},  // shared memory per multiprocessor
    {82, 65536},       // registers per multiprocessor
    {97, 227 * 1024},  // shared memory per block, with an attribute
    {106, 32},         // blocks per multiprocessor
    {111, 1024},       // shared memory that the system keeps per block
    {115, 1},          // memory pools
};

// The one context that there is at a time.
int context_token = 0;

Result require_device(int ordinal) {
  return ordinal >= 0 && ordinal < std::ssize(visible_devices()) ? kSuccess : kInvalidDevice;
}

}  // namespace

SIMULATOR_API int cuInit(unsigned flags) {
  if (flags != 0) return kInvalidValue;
  return visible_devices().empty() ? kNoDevice : kSuccess;
}

SIMULATOR_API int cuDriverGetVersion(int* version) {
  *version = settings_from_environment().driver_version;
  return kSuccess;
}

SIMULATOR_API int cuDeviceGetCount(int* count) {
  *count = static_cast<int>(visible_devices().size());
  return kSuccess;
}

SIMULATOR_API int cuDeviceGet(int* handle, int ordinal) {
  *handle = ordinal;
  return require_device(ordinal);
}

SIMULATOR_API int cuDeviceGetName(char* name, int length, int ordinal) {
  if (length > 0) std::snprintf(name, static_cast<size_t>(length), "PTX simulator");
  return require_device(ordinal);
}

SIMULATOR_API int cuDeviceGetUuid_v2(char* uuid, int ordinal) {
  if (require_device(ordinal) != kSuccess) return kInvalidDevice;
  std::memset(uuid, 0, 16);
  const auto device = static_cast<unsigned>(visible_devices()[static_cast<size_t>(ordinal)]);
  for (int byte = 0; byte < 4; ++byte) uuid[byte] = static_cast<char>(device >> (24 - 8 * byte));
  return kSuccess;
}

SIMULATOR_API int cuDeviceTotalMem_v2(size_t* bytes, int ordinal) {
  *bytes = settings_from_environment().memory_bytes;
  return require_device(ordinal);
}

SIMULATOR_API int cuDeviceGetAttribute(int* value, int attribute, int ordinal) {
  const int capability = settings_from_environment().capability;
  if (require_device(ordinal) != kSuccess) return kInvalidDevice;
  if (attribute == 75 || attribute == 76) {
    *value = attribute == 75 ? capability / 10 : capability % 10;
    return kSuccess;
  }
  const auto* const found = std::ranges::find(kAttributes, attribute, &DeviceAttribute::id);
  *value = found == std::end(kAttributes) ? 0 : found->value;
  return kSuccess;
}

SIMULATOR_API int cuDevicePrimaryCtxRetain(void** context, int ordinal) {
  Call call;
  if (require_device(ordinal) != kSuccess) return kInvalidDevice;
  if (!call.on().retain(ordinal)) return kNotSupported;
  *context = &context_token;
  return kSuccess;
}

SIMULATOR_API int cuDevicePrimaryCtxRelease_v2(int ordinal) {
  Call call;
  call.on().release();
  return require_device(ordinal);
}

SIMULATOR_API int cuDevicePrimaryCtxReset_v2(int ordinal) {
  Call call;
  while (call.on().has_context()) call.on().release();
  return require_device(ordinal);
}

SIMULATOR_API int cuCtxSetCurrent(void* context) {
  return context == nullptr || context == &context_token ? kSuccess : kInvalidContext;
}

SIMULATOR_API int cuCtxGetCurrent(void** context) {
  Call call;
  *context = call.on().has_context() ? &context_token : nullptr;
  return kSuccess;
}

SIMULATOR_API int cuCtxGetDevice(int* ordinal) {
  Call call;
  *ordinal = call.on().ordinal();
  return kSuccess;
}

SIMULATOR_API int cuCtxSynchronize() {
  return guarded([](Call& call) { return call.on().wait_for_all(call.lock()); });
}

SIMULATOR_API int cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return kSuccess;
}

SIMULATOR_API int cuGetErrorName(int error, const char** name) {
  const ErrorText* const found = text_of(error);
  *name = found ? found->name : nullptr;
  return found ? kSuccess : kInvalidValue;
}

SIMULATOR_API int cuGetErrorString(int error, const char** text) {
  const ErrorText* const found = text_of(error);
  *text = found ? found->text : nullptr;
  return found ? kSuccess : kInvalidValue;
}

// The text of the last report, until the next call; empty where no kernel did wrong.
SIMULATOR_API const char* lorikeetSimulatorReport() {
  Call call;
  return call.on().report().c_str();
}

// Of the last launch: instructions, lanes, bytes read, bytes written, sectors, accesses of shared memory,
// bank conflicts, matrix products, barriers. Writes at most `count` of them.
SIMULATOR_API void lorikeetSimulatorCounters(unsigned long long* values, size_t count) {
  Call call;
  const Counters& c = call.on().last_counters();
  const unsigned long long all[] = {c.instructions,         c.lanes,           c.global_bytes_read,
                                    c.global_bytes_written, c.global_sectors,  c.shared_accesses,
                                    c.bank_conflicts,       c.matrix_products, c.barriers};
  std::copy_n(all, std::min(count, std::size(all)), values);
}

// What the program asked for since the context was made: launches, graphs, copies. Writes at most `count` of
// them.
SIMULATOR_API void lorikeetSimulatorCalls(unsigned long long* values, size_t count) {
  Call call;
  const ProgramCalls& c = call.on().calls;
  const unsigned long long all[] = {c.launches, c.graphs, c.copies};
  std::copy_n(all, std::min(count, std::size(all)), values);
}

}  // namespace lorikeet::simulator
