// What happens when the system has no more memory: an Error of that kind, nothing half loaded, and the next
// call works. Each allocation of a call fails in turn, those of the backend and those of the standard
// library. A step has none that could fail.
#include <nlohmann/json.hpp>

#include "scarce_memory.h"
#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

constexpr const char* kQ = "model.layers.1.self_attn.q_proj";

struct Fixture {
  Fixture() {
    write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
    TestTensors tensors;
    for (const int rank : {3, 40}) {
      tensors["a" + std::to_string(rank)] = random_tensor({rank, kHidden}, 1);
      tensors["b" + std::to_string(rank)] = random_tensor({2 * kHeadDim, rank}, 2);
    }
    tensors["experts.a"] = random_tensor({3 * kExperts, kHidden}, 3);
    tensors["experts.b"] = random_tensor({2 * kFfn, 3 * kExperts}, 4);
    write_safetensors(path, tensors);
  }
  void write_experts() const {
    write_tiny_model(folder.path(), tiny_experts_config(), tiny_experts_tensors());
  }
  // Of all experts of a layer, rank 3.
  std::string expert_modules() const {
    const json lora = {{"rank", 3},
                       {"scale", 0.5},
                       {"a", json::parse(tensor_ref(path, "experts.a"))},
                       {"b", json::parse(tensor_ref(path, "experts.b"))}};
    return json::array({{{"module", "model.layers.0.mlp.experts.gate_up_proj"}, {"lora", lora}}}).dump();
  }
  std::string modules(int rank = 3) const {
    const std::string number = std::to_string(rank);
    const json lora = {{"rank", rank},
                       {"scale", 0.5},
                       {"a", json::parse(tensor_ref(path, "a" + number))},
                       {"b", json::parse(tensor_ref(path, "b" + number))}};
    return json::array({{{"module", kQ}, {"lora", lora}}}).dump();
  }
  ModelOptions options(BackendKind backend, Quantization quantization) const {
    ModelOptions options = tiny_options(folder.path());
    options.backend = backend;
    options.backend_options.threads = 2;
    options.quantization = quantization;
    return options;
  }

  TempFolder folder;
  std::string path = folder.path("adapter.safetensors");
};

// Rows of which several are drawn, so that the pool's threads have a part in it.
StepPlan drawing_plan() {
  StepPlan plan = plan_of({1, 5, 9, 4, 7});
  plan.sample_row = {1, 2, 3, 4};
  plan.sample_int.clear();
  plan.sample_float.clear();
  plan.sample_seed.clear();
  for (uint32_t sample = 0; sample < 4; ++sample) {
    plan.sample_int.insert(plan.sample_int.end(), {0, 0, 0, 5});
    plan.sample_float.insert(plan.sample_float.end(), {0.7f, 1, 0, 1, 0, 0});
    plan.sample_seed.insert(plan.sample_seed.end(), {sample, 0});
  }
  plan.history_start.assign(5, 0);
  plan.bias_start.assign(5, 0);
  return plan;
}

// As many rows as a step may have, with log-probabilities, penalties and a bias.
StepPlan long_plan() {
  StepPlan plan = plan_of(std::vector<int32_t>(24, 3));
  plan.sample_float = {0.9f, 0.8f, 0.01f, 1.2f, 0.5f, 0.5f};
  plan.history_start = {0, 2};
  plan.history_token = {3, 4};
  plan.history_count = {0, 2};
  plan.bias_start = {0, 1};
  plan.bias_token = {5};
  plan.bias_value = {1.5f};
  return plan;
}

// Pins and runs the plan while no memory is to be had.
std::vector<SampleResult> run_without_memory(Model& model, const StepPlan& plan, MemoryOf kind) {
  model.plan() = plan;
  ScarceMemory none(kind, 0);
  Status status = model.pin_step();
  if (status) status = model.run_step();
  CHECK_FALSE(none.end());
  REQUIRE(status);
  return {model.results().begin(), model.results().end()};
}

bool same_results(const std::vector<SampleResult>& a, const std::vector<SampleResult>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const SampleResult& x, const SampleResult& y) {
    return x.token == y.token && x.logprob == y.logprob && x.top_count == y.top_count &&
           std::equal(x.top_logprob, x.top_logprob + x.top_count, y.top_logprob);
  });
}

// Calls attempt(count) with one allocation more each time, until none fails.
template <class Attempt>
void with_ever_more_memory(Attempt attempt) {
  bool failed = true;
  for (int64_t count = 0; failed; ++count) {
    REQUIRE(count < 100'000);
    failed = attempt(count);
  }
}

constexpr MemoryOf kKindsOfLoads[] = {MemoryOf::backend, MemoryOf::large_new};
constexpr MemoryOf kKindsOfSteps[] = {MemoryOf::backend, MemoryOf::all_new};

}  // namespace

TEST_CASE("opening a model fails as out of memory at whichever allocation memory ends") {
  const Fixture f;
  for (const auto quantization : {Quantization::none, Quantization::int4}) {
    for (const MemoryOf kind : kKindsOfLoads) {
      const ModelOptions options = f.options(BackendKind::cpu, quantization);
      with_ever_more_memory([&](int64_t count) {
        ScarceMemory scarce(kind, count);
        const auto opened = Model::open(options);
        const bool failed = scarce.end();
        if (!failed) REQUIRE(opened);
        if (!opened) CHECK(opened.error().kind == ErrorKind::out_of_memory);
        return failed;
      });
    }
  }
}

