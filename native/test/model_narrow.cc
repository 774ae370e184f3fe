#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "backend/shared/dtype.h"
#include "model/narrow.h"
#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

HostTensor host_of(const TestTensor& tensor) {
  return {reinterpret_cast<const std::byte*>(tensor.values.data()), DType::f32, tensor.shape[0],
          tensor.shape[1]};
}

double square(double value) {
  return value * value;
}

// ||B A - (what the integers stand for)|| / ||B A||
double loss_of(const TestTensor& a, const TestTensor& b, const Int8Factors& factors) {
  const int64_t n = b.shape[0], k = a.shape[1];
  const auto rank = static_cast<int>(a.shape[0]);
  double size = 0, error = 0;
  for (int64_t row = 0; row < n; ++row) {
    for (int64_t col = 0; col < k; ++col) {
      double exact = 0, kept = 0;
      for (int r = 0; r < rank; ++r) {
        const auto in_b = static_cast<size_t>(row * rank + r), in_a = static_cast<size_t>(r * k + col);
        exact += static_cast<double>(b.values[in_b]) * a.values[in_a];
        kept +=
            static_cast<double>(factors.scale[static_cast<size_t>(r)]) * factors.b[in_b] * factors.a[in_a];
      }
      size += square(exact);
      error += square(exact - kept);
    }
  }
  return std::sqrt(error / size);
}

constexpr const char* kDown = "model.layers.0.mlp.down_proj";

// A model on the CPU backend whose adapters are kept in one type.
struct Served {
  Served(const TempFolder& folder, AdapterType type) {
    ModelOptions options = tiny_options(folder.path());
    options.backend = BackendKind::cpu;
    options.adapter_type = type;
    auto opened = Model::open(options);
    REQUIRE(opened);
    model = std::move(*opened);
  }
  LoadedAdapter load(const std::string& path, const json& module) {
    auto loaded = model->load_adapter(path, json::array({module}).dump());
    REQUIRE(loaded);
    return *loaded;
  }
  SampleResult ask(int32_t handle) {
    const auto results = run(*model, plan_of({1, 5, 9}, handle));
    REQUIRE(results);
    return results->front();
  }
  std::unique_ptr<Model> model;
};

json module_of(const std::string& path, const char* name, const char* a, const char* b, int rank) {
  const auto ref = [&](const char* tensor) { return json::parse(tensor_ref(path, tensor)); };
  return {{"module", name}, {"lora", {{"rank", rank}, {"scale", 0.5}, {"a", ref(a)}, {"b", ref(b)}}}};
}

}  // namespace

TEST_CASE("factors in int8 lose at most a percent or two of the product, whatever their sizes are") {
  for (const auto& [k, n, rank] : {std::tuple{1, 1, 1}, {40, 24, 3}, {2048, 70, 16}, {130, 900, 8}}) {
    TestTensor a = random_tensor({rank, k}, 1), b = random_tensor({n, rank}, 2);
    // Components of very different sizes: each has its own scales.
    for (int r = 0; r < rank; ++r) {
      for (int i = 0; i < k; ++i)
        a.values[static_cast<size_t>(r * k + i)] *= std::pow(10.0f, static_cast<float>(r % 5));
      for (int i = 0; i < n; ++i)
        b.values[static_cast<size_t>(i * rank + r)] *= std::pow(10.0f, static_cast<float>(-r % 5));
    }
    const auto factors = to_int8(host_of(a), host_of(b));
    REQUIRE(factors.has_value());
    CHECK(loss_of(a, b, *factors) < 0.02);
  }
}

TEST_CASE("factors of zeros stay zeros, and values that are not finite are not taken into int8") {
  const TestTensor a = random_tensor({2, 9}, 1);
  TestTensor b = random_tensor({5, 2}, 2);
  b.values.assign(b.values.size(), 0.0f);  // as every LoRA starts
  const auto zero = to_int8(host_of(a), host_of(b));
  REQUIRE(zero.has_value());
  for (const int8_t value : zero->b) CHECK(value == 0);
  for (const float scale : zero->scale) CHECK(scale == 0.0f);
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    b.values[3] = bad;
    CHECK_FALSE(to_int8(host_of(a), host_of(b)).has_value());
    CHECK_FALSE(to_int8(host_of(random_tensor({2, 9}, 1)), host_of(b)).has_value());
  }
}

