// Adapters of experts and routers in a tiny model: what every form of the same deltas answers, and the dense
// merge beside it.
#include <cmath>
#include <nlohmann/json.hpp>

#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

constexpr int kRank = 3;
const std::string kMoe = "model.layers.0.mlp.";

// [count * rows, cols], of which expert e has rows [e * rows, ..)
TestTensor rows_of_expert(const TestTensor& stack, int expert) {
  const int64_t rows = stack.shape[0] / kExperts, cols = stack.shape[1];
  const auto begin = stack.values.begin() + expert * rows * cols;
  return {{rows, cols}, {begin, begin + rows * cols}};
}

// [rows, rank * count], of which expert e has columns r * count + e; of it rows [first, first + some)
TestTensor columns_of_expert(const TestTensor& stack, int expert, int64_t first, int64_t some) {
  TestTensor own{{some, kRank}, {}};
  for (int64_t row = first; row < first + some; ++row) {
    for (int r = 0; r < kRank; ++r)
      own.values.push_back(stack.values[static_cast<size_t>(row * stack.shape[1] + r * kExperts + expert)]);
  }
  return own;
}

struct Fixture {
  Fixture() {
    write_tiny_model(folder.path(), tiny_experts_config(), tiny_experts_tensors());
    const TestTensor up_a = random_tensor({kRank * kExperts, kHidden}, 1);
    const TestTensor up_b = random_tensor({2 * kFfn, kRank * kExperts}, 2);
    const TestTensor down_a = random_tensor({kRank * kExperts, kFfn}, 3);
    const TestTensor down_b = random_tensor({kHidden, kRank * kExperts}, 4);
    TestTensors tensors{{"up.a", up_a},
                        {"up.b", up_b},
                        {"down.a", down_a},
                        {"down.b", down_b},
                        {"gate.a", random_tensor({2, kHidden}, 5)},
                        {"gate.b", random_tensor({kExperts, 2}, 6)},
                        {"magnitude", random_tensor({kFfn}, 7)},
                        {"wide", random_tensor({kFfn, kHidden}, 8)}};
    // The same numbers for each expert, and with in and out exchanged.
    TestTensor turned_a{{kRank * kExperts, 2 * kFfn}, {}}, turned_b{{kHidden, kRank * kExperts}, {}};
    turned_b.values.resize(static_cast<size_t>(kHidden * kRank * kExperts));
    for (int e = 0; e < kExperts; ++e) {
      const std::string number = std::to_string(e);
      const TestTensor a = rows_of_expert(up_a, e), b = columns_of_expert(up_b, e, 0, 2 * kFfn);
      tensors["both.a" + number] = a;
      tensors["both.b" + number] = b;
      tensors["w1.b" + number] = columns_of_expert(up_b, e, 0, kFfn);
      tensors["w3.b" + number] = columns_of_expert(up_b, e, kFfn, kFfn);
      tensors["w2.a" + number] = rows_of_expert(down_a, e);
      tensors["w2.b" + number] = columns_of_expert(down_b, e, 0, kHidden);
      for (int r = 0; r < kRank; ++r) {
        for (int o = 0; o < 2 * kFfn; ++o)
          turned_a.values.push_back(b.values[static_cast<size_t>(o * kRank + r)]);
        for (int i = 0; i < kHidden; ++i)
          turned_b.values[static_cast<size_t>((i * kRank + r) * kExperts + e)] =
              a.values[static_cast<size_t>(r * kHidden + i)];
      }
    }
    tensors["turned.a"] = turned_a;
    tensors["turned.b"] = turned_b;
    write_safetensors(path(), tensors);
  }

  std::string path() const { return folder.path("adapter.safetensors"); }
  json ref(const std::string& name) const { return json::parse(tensor_ref(path(), name)); }
  json served(const std::string& module, const std::string& a, const std::string& b, int rank = kRank) const {
    const json lora = {{"rank", rank}, {"scale", 0.5}, {"a", ref(a)}, {"b", ref(b)}};
    return {{"module", kMoe + module}, {"lora", lora}};
  }
  json stacked() const {
    return json::array(
        {served("experts.gate_up_proj", "up.a", "up.b"), served("experts.down_proj", "down.a", "down.b")});
  }
  json turned() const {
    json modules = stacked();
    modules[0] = served("experts.gate_up_proj", "turned.a", "turned.b");
    modules[0]["lora"]["turned"] = true;
    return modules;
  }
  json single(bool both) const {
    json modules = json::array();
    for (int e = 0; e < kExperts; ++e) {
      const std::string number = std::to_string(e), expert = "experts." + number + ".";
      if (both) {
        modules.push_back(served(expert + "gate_up_proj", "both.a" + number, "both.b" + number));
      } else {
        modules.push_back(served(expert + "w1", "both.a" + number, "w1.b" + number));
        modules.push_back(served(expert + "w3", "both.a" + number, "w3.b" + number));
      }
      modules.push_back(served(expert + "w2", "w2.a" + number, "w2.b" + number));
    }
    return modules;
  }
  json router() const { return json::array({served("gate", "gate.a", "gate.b", 2)}); }

  std::unique_ptr<Model> open(BackendKind backend, AdapterType type = AdapterType::stored,
                              Quantization quantization = Quantization::none) const {
    ModelOptions options = tiny_options(folder.path());
    options.backend = backend;
    options.adapter_type = type;
    options.quantization = quantization;
    auto model = Model::open(options);
    REQUIRE(model);
    return std::move(*model);
  }

  TempFolder folder;
};

