// Mixtures of experts on the CUDA backend, beside the same ones on the CPU.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "test/cuda_simulated.h"
#include "test/tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

constexpr int64_t kInputs = 300, kWidth = 40;
constexpr int kCount = 6;

HostTensor host(const TestTensor& from, int64_t rows, int64_t cols) {
  return {reinterpret_cast<const std::byte*>(from.values.data()), DType::f32, rows, cols};
}

struct Mixture {
  Mixture() {
    for (uint32_t e = 0; e < kCount; ++e) {
      gate.push_back(random_tensor({kWidth, kInputs}, 10 + e));
      up.push_back(random_tensor({kWidth, kInputs}, 20 + e));
      down.push_back(random_tensor({kInputs, kWidth}, 30 + e));
      bias.push_back(random_tensor({kInputs}, 40 + e));
    }
  }
  std::vector<ExpertDesc> described(Quantization quantization) const {
    std::vector<ExpertDesc> experts(kCount);
    for (size_t e = 0; e < kCount; ++e) {
      const HostTensor gate_bias = host(bias[e], 1, kWidth);
      experts[e].up.parts.push_back({host(gate[e], kWidth, kInputs), gate_bias});
      experts[e].up.parts.push_back({host(up[e], kWidth, kInputs), std::nullopt});
      experts[e].down.parts.push_back({host(down[e], kInputs, kWidth), host(bias[e], 1, kInputs)});
      experts[e].up.quantization = experts[e].down.quantization = quantization;
    }
    return experts;
  }
  std::vector<TestTensor> gate, up, down, bias;
};

struct Rows {
  explicit Rows(int64_t count)
      : x(random_tensor({count, kInputs}, 1)), logits(random_tensor({count, kCount}, 2)) {}
  TestTensor x, logits;
};

std::unique_ptr<Backend> ready(Result<std::unique_ptr<Backend>> backend) {
  REQUIRE(backend);
  const NetworkShape shape{.vocab = 1,
                           .hidden = kInputs,
                           .widest_input = kInputs,
                           .widest_output = kInputs,
                           .quantized = true,
                           .experts = kCount,
                           .chosen_experts = 3,
                           .expert_width = kWidth};
  REQUIRE(
      (*backend)->reserve({.rows = 100, .sequences = 4, .samples = 1, .context = 8, .kv_slots = 8}, shape));
  return std::move(*backend);
}

std::vector<float> mixed(Backend& backend, const std::vector<ExpertDesc>& descs, const Rows& rows,
                         RouterDesc router, const std::vector<float>& choice_bias = {}) {
  const auto experts = backend.experts_create(descs);
  REQUIRE(experts);
  const int64_t count = rows.x.shape.front();
  const auto x = backend.tensor_create(count, kInputs), logits = backend.tensor_create(count, kCount),
             y = backend.tensor_create(count, kInputs);
  REQUIRE(backend.upload(whole(**x), rows.x.values));
  REQUIRE(backend.upload(whole(**logits), rows.logits.values));
  std::unique_ptr<Tensor> bias;
  if (!choice_bias.empty()) {
    auto made = tensor_of(backend, choice_bias);
    REQUIRE(made);
    bias = std::move(*made);
    router.choice_bias = bias.get();
  }
  backend.step_begin({});
  // relu: exact, so that bits can be compared.
  backend.experts({.y = whole(**y),
                   .x = whole(**x),
                   .logits = whole(**logits),
                   .router = router,
                   .activation = {.kind = ActivationKind::relu}},
                  **experts);
  REQUIRE(backend.step_end({}));
  std::vector<float> values(static_cast<size_t>(count * kInputs));
  REQUIRE(backend.download(values, whole(**y)));
  return values;
}

}  // namespace

TEST_CASE("quantized experts give the CPU's bits, for any number of rows and every kind of router") {
  const Simulated simulated;
  const Mixture mixture;
  const auto cuda = ready(make_cuda_backend({})), cpu = ready(make_cpu_backend({}));
  const RouterDesc softmax{.experts = kCount, .chosen = 2};
  RouterDesc renormalized = softmax, sigmoid = softmax;
  renormalized.renormalize = true;
  sigmoid.score = RouterScore::sigmoid;
  sigmoid.renormalize = true;
  sigmoid.scale = 2.5f;
  sigmoid.chosen = 3;
  sigmoid.groups = 3;
  sigmoid.chosen_groups = 2;
  const std::vector<float> bias{0.3f, -0.2f, 0.0f, 0.1f, 0.4f, -0.5f};
  for (const Quantization quantization : {Quantization::int4, Quantization::int8, Quantization::nf4}) {
    const auto descs = mixture.described(quantization);
    for (const int64_t count : {int64_t{1}, int64_t{9}, int64_t{80}}) {
      CAPTURE(count);
      const Rows rows(count);
      const auto same = [&](const RouterDesc& router, const std::vector<float>& choice_bias) {
        return mixed(*cuda, descs, rows, router, choice_bias) ==
               mixed(*cpu, descs, rows, router, choice_bias);
      };
      CHECK(same(sigmoid, bias));
      if (count != 9) continue;
      CHECK(same(softmax, {}));
      CHECK(same(renormalized, bias));
    }
  }
}

