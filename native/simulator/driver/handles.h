#pragma once
#include "simulator/driver/device.h"

namespace lorikeet::simulator {

// What programs hold: addresses of boxes, under names that say what they are.
struct EventHandle;
struct GraphHandle;
struct NodeHandle;
struct ExecutableHandle;

struct GraphBox {
  std::shared_ptr<Graph> graph;
};

inline StreamHandle* handle_of(StreamBox* box) {
  return reinterpret_cast<StreamHandle*>(box);
}
inline EventHandle* handle_of(Event* event) {
  return reinterpret_cast<EventHandle*>(event);
}
inline GraphHandle* handle_of(GraphBox* box) {
  return reinterpret_cast<GraphHandle*>(box);
}
inline NodeHandle* handle_of(GraphNode* node) {
  return reinterpret_cast<NodeHandle*>(node);
}
inline ExecutableHandle* handle_of(ExecutableGraph* graph) {
  return reinterpret_cast<ExecutableHandle*>(graph);
}

inline Event& event_of(EventHandle* handle) {
  return *reinterpret_cast<Event*>(handle);
}
inline GraphBox& graph_of(GraphHandle* handle) {
  return *reinterpret_cast<GraphBox*>(handle);
}
inline GraphNode* node_of(NodeHandle* handle) {
  return reinterpret_cast<GraphNode*>(handle);
}
inline ExecutableGraph& executable_of(ExecutableHandle* handle) {
  return *reinterpret_cast<ExecutableGraph*>(handle);
}

}  // namespace lorikeet::simulator