const std::vector<int32_t> kPrompt{1, 9, 5, 7, 30, 2};

float logprob(Model& model, int32_t handle = 0) {
  const auto results = run(model, plan_of(kPrompt, handle));
  REQUIRE(results);
  return results->front().logprob;
}

float logprob(Model& model, const Fixture& f, const json& modules) {
  const auto loaded = model.load_adapter(f.path(), modules.dump());
  REQUIRE(loaded);
  return logprob(model, loaded->handle);
}

// The manifest's modules as changes of the dense path.
json dense(const json& modules) {
  json changes = json::array();
  for (const json& module : modules) {
    const json& lora = module["lora"];
    json low_rank = {{"a", lora["a"]["name"]}, {"b", lora["b"]["name"]}, {"scale", lora["scale"]}};
    if (lora.contains("turned")) low_rank["turned"] = true;
    changes.push_back({{"module", module["module"]}, {"lowRank", low_rank}});
  }
  return changes;
}

}  // namespace

TEST_CASE("deltas of experts are the same bits as one stack, turned, and of each expert alone") {
  const Fixture f;
  for (const BackendKind backend : {BackendKind::reference, BackendKind::cpu}) {
    for (const AdapterType type : {AdapterType::stored, AdapterType::bf16, AdapterType::int8}) {
      CAPTURE(static_cast<int>(backend));
      CAPTURE(static_cast<int>(type));
      const auto model = f.open(backend, type);
      const float base = logprob(*model);
      const float expected = logprob(*model, f, f.stacked());
      CHECK(std::abs(expected - base) > 1e-3f);
      CHECK(logprob(*model, f, f.turned()) == expected);
      CHECK(logprob(*model, f, f.single(true)) == expected);
      CHECK(logprob(*model, f, f.single(false)) == expected);
      CHECK(logprob(*model) == base);
      json down = json::array({f.stacked()[1]});
      CHECK(logprob(*model, f, down) != expected);
      CHECK(logprob(*model, f, down) != base);
    }
  }
}

TEST_CASE("an adapter of a router changes which experts a row takes, and how much of each") {
  const Fixture f;
  for (const BackendKind backend : {BackendKind::reference, BackendKind::cpu}) {
    const auto model = f.open(backend);
    CHECK(std::abs(logprob(*model, f, f.router()) - logprob(*model)) > 1e-4f);
  }
}

TEST_CASE("densely merged experts and routers answer as their low-rank deltas") {
  const Fixture f;
  for (const Quantization quantization : {Quantization::none, Quantization::int8}) {
    for (const AdapterType type : {AdapterType::stored, AdapterType::int8}) {
      for (const json& modules : {f.stacked(), f.turned(), f.single(true), f.single(false), f.router()}) {
        CAPTURE(modules[0].dump());
        const float expected = logprob(*f.open(BackendKind::reference, type, quantization), f, modules);
        const auto merged = f.open(BackendKind::reference, type, quantization);
        REQUIRE(merged->merge_adapter(f.path(), dense(modules).dump()));
        CHECK(std::abs(logprob(*merged) - expected) < 2e-5f);
        json doubled = dense(modules);
        for (json& change : doubled) change["lowRank"]["scale"] = 1.0;
        const auto wrong = f.open(BackendKind::reference, type, quantization);
        REQUIRE(wrong->merge_adapter(f.path(), doubled.dump()));
        CHECK(std::abs(logprob(*wrong) - expected) > 1e-4f);
      }
    }
  }
}

TEST_CASE("adapters of experts are added up, whatever form each has") {
  const Fixture f;
  const auto model = f.open(BackendKind::cpu);
  const auto sum = [&](float first, float second) {
    const auto loaded = model->load_adapters(
        {{f.path(), f.stacked().dump(), first}, {f.path(), f.single(false).dump(), second}});
    REQUIRE(loaded);
    return logprob(*model, loaded->handle);
  };
  CHECK(sum(1, 0) == doctest::Approx(logprob(*model, f, f.stacked())).epsilon(1e-5));
  CHECK(sum(0.25f, 0.75f) == doctest::Approx(logprob(*model, f, f.stacked())).epsilon(1e-5));
  CHECK(sum(1, -1) == doctest::Approx(logprob(*model)).epsilon(1e-5));
}

TEST_CASE("what does not fit the experts is refused by name") {
  const Fixture f;
  const auto model = f.open(BackendKind::cpu);
  json with_magnitude = f.stacked()[0], weight = f.single(false)[0];
  with_magnitude["magnitude"] = f.ref("magnitude");
  weight["weight"] = f.ref("wide");
  struct Case {
    json module;
    const char* says;
  };
  const Case cases[] = {{f.served("experts.4.w1", "both.a0", "w1.b0"), "no module"},
                        {f.served("experts.01.w1", "both.a0", "w1.b0"), "no module"},
                        {f.served("experts.1.w4", "both.a0", "w1.b0"), "no module"},
                        {f.served("experts.1.w2", "both.a0", "w1.b0"), "but the base needs"},
                        {f.served("experts.down_proj", "up.a", "up.b"), "but the base needs"},
                        {with_magnitude, "magnitudes"},
                        {weight, "low-rank deltas alone"}};
  for (const Case& test : cases) {
    const auto loaded = model->load_adapter(f.path(), json::array({test.module}).dump());
    REQUIRE_FALSE(loaded);
    CHECK_MESSAGE(loaded.error().message.find(test.says) != std::string::npos, loaded.error().message);
  }
  CHECK(model->memory().adapter_bytes == 0);
}

}  // namespace lorikeet::test
