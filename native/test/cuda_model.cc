// A model through and through on the CUDA backend, beside the same model on the CPU.
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "test/cuda_simulated.h"
#include "test/tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

std::unique_ptr<Model> opened(const std::string& folder, BackendKind backend, Quantization quantization,
                              DType kv = DType::f32) {
  ModelOptions options = tiny_options(folder);
  options.backend = backend;
  options.quantization = quantization;
  options.kv_type = kv;
  auto model = Model::open(options);
  REQUIRE(model);
  return std::move(*model);
}

// The same tokens, and log-probabilities that differ by less.
void check_alike(const std::vector<SampleResult>& a, const std::vector<SampleResult>& b, float tolerance) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].token == b[i].token);
    CHECK(a[i].finite == b[i].finite);
    REQUIRE(a[i].top_count == b[i].top_count);
    for (int32_t j = 0; j < a[i].top_count; ++j) {
      CHECK(std::abs(a[i].top_logprob[j] - b[i].top_logprob[j]) <= tolerance);
    }
  }
}

const std::vector<int32_t> kPrompt{1, 5, 9, 3, 17, 30, 2};

// The prompt at once, then token by token what it goes on with.
std::vector<SampleResult> generate(Model& model, int count, int32_t adapter = 0) {
  std::vector<SampleResult> all;
  std::vector<int32_t> tokens = kPrompt;
  for (int i = 0; i < count; ++i) {
    StepPlan plan = plan_of(tokens, adapter);
    if (i > 0) {
      const auto last = static_cast<int32_t>(tokens.size()) - 1;
      plan.token = {tokens.back()};
      plan.position = plan.kv_slot = {last};
      plan.q_start = {0, 1};
      plan.sample_row = {0};
      if (adapter != 0) plan.segment = {0, 1, adapter};
    }
    const auto results = run(model, plan);
    REQUIRE(results);
    all.insert(all.end(), results->begin(), results->end());
    tokens.push_back(results->front().token);
  }
  return all;
}

}  // namespace

TEST_CASE("a model answers on the CUDA backend as on the CPU, in every format and cache type") {
  const Simulated simulated;
  const TempFolder folder;
  write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
  for (const Quantization quantization :
       {Quantization::int4, Quantization::int8, Quantization::nf4, Quantization::none}) {
    for (const DType kv : {DType::f32, DType::bf16, DType::int8}) {
      if (kv != DType::f32 && quantization != Quantization::int4) continue;
      CAPTURE(static_cast<int>(quantization));
      const auto cuda = opened(folder.path(), BackendKind::cuda, quantization, kv);
      const auto cpu = opened(folder.path(), BackendKind::cpu, quantization, kv);
      check_alike(generate(*cuda, 6), generate(*cpu, 6), 2e-4f);
    }
  }
}

TEST_CASE(
    "adapters answer on the CUDA backend as on the CPU, and leave the base and its memory as they were") {
  const Simulated simulated;
  const TempFolder folder;
  write_tiny_model(folder.path(), tiny_config(true), tiny_tensors(true));
  const std::string path = folder.path("adapter.safetensors");
  write_safetensors(path, {{"a", random_tensor({3, kHidden}, 1)},
                           {"b", random_tensor({2 * kHeadDim, 3}, 2)},
                           {"down.a", random_tensor({5, kFfn}, 3)},
                           {"down.b", random_tensor({kHidden, 5}, 4)},
                           {"m", random_tensor({kHidden}, 5)}});
  const auto ref = [&](const char* name) { return json::parse(tensor_ref(path, name)); };
  const json modules =
      json::array({{{"module", "model.layers.0.self_attn.q_proj"},
                    {"lora", {{"rank", 3}, {"scale", 2.0}, {"a", ref("a")}, {"b", ref("b")}}}},
                   {{"module", "model.layers.1.mlp.down_proj"},
                    {"lora", {{"rank", 5}, {"scale", 1.5}, {"a", ref("down.a")}, {"b", ref("down.b")}}},
                    {"magnitude", ref("m")}}});
  const auto cuda = opened(folder.path(), BackendKind::cuda, Quantization::int4);
  const auto cpu = opened(folder.path(), BackendKind::cpu, Quantization::int4);
  const auto base = generate(*cuda, 4);
  const auto on_cuda = cuda->load_adapter(path, modules.dump());
  const auto on_cpu = cpu->load_adapter(path, modules.dump());
  REQUIRE(on_cuda);
  REQUIRE(on_cpu);
  const auto adapted = generate(*cuda, 4, on_cuda->handle);
  check_alike(adapted, generate(*cpu, 4, on_cpu->handle), 2e-4f);
  CHECK(std::abs(adapted[0].logprob - base[0].logprob) > 1e-3f);
  check_alike(generate(*cuda, 4), base, 0.0f);

  const auto device = cuda::Device::open(0);
  REQUIRE(device);
  const size_t before = free_bytes(**device);
  for (int turn = 0; turn < 50; ++turn) {
    const auto more = cuda->load_adapter(path, modules.dump());
    REQUIRE(more);
    REQUIRE(cuda->drop_adapter(more->handle));
    REQUIRE(free_bytes(**device) == before);
  }
}