TEST_CASE("a row that is not a number takes the first experts and stays one, and leaves the others alone") {
  const Simulated simulated;
  const Mixture mixture;
  const auto cuda = ready(make_cuda_backend({}));
  const auto descs = mixture.described(Quantization::none);
  const RouterDesc router{.experts = kCount, .chosen = 2, .renormalize = true};
  Rows rows(3);
  const auto before = mixed(*cuda, descs, rows, router);
  rows.logits.values[kCount + 2] = NAN;
  const auto after = mixed(*cuda, descs, rows, router);
  const auto row = [](const std::vector<float>& values, int64_t number) {
    return std::vector<float>(values.begin() + number * kInputs, values.begin() + (number + 1) * kInputs);
  };
  CHECK(row(after, 0) == row(before, 0));
  CHECK(row(after, 2) == row(before, 2));
  CHECK(std::ranges::all_of(row(after, 1), [](float value) { return std::isnan(value); }));
}

TEST_CASE("a mixture too large for the router's shared memory is refused by name") {
  const Simulated simulated;
  auto cuda = make_cuda_backend({});
  REQUIRE(cuda);
  const Status status =
      (*cuda)->reserve({.rows = 1, .sequences = 1, .samples = 1, .context = 8, .kv_slots = 8},
                       {.vocab = 1, .experts = 2000, .chosen_experts = 2});
  REQUIRE_FALSE(status);
  CHECK(status.error().kind == ErrorKind::unsupported);
  CHECK(status.error().message.find("2000 experts") != std::string::npos);
}

TEST_CASE("a mixture answers on the CUDA backend as on the CPU, with adapters of experts and of the router") {
  const Simulated simulated;
  const TempFolder folder;
  write_tiny_model(folder.path(), tiny_experts_config(), tiny_experts_tensors());
  const std::string path = folder.path("adapter.safetensors");
  write_safetensors(path, {{"w1.a", random_tensor({3, kHidden}, 1)},
                           {"w1.b", random_tensor({kFfn, 3}, 2)},
                           {"magnitude", random_tensor({kFfn}, 3)},
                           {"w2.a", random_tensor({2, kFfn}, 4)},
                           {"w2.b", random_tensor({kHidden, 2}, 5)},
                           {"gate.a", random_tensor({2, kHidden}, 6)},
                           {"gate.b", random_tensor({kExperts, 2}, 7)}});
  const auto ref = [&](const std::string& name) { return json::parse(tensor_ref(path, name)); };
  const auto delta = [&](const std::string& module, const std::string& name, int rank) {
    const json lora = {{"rank", rank}, {"scale", 1.5}, {"a", ref(name + ".a")}, {"b", ref(name + ".b")}};
    return json{{"module", "model.layers.0.mlp." + module}, {"lora", lora}};
  };
  json modules = json::array({delta("experts.0.w1", "w1", 3), delta("experts.2.w2", "w2", 2),
                              delta("experts.3.w3", "w1", 3), delta("gate", "gate", 2)});
  modules[2]["magnitude"] = ref("magnitude");
  for (const Quantization quantization : {Quantization::int4, Quantization::none}) {
    std::vector<SampleResult> base[2], adapted[2];
    for (const BackendKind backend : {BackendKind::cpu, BackendKind::cuda}) {
      ModelOptions options = tiny_options(folder.path());
      options.backend = backend;
      options.quantization = quantization;
      const auto model = Model::open(options);
      REQUIRE(model);
      const auto loaded = (*model)->load_adapter(path, modules.dump());
      REQUIRE(loaded);
      const std::vector<int32_t> prompt{1, 9, 5, 7, 30, 2, 11, 4, 8, 3};
      const size_t at = backend == BackendKind::cuda ? 1 : 0;
      for (const int32_t handle : {0, loaded->handle}) {
        const auto results = run(**model, plan_of(prompt, handle));
        REQUIRE(results);
        (handle == 0 ? base : adapted)[at] = *results;
      }
    }
    CHECK(std::abs(base[0][0].logprob - base[1][0].logprob) < 2e-4f);
    CHECK(std::abs(adapted[0][0].logprob - adapted[1][0].logprob) < 2e-4f);
    CHECK(std::abs(adapted[0][0].logprob - base[0][0].logprob) > 1e-3f);
  }
}

}  // namespace lorikeet::test