TEST_CASE("factors with an outlier that would round the others away are not taken into int8") {
  TestTensor a = random_tensor({1, 500}, 1), b = random_tensor({300, 1}, 2);
  CHECK(to_int8(host_of(a), host_of(b)).has_value());
  TestTensor spiked = a;
  spiked.values[17] = 8;  // 16 deviations
  CHECK_FALSE(to_int8(host_of(spiked), host_of(b)).has_value());
  b.values[17] = -8;
  CHECK_FALSE(to_int8(host_of(a), host_of(b)).has_value());
}

TEST_CASE("a component counts by its product, however it is spread over its two factors") {
  TestTensor a = random_tensor({2, 500}, 1), b = random_tensor({300, 2}, 2);
  a.values[17] = 8;  // 16 deviations, in a row that is small beside the other one
  for (int i = 0; i < 500; ++i) a.values[static_cast<size_t>(i)] *= 1e-3f;
  for (int i = 0; i < 300; ++i) b.values[static_cast<size_t>(2 * i)] *= 1e6f;
  CHECK_FALSE(to_int8(host_of(a), host_of(b)).has_value());
  for (int i = 0; i < 300; ++i) b.values[static_cast<size_t>(2 * i)] *= 1e-9f;  // now it hardly counts
  CHECK(to_int8(host_of(a), host_of(b)).has_value());
}

TEST_CASE("an adapter is kept in the type that was asked for, and answers nearly as it is in its file") {
  TempFolder folder;
  write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
  const std::string path = folder.path("adapter.safetensors");
  write_safetensors(path, {{"a", random_tensor({4, kFfn}, 1)}, {"b", random_tensor({kHidden, 4}, 2)}});
  const json module = module_of(path, kDown, "a", "b", 4);
  Served stored(folder, AdapterType::stored), bf16(folder, AdapterType::bf16),
      int8(folder, AdapterType::int8);
  const LoadedAdapter of_stored = stored.load(path, module), of_bf16 = bf16.load(path, module),
                      of_int8 = int8.load(path, module);
  CHECK(of_bf16.bytes * 2 == of_stored.bytes);
  CHECK(of_int8.bytes * 4 == of_stored.bytes);
  const SampleResult exact = stored.ask(of_stored.handle);
  const SampleResult base = stored.ask(0);
  CHECK(exact.logprob != base.logprob);
  for (const SampleResult& narrow : {bf16.ask(of_bf16.handle), int8.ask(of_int8.handle)}) {
    CHECK(narrow.token == exact.token);
    CHECK(narrow.logprob == doctest::Approx(exact.logprob).epsilon(0.02));
    CHECK(narrow.logprob != exact.logprob);
  }
}

TEST_CASE("in int8, what would lose too much stays in bfloat16") {
  TempFolder folder;
  write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
  const std::string path = folder.path("adapter.safetensors");
  TestTensor a = random_tensor({3, kFfn}, 1), b = random_tensor({kHidden, 3}, 2);
  for (size_t i = 0; i < a.values.size(); ++i) a.values[i] = i % kFfn == 0 ? 1.0f : 0.0039f;
  write_safetensors(path, {{"a", a}, {"b", b}});
  const json module = module_of(path, kDown, "a", "b", 3);
  Served bf16(folder, AdapterType::bf16), int8(folder, AdapterType::int8);
  const LoadedAdapter of_bf16 = bf16.load(path, module), of_int8 = int8.load(path, module);
  CHECK(of_int8.bytes == of_bf16.bytes);
  CHECK(bf16.ask(of_bf16.handle).logprob != bf16.ask(0).logprob);
  CHECK(int8.ask(of_int8.handle).logprob == bf16.ask(of_bf16.handle).logprob);
}

TEST_CASE("a replaced weight is kept in bfloat16 beside both, and sixteen bits stay what they are") {
  TempFolder folder;
  write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
  for (const AdapterType type : {AdapterType::bf16, AdapterType::int8}) {
    Served narrow(folder, type), stored(folder, AdapterType::stored);
    for (const char* dtype : {"F32", "F16"}) {
      const std::string path = folder.path("adapter.safetensors");
      write_safetensors(path, {{"w", random_tensor({kHidden, kFfn}, 4, dtype)}});
      const json module = {{"module", kDown}, {"weight", json::parse(tensor_ref(path, "w"))}};
      const LoadedAdapter kept = narrow.load(path, module), wide = stored.load(path, module);
      const bool single = std::string(dtype) == "F32";
      CHECK(wide.bytes == kept.bytes * (single ? 2 : 1));
      CHECK((narrow.ask(kept.handle).logprob == stored.ask(wide.handle).logprob) == !single);
    }
  }
}

}  // namespace lorikeet::test