TEST_CASE("a prompt has the same answer at once, in pieces and token by token, to the bit") {
  const Simulated simulated;
  const TempFolder folder;
  write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
  const auto model = opened(folder.path(), BackendKind::cuda, Quantization::int8);
  const auto at_once = generate(*model, 1);
  for (const int32_t piece : {1, 3}) {
    std::vector<SampleResult> last;
    const auto length = static_cast<int32_t>(kPrompt.size());
    for (int32_t begin = 0; begin < length; begin += piece) {
      const int32_t end = std::min(begin + piece, length);
      StepPlan plan = plan_of({kPrompt.begin(), kPrompt.begin() + end});
      for (auto* const rows : {&plan.token, &plan.position, &plan.kv_slot})
        rows->erase(rows->begin(), rows->begin() + begin);
      plan.q_start = {0, end - begin};
      plan.sample_row = {end - begin - 1};
      const auto results = run(*model, plan);
      REQUIRE(results);
      last = *results;
    }
    check_alike(last, at_once, 0.0f);
  }
}

TEST_CASE("quantized maps give the CPU's bits, for any number of rows") {
  const Simulated simulated;
  const BackendOptions options;
  auto cuda = make_cuda_backend(options);
  auto cpu = make_cpu_backend(options);
  REQUIRE(cuda);
  REQUIRE(cpu);
  constexpr int64_t kRows = 40;
  for (const auto& [k, n] : {std::pair{int64_t{33}, int64_t{17}}, {600, 50}, {4500, 20}}) {
    const TestTensor weight = random_tensor({n, k}, 7), bias = random_tensor({n}, 8),
                     x = random_tensor({kRows, k}, 9);
    const auto host = [](const TestTensor& from, int64_t rows, int64_t cols) {
      return HostTensor{reinterpret_cast<const std::byte*>(from.values.data()), DType::f32, rows, cols};
    };
    for (const Quantization quantization : {Quantization::int4, Quantization::int8, Quantization::nf4}) {
      for (const int64_t rows : {int64_t{1}, int64_t{9}, kRows}) {
        std::vector<float> y[2];
        for (const auto& backend : {cpu->get(), cuda->get()}) {
          REQUIRE(
              backend->reserve({.rows = kRows, .sequences = 1, .samples = 1, .context = 8, .kv_slots = 8},
                               {.vocab = 1, .widest_input = 4500, .widest_output = 50, .quantized = true}));
          LinearDesc desc;
          desc.quantization = quantization;
          desc.parts.push_back({host(weight, n, k), host(bias, 1, n)});
          const auto map = backend->linear_create(desc);
          REQUIRE(map);
          const auto from = backend->tensor_create(rows, k), to = backend->tensor_create(rows, n);
          REQUIRE(backend->upload(whole(**from), {x.values.data(), static_cast<size_t>(rows * k)}));
          backend->step_begin({});
          backend->linear(whole(**to), whole(**from), **map, {}, LinearOutput::store);
          REQUIRE(backend->step_end({}));
          std::vector<float>& out = y[backend == cuda->get() ? 1 : 0];
          out.resize(static_cast<size_t>(rows * n));
          REQUIRE(backend->download(out, whole(**to)));
        }
        CAPTURE(k);
        CAPTURE(rows);
        CHECK((y[0] == y[1]));
      }
    }
  }
}

TEST_CASE("a model with recurrent layers or gated attention is refused by name on the CUDA backend") {
  const Simulated simulated;
  const TempFolder folder;
  for (const char* kinds : {"linear_attention", "full_attention"}) {
    json config = json::parse(tiny_recurrent_config());
    config["layer_types"] = {kinds, kinds};
    write_tiny_model(folder.path(), config.dump(), tiny_recurrent_tensors());
    ModelOptions options = tiny_options(folder.path());
    options.backend = BackendKind::cuda;
    const auto model = Model::open(options);
    REQUIRE_FALSE(model);
    CHECK(model.error().kind == ErrorKind::unsupported);
    CHECK(model.error().message.find("gated") != std::string::npos);
  }
}

TEST_CASE("a fault in a step comes back as a lost device, and every step after it fails alike") {
  const Simulated simulated;
  const TempFolder folder;
  write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
  const Variable fails("LORIKEET_SIM_FAIL_LAUNCH", "20");
  const auto model = opened(folder.path(), BackendKind::cuda, Quantization::int4);
  for (int turn = 0; turn < 2; ++turn) {
    const auto results = run(*model, plan_of(kPrompt));
    REQUIRE_FALSE(results);
    CHECK(results.error().kind == ErrorKind::device_lost);
  }
}

}  // namespace lorikeet::test
