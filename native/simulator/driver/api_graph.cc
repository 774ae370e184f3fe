// Graphs: made by capture, copied into what can be launched.
#include <algorithm>

#include "simulator/driver/api_launch.h"
#include "simulator/driver/call.h"
#include "simulator/driver/handles.h"

namespace lorikeet::simulator {

SIMULATOR_API int cuGraphInstantiateWithFlags(ExecutableHandle** executable, GraphHandle* graph,
                                              unsigned long long) {
  return guarded([&](Call&) {
    *executable = handle_of(new ExecutableGraph(*graph_of(graph).graph));
    return kSuccess;
  });
}

SIMULATOR_API int cuGraphDestroy(GraphHandle* graph) {
  return guarded([&](Call&) {
    delete &graph_of(graph);
    return kSuccess;
  });
}

SIMULATOR_API int cuGraphExecDestroy(ExecutableHandle* executable) {
  return guarded([&](Call&) {
    delete &executable_of(executable);
    return kSuccess;
  });
}

SIMULATOR_API int cuGraphUpload(ExecutableHandle*, StreamHandle*) {
  return guarded([](Call&) { return kSuccess; });
}

SIMULATOR_API int cuGraphLaunch(ExecutableHandle* executable, StreamHandle* handle) {
  return guarded([&](Call& call) {
    const auto stream = call.on().stream_of(handle);
    if (stream->capture) return kCaptureUnsupported;
    ++call.on().calls.graphs;
    const Options& options = call.on().settings().options;
    GraphNode node;
    node.run = executable_of(executable).work(options.order, options.seed);
    return call.on().submit(stream, std::move(node));
  });
}

// As the driver does: without an array only their number.
SIMULATOR_API int cuGraphGetNodes(GraphHandle* graph, NodeHandle** nodes, size_t* count) {
  return guarded([&](Call&) {
    const auto& all = graph_of(graph).graph->nodes();
    if (nodes != nullptr) {
      *count = std::min(*count, all.size());
      for (size_t i = 0; i < *count; ++i) nodes[i] = handle_of(all[i].get());
    } else {
      *count = all.size();
    }
    return kSuccess;
  });
}

SIMULATOR_API int cuGraphNodeGetType(NodeHandle* node, int* type) {
  return guarded([&](Call&) {
    *type = static_cast<int>(node_of(node)->type);
    return kSuccess;
  });
}

// The kernel with its shape and arguments; the kernel itself may change too.
SIMULATOR_API int cuGraphExecKernelNodeSetParams_v2(ExecutableHandle* executable, NodeHandle* node,
                                                    const KernelNodeParams* params) {
  return guarded([&](Call&) {
    const auto dim = [](const unsigned(&sizes)[3]) { return Dim{sizes[0], sizes[1], sizes[2]}; };
    KernelLaunch launch;
    const Result made = make_launch({params->function, dim(params->grid), dim(params->block),
                                     params->shared_bytes, params->parameters, params->extra},
                                    launch);
    if (made != kSuccess) return made;
    launch.may_overlap = node_of(node)->launch.may_overlap;
    return executable_of(executable).set_kernel(node_of(node), std::move(launch)) ? kSuccess : kInvalidValue;
  });
}

// Version 1 has fewer fields behind those that are read.
SIMULATOR_API int cuGraphExecKernelNodeSetParams(ExecutableHandle* executable, NodeHandle* node,
                                                 const KernelNodeParams* params) {
  return cuGraphExecKernelNodeSetParams_v2(executable, node, params);
}

}  // namespace lorikeet::simulator
