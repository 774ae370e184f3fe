#include "backend/cuda/step_graphs.h"

#include <algorithm>

namespace lorikeet::cuda {

StepGraphs::Found StepGraphs::find(std::string_view content) {
  ++clock_;
  const auto graph = graphs_.find(content);
  if (graph != graphs_.end()) {
    graph->second.used = clock_;
    return {Use::replay, graph->second.graph};
  }
  if (given_up_) return {};
  const auto [seen, first] = seen_.try_emplace(Hash()(content), clock_);
  if (!first) {
    seen_.erase(seen);
    return {Use::capture};
  }
  if (seen_.size() > kMostSeen) {
    seen_.erase(std::ranges::min_element(seen_, {}, [](const auto& entry) { return entry.second; }));
  }
  return {};
}

ExecutableGraphHandle StepGraphs::keep(std::string_view content, ExecutableGraphHandle graph) {
  ExecutableGraphHandle leaves = nullptr;
  if (graphs_.size() >= kMostGraphs) {
    const auto oldest =
        std::ranges::min_element(graphs_, {}, [](const auto& entry) { return entry.second.used; });
    leaves = oldest->second.graph;
    graphs_.erase(oldest);
  }
  graphs_.emplace(content, Entry{graph, clock_});
  return leaves;
}

}  // namespace lorikeet::cuda
