#include "simulator/driver/graph.h"

#include <algorithm>

#include "simulator/driver/device.h"

namespace lorikeet::simulator {

ExecutableGraph::ExecutableGraph(const Graph& graph) {
  for (const auto& node : graph.nodes()) {
    index_[node.get()] = steps_.size();
    Step step{*node, {}};
    for (const GraphNode* before : node->after) step.after.push_back(index_.at(before));
    steps_.push_back(std::move(step));
  }
}

bool ExecutableGraph::set_kernel(const GraphNode* node, KernelLaunch launch) {
  const auto found = index_.find(node);
  if (found == index_.end() || node->type != NodeType::kernel) return false;
  steps_[found->second].node.launch = std::move(launch);
  return true;
}

std::function<Result()> ExecutableGraph::work(Order order, uint64_t seed) const {
  return [steps = steps_, order, chance = Chance(seed)]() mutable -> Result {
    std::vector<bool> done(steps.size(), false);
    for (size_t count = 0; count < steps.size(); ++count) {
      std::vector<size_t> ready;
      for (size_t i = 0; i < steps.size(); ++i) {
        const auto is_done = [&](size_t before) { return done[before]; };
        if (!done[i] && std::ranges::all_of(steps[i].after, is_done)) ready.push_back(i);
      }
      size_t next = ready.front();
      if (order == Order::reverse) next = ready.back();
      if (order == Order::random) next = ready[chance.below(static_cast<uint32_t>(ready.size()))];
      const GraphNode& node = steps[next].node;
      const Result result = node.type == NodeType::kernel ? device().run(node.launch) : node.run();
      if (result != kSuccess) return result;
      done[next] = true;
    }
    return kSuccess;
  };
}

}  // namespace lorikeet::simulator
