// Which list of launches is replayed as which graph: a wrong one would answer with another step's kernels.
#include <doctest/doctest.h>

#include <string>

#include "backend/cuda/step_graphs.h"

namespace lorikeet::cuda {
namespace {

using Use = StepGraphs::Use;

ExecutableGraphHandle handle(uintptr_t number) {
  return reinterpret_cast<ExecutableGraphHandle>(number);
}

}  // namespace

TEST_CASE("a list is captured when it comes again, and replayed as the graph of the very same list alone") {
  StepGraphs graphs;
  const std::string one(64, 'a'), other = std::string(63, 'a') + "b";
  CHECK(graphs.find(one).use == Use::launch);
  CHECK(graphs.find(one).use == Use::capture);
  CHECK(graphs.keep(one, handle(1)) == nullptr);
  CHECK(graphs.find(other).use == Use::launch);
  CHECK(graphs.find(one).graph == handle(1));
  CHECK(graphs.find(other).use == Use::capture);
  CHECK(graphs.keep(other, handle(2)) == nullptr);
  CHECK(graphs.find(one).graph == handle(1));
  CHECK(graphs.find(other).graph == handle(2));
}

TEST_CASE("where there is no room for a graph, the one that went longest without use leaves") {
  StepGraphs graphs;
  const auto list = [](uintptr_t number) { return "list " + std::to_string(number); };
  uintptr_t number = 1;
  for (; number <= 64; ++number) {
    graphs.find(list(number));
    REQUIRE(graphs.keep(list(number), handle(number)) == nullptr);
  }
  CHECK(graphs.find(list(1)).graph == handle(1));
  graphs.find(list(number));
  CHECK(graphs.keep(list(number), handle(number)) == handle(2));
  CHECK(graphs.find(list(2)).use != Use::replay);
  CHECK(graphs.find(list(1)).use == Use::replay);
}

TEST_CASE("after a graph could not be made, lists are launched one by one, and kept graphs still serve") {
  StepGraphs graphs;
  graphs.find("kept");
  graphs.find("kept");
  graphs.keep("kept", handle(1));
  graphs.give_up();
  graphs.find("new");
  CHECK(graphs.find("new").use == Use::launch);
  CHECK(graphs.find("kept").use == Use::replay);
}

}  // namespace lorikeet::cuda
