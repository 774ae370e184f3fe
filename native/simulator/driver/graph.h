#pragma once
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "simulator/driver/kernel.h"

namespace lorikeet::simulator {

enum class NodeType : int { kernel = 0, copy = 1, set = 2, host = 3, empty = 5 };

// As recorded. `launch` is of kernel nodes, `run` of all others.
struct GraphNode {
  NodeType type = NodeType::empty;
  KernelLaunch launch;
  std::function<Result()> run;
  std::vector<GraphNode*> after;
};

class Graph {
 public:
  GraphNode& add(GraphNode node) {
    nodes_.push_back(std::make_unique<GraphNode>(std::move(node)));
    return *nodes_.back();
  }
  const std::vector<std::unique_ptr<GraphNode>>& nodes() const { return nodes_; }

 private:
  std::vector<std::unique_ptr<GraphNode>> nodes_;
};

// A copy of a graph that can be launched. Nodes are known by those that they were copied from.
class ExecutableGraph {
 public:
  explicit ExecutableGraph(const Graph& graph);

  bool set_kernel(const GraphNode* node, KernelLaunch launch);
  // What a launch runs: the nodes as they are now, in one of the orders that their dependencies leave.
  std::function<Result()> work(Order order, uint64_t seed) const;

 private:
  struct Step {
    GraphNode node;
    std::vector<size_t> after;
  };
  std::vector<Step> steps_;
  std::map<const GraphNode*, size_t> index_;
};

}  // namespace lorikeet::simulator
