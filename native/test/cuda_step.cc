// What a step asks of the driver: all that it needs in one upload, its launches as a graph once they come
// again, and one copy back; with adapters and without, and with the same answers.
#include <dlfcn.h>

#include <array>
#include <nlohmann/json.hpp>

#include "test/cuda_simulated.h"
#include "test/tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

struct Calls {
  unsigned long long launches = 0, graphs = 0, copies = 0;
  bool operator==(const Calls&) const = default;
};

// Since the simulator's context was made.
Calls calls_so_far() {
  void* const driver = dlopen(SIMULATED_DRIVER, RTLD_NOW);
  REQUIRE(driver != nullptr);
  using Read = void (*)(unsigned long long*, size_t);
  const auto read = reinterpret_cast<Read>(dlsym(driver, "lorikeetSimulatorCalls"));
  const bool found = read != nullptr;
  REQUIRE(found);
  std::array<unsigned long long, 3> values{};
  read(values.data(), values.size());
  return {values[0], values[1], values[2]};
}

struct Step {
  Calls calls;
  float logprob = 0;
};

Step stepped(Model& model, const StepPlan& plan) {
  const Calls before = calls_so_far();
  const auto results = run(model, plan);
  REQUIRE(results);
  const Calls after = calls_so_far();
  return {{after.launches - before.launches, after.graphs - before.graphs, after.copies - before.copies},
          results->front().logprob};
}

// One token behind those of a prompt, in the page that they end in.
StepPlan decode(int32_t token, int32_t position, int32_t adapter) {
  StepPlan plan = plan_of(std::vector<int32_t>(static_cast<size_t>(position) + 1, 1), adapter);
  plan.token = {token};
  plan.position = plan.kv_slot = {position};
  plan.q_start = {0, 1};
  plan.sample_row = {0};
  if (adapter != 0) plan.segment = {0, 1, adapter};
  return plan;
}

struct Served {
  Served() {
    write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
    ModelOptions options = tiny_options(folder.path());
    options.backend = BackendKind::cuda;
    options.quantization = Quantization::int4;
    auto opened = Model::open(options);
    REQUIRE(opened);
    model = std::move(*opened);
    const std::string path = folder.path("adapter.safetensors");
    write_safetensors(path, {{"a", random_tensor({3, kHidden}, 1)},
                             {"b", random_tensor({2 * kHeadDim, 3}, 2)},
                             {"c", random_tensor({3, kHidden}, 3)}});
    const auto ref = [&](const char* name) { return json::parse(tensor_ref(path, name)); };
    for (const char* a : {"a", "c"}) {
      const json modules =
          json::array({{{"module", "model.layers.0.self_attn.q_proj"},
                        {"lora", {{"rank", 3}, {"scale", 2.0}, {"a", ref(a)}, {"b", ref("b")}}}}});
      const auto loaded = model->load_adapter(path, modules.dump());
      REQUIRE(loaded);
      handles.push_back(loaded->handle);
    }
    REQUIRE(run(*model, plan_of({1, 5, 9}, 0)));
  }

  TempFolder folder;
  std::unique_ptr<Model> model;
  std::vector<int32_t> handles;
};

}  // namespace

TEST_CASE("a step that comes again is one upload, one graph and one copy back, and answers as before") {
  const Simulated simulated;
  Served served;
  Model& model = *served.model;
  const Calls again{.launches = 0, .graphs = 1, .copies = 2};
  for (const int32_t adapter : {0, served.handles[0]}) {
    const StepPlan plan = decode(7, 3, adapter);
    const Step first = stepped(model, plan);
    MESSAGE("a decode step of two layers ", std::string(adapter == 0 ? "without" : "with"),
            " an adapter: ", first.calls.launches, " launches, then 1 graph");
    CHECK(first.calls.launches > 20);
    CHECK(first.calls.graphs == 0);
    CHECK(first.calls.copies == 2);
    for (int turn = 0; turn < 3; ++turn) {
      const Step next = stepped(model, plan);
      CHECK(next.calls == again);
      CHECK(next.logprob == first.logprob);
    }
  }
}

TEST_CASE("a graph serves other tokens, positions and adapters, with the answers of single launches") {
  const Simulated simulated;
  Served served;
  const auto replayed = [&](int32_t token, int32_t handle) {
    const Step step = stepped(*served.model, decode(token, 3, handle));
    CHECK(step.calls.graphs == 1);
    return step.logprob;
  };
  for (int turn = 0; turn < 2; ++turn) {
    (void)stepped(*served.model, decode(7, 3, 0));
    (void)stepped(*served.model, decode(7, 3, served.handles[0]));
  }
  // A model that never saw a step twice launches each.
  const auto launched = [&](int32_t token, int32_t handle) {
    Served once;
    const int32_t own = handle == 0 ? 0 : once.handles[handle == served.handles[0] ? 0 : 1];
    const Step step = stepped(*once.model, decode(token, 3, own));
    CHECK(step.calls.graphs == 0);
    return step.logprob;
  };
  CHECK(replayed(11, 0) == launched(11, 0));
  const float one = replayed(11, served.handles[0]), other = replayed(11, served.handles[1]);
  CHECK(one != other);
  CHECK(one == launched(11, served.handles[0]));
  CHECK(other == launched(11, served.handles[1]));
}

TEST_CASE("loads and drops between the steps of a graph change no answer") {
  const Simulated simulated;
  Served served;
  Model& model = *served.model;
  const StepPlan plan = decode(7, 3, served.handles[0]);
  const float answer = stepped(model, plan).logprob;
  (void)stepped(model, plan);
  REQUIRE(model.drop_adapter(served.handles[1]));
  for (int turn = 0; turn < 3; ++turn) CHECK(stepped(model, plan).logprob == answer);
}

TEST_CASE("a step's first launch that fails loses the device, as a graph too") {
  const Simulated simulated;
  const StepPlan plan = decode(7, 3, 0);
  const TempFolder folder;
  const std::string file = folder.path("fault");
  const Variable fault("LORIKEET_SIM_FAULT_FILE", file);
  Served served;
  for (int turn = 0; turn < 3; ++turn) (void)stepped(*served.model, plan);
  write_text(file, "fail");
  const auto lost = run(*served.model, plan);
  REQUIRE_FALSE(lost);
  CHECK(lost.error().kind == ErrorKind::device_lost);
}

}  // namespace lorikeet::test
