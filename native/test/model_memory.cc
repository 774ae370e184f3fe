// What happens when the system has no more memory: an Error of that kind, nothing half loaded, and the next
// call works. Each allocation of a call fails in turn, those of the backend and those of the standard
// library.
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
    write_safetensors(path,
                      {{"a", random_tensor({3, kHidden}, 1)}, {"b", random_tensor({2 * kHeadDim, 3}, 2)}});
  }
  std::string modules() const {
    const json lora = {{"rank", 3},
                       {"scale", 0.5},
                       {"a", json::parse(tensor_ref(path, "a"))},
                       {"b", json::parse(tensor_ref(path, "b"))}};
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

TEST_CASE("a step that runs out of memory fails alone: the next one gives the same bits as ever") {
  const Fixture f;
  for (const auto quantization : {Quantization::none, Quantization::int8}) {
    const ModelOptions options = f.options(BackendKind::cpu, quantization);
    const auto whole = Model::open(options);
    REQUIRE(whole);
    const StepPlan plan = drawing_plan();
    const auto expected = run(**whole, plan);
    REQUIRE(expected);
    for (const MemoryOf kind : kKindsOfSteps) {
      const auto opened = Model::open(options);  // its working memory has not grown yet
      REQUIRE(opened);
      Model& model = **opened;
      with_ever_more_memory([&](int64_t count) {
        model.plan() = plan;
        ScarceMemory scarce(kind, count);
        Status status = model.pin_step();
        if (status) status = model.run_step();
        const bool failed = scarce.end();
        if (!failed) REQUIRE(status);
        if (!status) {
          CHECK(status.error().kind == ErrorKind::out_of_memory);
          return failed;
        }
        for (size_t i = 0; i < expected->size(); ++i) {
          CHECK(model.results()[i].token == (*expected)[i].token);
          CHECK(model.results()[i].logprob == (*expected)[i].logprob);
        }
        return failed;
      });
    }
  }
}

TEST_CASE("a step with an adapter that runs out of memory lets go of the adapter") {
  const Fixture f;
  const auto opened = Model::open(f.options(BackendKind::cpu, Quantization::none));
  REQUIRE(opened);
  Model& model = **opened;
  const auto loaded = model.load_adapter(f.path, f.modules());
  REQUIRE(loaded);
  const StepPlan plan = plan_of({1, 5, 9}, loaded->handle);
  for (const MemoryOf kind : kKindsOfSteps) {
    with_ever_more_memory([&](int64_t count) {
      model.plan() = plan;
      ScarceMemory scarce(kind, count);
      Status status = model.pin_step();
      if (status) status = model.run_step();
      const bool failed = scarce.end();
      if (!failed) REQUIRE(status);
      return failed;
    });
  }
  CHECK(model.drop_adapter(loaded->handle));
}

TEST_CASE("the working memory of a step is counted, and stays as it is in the next one of its size") {
  const Fixture f;
  for (const auto quantization : {Quantization::none, Quantization::int8}) {
    const auto opened = Model::open(f.options(BackendKind::cpu, quantization));
    REQUIRE(opened);
    Model& model = **opened;
    const size_t idle = model.memory().scratch_bytes;
    REQUIRE(run(model, drawing_plan()));
    const size_t once = model.memory().scratch_bytes;
    // Two threads draw from a copy of the logits [V] and candidates of 16 bytes.
    CHECK(once >= idle + 2 * kVocab * (sizeof(float) + 16));
    REQUIRE(run(model, drawing_plan()));
    CHECK(model.memory().scratch_bytes == once);
    REQUIRE(run(model, plan_of({1, 5})));
    CHECK(model.memory().scratch_bytes == once);
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
