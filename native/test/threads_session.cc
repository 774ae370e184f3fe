// What binding/session.cc does with a model, on the same threads: adapters come and go while steps run.
#include <future>
#include <nlohmann/json.hpp>
#include <vector>

#include "binding/worker.h"
#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using binding::Worker;
using nlohmann::json;

// As Session::submit: the work on the worker's thread, its result on the one that waits for it.
template <class Function>
auto submit(Worker& worker, Function function) -> std::future<decltype(function())> {
  auto task = std::make_shared<std::packaged_task<decltype(function())()>>(std::move(function));
  auto result = task->get_future();
  worker.post([task] { (*task)(); });
  return result;
}

struct Fixture {
  Fixture() {
    write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
    TestTensors tensors;
    for (int rank = 1; rank <= kMostRank; ++rank) {
      tensors["a" + std::to_string(rank)] = random_tensor({rank, kHidden}, 1);
      tensors["b" + std::to_string(rank)] = random_tensor({2 * kHeadDim, rank}, 2);
    }
    write_safetensors(weights, tensors);
    options = tiny_options(folder.path());
    options.backend = BackendKind::cpu;
    options.backend_options.threads = 3;
  }

  std::string modules(int rank) const {
    const std::string number = std::to_string(rank);
    const json lora = {{"rank", rank},
                       {"scale", 0.5},
                       {"a", json::parse(tensor_ref(weights, "a" + number))},
                       {"b", json::parse(tensor_ref(weights, "b" + number))}};
    return json::array({{{"module", "model.layers.1.self_attn.q_proj"}, {"lora", lora}}}).dump();
  }

  static constexpr int kMostRank = 21;
  TempFolder folder;
  std::string weights = folder.path("adapter.safetensors");
  ModelOptions options;
};

}  // namespace

TEST_CASE("a session's threads load, prepare, drop and step at once") {
  Fixture f;
  std::unique_ptr<Model> model;
  Worker loader, stepper, preparer;
  const Status opened = submit(loader, [&]() -> Status {
                          auto made = Model::open(f.options);
                          if (!made) return made.error();
                          model = std::move(*made);
                          return {};
                        }).get();
  REQUIRE(opened);
  // Of ranks that grow, so that what steps work in has to grow beside them.
  const auto load = [&](int rank) {
    return submit(loader, [&, rank] {
      const auto loaded = model->load_adapter(f.weights, f.modules(rank));
      preparer.post([&] { model->prepare_adapters(); });
      return loaded ? loaded->handle : 0;
    });
  };
  const auto alone = Model::open(f.options);
  REQUIRE(alone);
  int32_t handle = load(1).get();
  REQUIRE(handle != 0);
  for (int rank = 1; rank < Fixture::kMostRank; ++rank) {
    auto next = load(rank + 1);
    model->plan() = plan_of({1, 5, 9, 4, 7, 2, 3}, handle);
    REQUIRE(model->pin_step());
    auto step = submit(stepper, [&] { return model->run_step(); });
    const Status used = model->drop_adapter(handle);  // refused while the step runs, done where it has ended
    (void)model->memory();
    REQUIRE(step.get());
    const auto same = (*alone)->load_adapter(f.weights, f.modules(rank));
    REQUIRE(same);
    const auto expected = run(**alone, plan_of({1, 5, 9, 4, 7, 2, 3}, same->handle));
    CHECK(model->results().front().logprob == expected->front().logprob);
    if (!used) CHECK(model->drop_adapter(handle));
    handle = next.get();
    REQUIRE(handle != 0);
  }
}

TEST_CASE("a session that closes ends its step between layers, behind the load that was queued") {
  Fixture f;
  auto opened = Model::open(f.options);
  REQUIRE(opened);
  const std::unique_ptr<Model> model = std::move(*opened);
  Worker loader, stepper;
  model->plan() = plan_of({1, 5, 9, 4, 7, 2, 3});
  REQUIRE(model->pin_step());
  auto load = submit(loader, [&] { return bool(model->load_adapter(f.weights, f.modules(3))); });
  auto step = submit(stepper, [&] { return model->run_step(); });
  model->cancel();
  loader.stop();
  stepper.stop();
  CHECK(load.get());
  const Status ended = step.get();
  if (!ended) CHECK(ended.error().kind == ErrorKind::closed);
}

}  // namespace lorikeet::test
