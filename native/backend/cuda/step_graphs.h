// Graphs of the steps that come again: a step of as many rows, sequences and segments as another has the same
// launches, since what differs between them (tokens, positions, pages, adapters) lies in what is sent up.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "backend/cuda/driver.h"

namespace lorikeet::cuda {

class StepGraphs {
 public:
  enum class Use : uint8_t { launch, capture, replay };
  struct Found {
    Use use = Use::launch;
    ExecutableGraphHandle graph = nullptr;
  };

  // What to do with a list of this content: it is worth a graph when it comes for the second time.
  Found find(std::string_view content);
  // The graph that was captured of it; the one that went longest without use leaves, and is the caller's to
  // destroy.
  ExecutableGraphHandle keep(std::string_view content, ExecutableGraphHandle graph);
  // From now on none is captured.
  void give_up() { given_up_ = true; }
  template <class Body>
  void for_each(Body&& body) const {
    for (const auto& [content, entry] : graphs_) body(entry.graph);
  }

 private:
  static constexpr size_t kMostGraphs = 64, kMostSeen = 1024;

  struct Entry {
    ExecutableGraphHandle graph = nullptr;
    uint64_t used = 0;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, Entry, Hash, std::equal_to<>> graphs_;
  std::unordered_map<size_t, uint64_t> seen_;  // hashes of lists without a graph, and when
  uint64_t clock_ = 0;
  bool given_up_ = false;
};

}  // namespace lorikeet::cuda
