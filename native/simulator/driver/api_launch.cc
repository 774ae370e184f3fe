// Launches, by themselves and as nodes of graphs.
#include "simulator/driver/api_launch.h"

#include <cstdio>
#include <cstring>

#include "simulator/driver/call.h"

namespace lorikeet::simulator {

namespace {

// The arguments as the kernel's parameters lie; from pointers to each, or one buffer (CU_LAUNCH_PARAM_*).
bool pack_arguments(KernelLaunch& launch, void** parameters, void** extra) {
  const Program& program = *launch.program;
  launch.parameters.assign(program.parameter_bytes, 0);
  if (parameters != nullptr) {
    for (size_t i = 0; i < program.parameters.size(); ++i) {
      if (parameters[i] == nullptr) return false;
      std::memcpy(launch.parameters.data() + program.parameters[i].offset, parameters[i],
                  program.parameters[i].bytes);
    }
    return true;
  }
  if (extra == nullptr) return program.parameters.empty();
  const void* buffer = nullptr;
  size_t bytes = 0;
  for (; *extra != nullptr; extra += 2) {
    const auto kind = reinterpret_cast<uintptr_t>(extra[0]);
    if (kind == 1) buffer = extra[1];
    if (kind == 2) bytes = *static_cast<size_t*>(extra[1]);
  }
  if (buffer == nullptr || bytes < launch.parameters.size()) return false;
  std::memcpy(launch.parameters.data(), buffer, launch.parameters.size());
  return true;
}

Dim dim(const unsigned (&sizes)[3]) {
  return {sizes[0], sizes[1], sizes[2]};
}

Result launch_config(Call& call, const LaunchConfig& config, FunctionHandle* function, void** parameters,
                     void** extra) {
  LaunchRequestOfProgram request{
      function, dim(config.grid), dim(config.block), config.shared_bytes, parameters, extra};
  GraphNode node;
  node.type = NodeType::kernel;
  const Result made = make_launch(request, node.launch);
  if (made != kSuccess) return made;
  for (unsigned i = 0; i < config.attribute_count; ++i) {
    const LaunchAttribute& attribute = config.attributes[i];
    if (attribute.id == kProgrammaticSerialization) node.launch.may_overlap = attribute.value.number != 0;
  }
  const auto stream = call.on().stream_of(config.stream);
  if (!stream->capture) ++call.on().calls.launches;
  return call.on().submit(stream, std::move(node));
}

}  // namespace

Result make_launch(const LaunchRequestOfProgram& request, KernelLaunch& launch) {
  if (request.function == nullptr) return kInvalidHandle;
  const KernelFunction& function = function_of(request.function);
  launch.owner = function.owner;
  launch.program = function.program;
  launch.shape = {request.grid, request.block, request.shared_bytes};
  if (request.shared_bytes > function.max_dynamic_shared_bytes) {
    std::fprintf(stderr,
                 "simulator: %s is launched with %u bytes of dynamic shared memory, and may have %u: set "
                 "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES first\n",
                 function.program->name.c_str(), request.shared_bytes, function.max_dynamic_shared_bytes);
    return kInvalidValue;
  }
  if (request.grid.count() == 0 || request.block.count() == 0) return kInvalidValue;
  if (request.block.count() > function.program->max_threads) return kLaunchOutOfResources;
  return pack_arguments(launch, request.parameters, request.extra) ? kSuccess : kInvalidValue;
}

SIMULATOR_API int cuLaunchKernel(FunctionHandle* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                                 unsigned by, unsigned bz, unsigned shared_bytes, StreamHandle* stream,
                                 void** parameters, void** extra) {
  return guarded([&](Call& call) {
    const LaunchConfig config{{gx, gy, gz}, {bx, by, bz}, shared_bytes, stream, nullptr, 0};
    return launch_config(call, config, function, parameters, extra);
  });
}

SIMULATOR_API int cuLaunchKernelEx(const LaunchConfig* config, FunctionHandle* function, void** parameters,
                                   void** extra) {
  return guarded([&](Call& call) { return launch_config(call, *config, function, parameters, extra); });
}

SIMULATOR_API int cuLaunchHostFunc(StreamHandle* stream, void (*function)(void*), void* data) {
  return guarded([&](Call& call) {
    GraphNode node;
    node.type = NodeType::host;
    node.run = [=] {
      function(data);
      return kSuccess;
    };
    return call.on().submit(call.on().stream_of(stream), std::move(node));
  });
}

}  // namespace lorikeet::simulator
