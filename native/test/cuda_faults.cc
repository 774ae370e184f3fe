// What a device does to those who trust it: memory ends anywhere, kernels never end, adapters come and go
// while steps run. Nothing is leaked, nobody waits for ever, and no answer changes.
#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "test/cuda_simulated.h"
#include "test/tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

struct Fixture {
  Fixture() {
    write_tiny_model(folder.path(), tiny_experts_config(), tiny_experts_tensors());
    write_safetensors(weights, {{"a", random_tensor({3, kHidden}, 1)},
                                {"b", random_tensor({2 * kHeadDim, 3}, 2)},
                                {"m", random_tensor({2 * kHeadDim}, 3)},
                                {"w1.a", random_tensor({2, kHidden}, 4)},
                                {"w1.b", random_tensor({kFfn, 2}, 5)}});
    options = tiny_options(folder.path());
    options.backend = BackendKind::cuda;
    options.quantization = Quantization::int4;
  }
  std::string modules() const {
    const auto ref = [&](const char* name) { return json::parse(tensor_ref(weights, name)); };
    return json::array({{{"module", "model.layers.0.self_attn.q_proj"},
                         {"lora", {{"rank", 3}, {"scale", 2.0}, {"a", ref("a")}, {"b", ref("b")}}},
                         {"magnitude", ref("m")}},
                        {{"module", "model.layers.1.mlp.experts.2.w1"},
                         {"lora", {{"rank", 2}, {"scale", 1.5}, {"a", ref("w1.a")}, {"b", ref("w1.b")}}}}})
        .dump();
  }

  Simulated simulated;
  TempFolder folder;
  std::string weights = folder.path("adapter.safetensors");
  ModelOptions options;
};

// Keeps the simulator's context, whose settings are read when it is made, and counts what is free there.
struct Context {
  Context() : device(cuda::Device::open_without_kernels(0)) { REQUIRE(device); }
  size_t free() const { return free_bytes(**device); }

  Result<std::unique_ptr<cuda::Device>> device;
};

bool whole_suite() {
  const char* const all = std::getenv("LORIKEET_TEST_ALL");
  return all != nullptr && std::string(all) == "1";
}

// The last allocation whose failure keeps a model from opening.
int allocations_of_opening(const ModelOptions& options) {
  int fails = 1, opens = 256;
  while (opens - fails > 1) {
    const int middle = (fails + opens) / 2;
    const Variable failing("LORIKEET_SIM_FAIL_ALLOCATION", std::to_string(middle));
    (Model::open(options) ? opens : fails) = middle;
  }
  return fails;
}

const std::vector<int32_t> kPrompt{1, 5, 9, 3, 17, 30, 2};

float answer(Model& model, int32_t handle = 0) {
  const auto results = run(model, plan_of(kPrompt, handle));
  REQUIRE(results);
  return results->front().logprob;
}

}  // namespace

TEST_CASE("whatever allocation of a model's opening fails, it says so and leaves nothing on the device") {
  const Fixture f;
  const int last = allocations_of_opening(f.options);
  CHECK(last > 20);
  for (int number = 1; number <= last; number += whole_suite() ? 1 : 6) {
    const Variable fails("LORIKEET_SIM_FAIL_ALLOCATION", std::to_string(number));
    const Context context;
    const size_t before = context.free();
    const auto model = Model::open(f.options);
    REQUIRE_FALSE(model);
    CHECK(model.error().kind == ErrorKind::out_of_memory);
    CHECK(context.free() == before);
  }
}