TEST_CASE("loading an adapter fails as out of memory, leaves nothing, and works later") {
  const Fixture f;
  const std::string modules = f.modules();
  for (const BackendKind backend : {BackendKind::cpu, BackendKind::reference}) {
    const auto opened = Model::open(f.options(backend, Quantization::none));
    REQUIRE(opened);
    Model& model = **opened;
    for (const MemoryOf kind : kKindsOfLoads) {
      with_ever_more_memory([&](int64_t count) {
        ScarceMemory scarce(kind, count);
        const auto loaded = model.load_adapter(f.path, modules);
        const bool failed = scarce.end();
        if (!failed) REQUIRE(loaded);
        if (loaded) {
          CHECK(model.memory().adapter_bytes == loaded->bytes);
          CHECK(model.drop_adapter(loaded->handle));
        } else {
          CHECK(loaded.error().kind == ErrorKind::out_of_memory);
        }
        CHECK(model.memory().adapter_bytes == 0);
        return failed;
      });
    }
  }
}

TEST_CASE("a step needs no memory: the first one after opening runs where there is none left") {
  Fixture f;
  for (const bool experts : {false, true}) {
    if (experts) f.write_experts();
    for (const BackendKind backend : {BackendKind::cpu, BackendKind::reference}) {
      for (const auto quantization : {Quantization::none, Quantization::int8, Quantization::int4}) {
        const ModelOptions options = f.options(backend, quantization);
        const auto whole = Model::open(options);
        REQUIRE(whole);
        for (const StepPlan& plan : {drawing_plan(), plan_of({1, 5, 9}), long_plan()}) {
          const auto expected = run(**whole, plan);
          REQUIRE(expected);
          for (const MemoryOf kind : kKindsOfSteps) {
            const auto opened = Model::open(options);
            REQUIRE(opened);
            CHECK(same_results(*expected, run_without_memory(**opened, plan, kind)));
          }
        }
      }
    }
  }
}

TEST_CASE("a step with an adapter of experts needs no memory either") {
  const Fixture f;
  f.write_experts();
  for (const BackendKind backend : {BackendKind::cpu, BackendKind::reference}) {
    for (const MemoryOf kind : kKindsOfSteps) {
      const auto opened = Model::open(f.options(backend, Quantization::none));
      REQUIRE(opened);
      const auto loaded = (*opened)->load_adapter(f.path, f.expert_modules());
      REQUIRE(loaded);
      const StepPlan plan = plan_of({1, 5, 9, 2, 7}, loaded->handle);
      const auto results = run_without_memory(**opened, plan, kind);
      CHECK(same_results(*run(**opened, plan), results));
    }
  }
}

TEST_CASE("a step with an adapter needs no memory beyond what its load took, whatever ran before") {
  const Fixture f;
  for (const BackendKind backend : {BackendKind::cpu, BackendKind::reference}) {
    for (const MemoryOf kind : kKindsOfSteps) {
      const auto opened = Model::open(f.options(backend, Quantization::none));
      REQUIRE(opened);
      Model& model = **opened;
      (void)run_without_memory(model, plan_of({1, 5, 9}), kind);
      std::vector<int32_t> handles;
      for (const int rank : {3, 40}) {
        const auto loaded = model.load_adapter(f.path, f.modules(rank));
        REQUIRE(loaded);
        handles.push_back(loaded->handle);
        const auto results = run_without_memory(model, plan_of({1, 5, 9}, loaded->handle), kind);
        CHECK(same_results(*run(model, plan_of({1, 5, 9}, loaded->handle)), results));
      }
      for (const int32_t handle : handles) CHECK(model.drop_adapter(handle));
    }
  }
}

TEST_CASE("the working memory of steps is counted from the start, and grows with adapters' ranks alone") {
  const Fixture f;
  for (const auto quantization : {Quantization::none, Quantization::int8}) {
    const auto opened = Model::open(f.options(BackendKind::cpu, quantization));
    REQUIRE(opened);
    Model& model = **opened;
    const size_t idle = model.memory().scratch_bytes;
    // Two threads draw from a copy of the logits [V] and candidates of 16 bytes.
    CHECK(idle >= 2 * kVocab * (sizeof(float) + 16));
    REQUIRE(run(model, drawing_plan()));
    CHECK(model.memory().scratch_bytes == idle);
    std::vector<size_t> held;
    for (const int rank : {3, 40, 40, 3}) {
      const auto loaded = model.load_adapter(f.path, f.modules(rank));
      REQUIRE(loaded);
      REQUIRE(run(model, plan_of({1, 5}, loaded->handle)));
      held.push_back(model.memory().scratch_bytes);
    }
    CHECK(held[0] > idle);
    CHECK(held[1] > held[0]);
    CHECK(held[2] == held[1]);
    CHECK(held[3] == held[1]);
  }
}

TEST_CASE("what is wrong with what came in is not a lack of memory") {
  const Fixture f;
  const auto opened = Model::open(tiny_options(f.folder.path()));
  REQUIRE(opened);
  const auto loaded = (*opened)->load_adapter(f.path, R"([{"module": "no.such"}])");
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().kind == ErrorKind::invalid);
  const auto absent = Model::open(tiny_options(f.folder.path("none")));
  REQUIRE_FALSE(absent);
  CHECK(absent.error().kind == ErrorKind::invalid);
}

}  // namespace lorikeet::test
