// Modules, their kernels and variables, what a kernel needs.
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>

#include "simulator/driver/call.h"
#include "simulator/driver/image.h"

namespace lorikeet::simulator {

struct FunctionHandle {
  KernelFunction function;
};

struct ModuleHandle {
  std::shared_ptr<LoadedKernels> kernels;
  std::map<std::string, std::unique_ptr<FunctionHandle>> functions;
};

KernelFunction& function_of(FunctionHandle* handle) {
  return handle->function;
}

namespace {

constexpr int kErrorLog = 5, kErrorLogBytes = 6;

// Into the buffer that the program gave, if it gave one.
void log_error(const std::string& message, unsigned count, const int* options, void** values) {
  char* buffer = nullptr;
  size_t bytes = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (options[i] == kErrorLog) buffer = static_cast<char*>(values[i]);
    if (options[i] == kErrorLogBytes) bytes = reinterpret_cast<size_t>(values[i]);
  }
  if (buffer != nullptr && bytes > 0) std::snprintf(buffer, bytes, "%s", message.c_str());
  std::fprintf(stderr, "simulator: module: %s\n", message.c_str());
}

struct LoadOptions {
  unsigned count = 0;
  const int* options = nullptr;
  void** values = nullptr;
};

Result load(Call& call, ModuleHandle** module, const void* image, const LoadOptions& options) {
  auto ptx = ptx_of_image(image);
  if (const auto* error = std::get_if<ImageError>(&ptx)) {
    log_error(error->message, options.count, options.options, options.values);
    return error->code;
  }
  auto loaded = LoadedModule::load(std::move(std::get<std::string>(ptx)), call.on().memory());
  if (const auto* error = std::get_if<std::string>(&loaded)) {
    log_error(*error, options.count, options.options, options.values);
    return kInvalidPtx;
  }
  auto kernels = std::make_shared<LoadedKernels>();
  kernels->memory = call.on().shared_memory();
  kernels->module = std::move(std::get<std::unique_ptr<LoadedModule>>(loaded));
  *module = new ModuleHandle{std::move(kernels), {}};
  return kSuccess;
}

}  // namespace

SIMULATOR_API int cuModuleLoadData(ModuleHandle** module, const void* image) {
  return guarded([&](Call& call) { return load(call, module, image, {}); });
}

SIMULATOR_API int cuModuleLoadDataEx(ModuleHandle** module, const void* image, unsigned count,
                                     const int* options, void** values) {
  return guarded([&](Call& call) { return load(call, module, image, {count, options, values}); });
}

SIMULATOR_API int cuModuleLoadFatBinary(ModuleHandle** module, const void* image) {
  return cuModuleLoadData(module, image);
}

SIMULATOR_API int cuModuleUnload(ModuleHandle* module) {
  Call call;
  delete module;
  return kSuccess;
}

SIMULATOR_API int cuModuleGetFunction(FunctionHandle** function, ModuleHandle* module, const char* name) {
  return guarded([&](Call&) {
    const Program* const program = module->kernels->module->kernel(name);
    if (program == nullptr) return kNotFound;
    auto& handle = module->functions[name];
    if (!handle) handle = std::make_unique<FunctionHandle>(FunctionHandle{{module->kernels, program}});
    *function = handle.get();
    return kSuccess;
  });
}

SIMULATOR_API int cuModuleGetGlobal_v2(uint64_t* address, size_t* bytes, ModuleHandle* module,
                                       const char* name) {
  return guarded([&](Call&) {
    const auto variable = module->kernels->module->variable(name);
    if (!variable) return kNotFound;
    if (address) *address = variable->address;
    if (bytes) *bytes = variable->bytes;
    return kSuccess;
  });
}

SIMULATOR_API int cuFuncGetAttribute(int* value, int attribute, FunctionHandle* handle) {
  return guarded([&](Call& call) {
    const KernelFunction& function = handle->function;
    const Program& program = *function.program;
    switch (attribute) {
      case kFunctionMaxThreads:
        *value = static_cast<int>(program.max_threads);
        return kSuccess;
      case kFunctionSharedBytes:
        *value = static_cast<int>(program.static_shared_bytes);
        return kSuccess;
      case kFunctionLocalBytes:
        *value = static_cast<int>(program.local.size());
        return kSuccess;
      case kFunctionRegisters:
        *value = static_cast<int>(std::min(program.register_estimate, 255u));
        return kSuccess;
      case kFunctionPtxVersion:
        *value = 80;
        return kSuccess;
      case kFunctionBinaryVersion:
        *value = call.on().settings().capability;
        return kSuccess;
      case kFunctionMaxDynamicSharedBytes:
        *value = static_cast<int>(function.max_dynamic_shared_bytes);
        return kSuccess;
      default:
        *value = 0;
        return kSuccess;
    }
  });
}

SIMULATOR_API int cuFuncSetAttribute(FunctionHandle* handle, int attribute, int value) {
  return guarded([&](Call&) {
    if (attribute != kFunctionMaxDynamicSharedBytes)
      return attribute == kFunctionCarveout ? kSuccess : kInvalidValue;
    const uint32_t most = 227 * 1024 - handle->function.program->static_shared_bytes;
    if (value < 0 || static_cast<uint32_t>(value) > most) return kInvalidValue;
    handle->function.max_dynamic_shared_bytes = static_cast<uint32_t>(value);
    return kSuccess;
  });
}

SIMULATOR_API int cuFuncSetCacheConfig(FunctionHandle*, int) {
  return kSuccess;
}

// By threads, shared memory and an estimate of the registers; only the assembler knows them.
SIMULATOR_API int cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, FunctionHandle* handle,
                                                              int threads, size_t dynamic_bytes) {
  return guarded([&](Call&) {
    const Program& program = *handle->function.program;
    if (threads <= 0) return kInvalidValue;
    const auto warps = (static_cast<uint32_t>(threads) + 31) / 32;
    const uint64_t shared = program.static_shared_bytes + dynamic_bytes + 1024;
    const uint32_t registers = std::clamp(program.register_estimate, 16u, 255u) * warps * 32;
    const uint64_t most = std::min<uint64_t>({32, 64 / warps, 228 * 1024 / shared, 65536 / registers});
    *blocks = static_cast<uint32_t>(threads) > program.max_threads ? 0 : static_cast<int>(most);
    return kSuccess;
  });
}

}  // namespace lorikeet::simulator