TEST_CASE("whatever allocation of an adapter's load fails, it says so, leaves nothing, and steps go on") {
  const Fixture f;
  const int opening = allocations_of_opening(f.options);
  int failed = 0;
  for (bool loads = false; !loads; ++failed) {
    const Variable fails("LORIKEET_SIM_FAIL_ALLOCATION", std::to_string(opening + failed + 1));
    const Context context;
    const auto model = Model::open(f.options);
    REQUIRE(model);
    const float base = answer(**model);
    const auto loaded = (*model)->load_adapter(f.weights, f.modules());
    loads = bool(loaded);
    if (loads) break;
    CHECK(loaded.error().kind == ErrorKind::out_of_memory);
    CHECK(answer(**model) == base);
    // What steps work in has grown now, if it did not before: from here on nothing may be missing.
    const auto turn = [&] {
      const auto again = (*model)->load_adapter(f.weights, f.modules());
      REQUIRE(again);
      REQUIRE((*model)->drop_adapter(again->handle));
      (void)answer(**model);
      return context.free();
    };
    const size_t free = turn();
    CHECK(turn() == free);
  }
  CHECK(failed >= 3);
}

TEST_CASE("a kernel that never ends loses the device at the deadline, and nobody waits for it again") {
  using Clock = std::chrono::steady_clock;
  Fixture f;
  f.options.backend_options.deadline_ms = 300;
  const Variable hangs("LORIKEET_SIM_HANG_LAUNCH", "40");
  auto model = Model::open(f.options);
  REQUIRE(model);
  const auto begin = Clock::now();
  const auto first = run(**model, plan_of(kPrompt));
  REQUIRE_FALSE(first);
  CHECK(first.error().kind == ErrorKind::device_lost);
  CHECK(first.error().message.find("no end after 300 ms") != std::string::npos);
  CHECK(Clock::now() - begin >= std::chrono::milliseconds(300));
  const auto after = Clock::now();
  const auto second = run(**model, plan_of(kPrompt));
  REQUIRE_FALSE(second);
  CHECK(second.error().kind == ErrorKind::device_lost);
  const auto load = (*model)->load_adapter(f.weights, f.modules());
  REQUIRE_FALSE(load);
  CHECK(load.error().kind == ErrorKind::device_lost);
  model->reset();
  // Nobody gives the context back for it; the next test wants one of its own.
  const auto driver = cuda::Driver::open();
  REQUIRE(driver);
  (void)(*driver)->context_release(0);
  CHECK(Clock::now() - after < std::chrono::milliseconds(250));
}

TEST_CASE("adapters that come and go while steps run change no answer") {
  const Fixture f;
  const auto model = Model::open(f.options);
  REQUIRE(model);
  const float base = answer(**model);
  const auto kept = (*model)->load_adapter(f.weights, f.modules());
  REQUIRE(kept);
  const float adapted = answer(**model, kept->handle);
  CHECK(adapted != base);
  std::atomic<bool> stop{false};
  std::atomic<int> loads{0};
  std::thread loader([&] {
    while (!stop.load()) {
      const auto loaded = (*model)->load_adapter(f.weights, f.modules());
      if (!loaded || !(*model)->drop_adapter(loaded->handle)) break;
      loads.fetch_add(1);
    }
  });
  int steps = 0;
  bool same = true;
  for (; steps < 200 && (steps < 10 || loads.load() < 10); ++steps) {
    same = same && answer(**model) == base && answer(**model, kept->handle) == adapted;
  }
  stop.store(true);
  loader.join();
  CHECK(same);
  CHECK(loads.load() >= 10);
}

TEST_CASE("ten thousand loads and drops leave the device's memory exactly as it was") {
  const Fixture f;
  const Context context;
  const auto model = Model::open(f.options);
  REQUIRE(model);
  const auto turn = [&] {
    const auto loaded = (*model)->load_adapter(f.weights, f.modules());
    REQUIRE(loaded);
    REQUIRE((*model)->drop_adapter(loaded->handle));
  };
  turn();  // what steps work in grows once
  (void)answer(**model);
  const size_t before = context.free();
  const int turns = whole_suite() ? 10000 : 300;
  for (int i = 0; i < turns; ++i) {
    turn();
    REQUIRE(context.free() == before);
  }
}

}  // namespace lorikeet::test
