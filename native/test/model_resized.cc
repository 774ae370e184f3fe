// Adapters that have more tokens than the base, or fewer.
#include <cmath>
#include <nlohmann/json.hpp>

#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

constexpr int kRoom = 4;
constexpr int kMore = kVocab + 3;
constexpr int kFewer = kVocab - 2;

struct Fixture {
  explicit Fixture(BackendKind backend = BackendKind::cpu) {
    write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
    TestTensors tensors = {{"rows", random_tensor({3, kHidden}, 11)},
                           {"head.rows", random_tensor({3, kHidden}, 12)}};
    for (const int vocab : {kMore, kFewer}) {
      const std::string of = std::to_string(vocab);
      tensors["table" + of] = random_tensor({vocab, kHidden}, 1, "BF16");
      tensors["head" + of] = random_tensor({vocab, kHidden}, 2, "BF16");
      tensors["table.a" + of] = random_tensor({2, vocab}, 3);
      tensors["head.b" + of] = random_tensor({vocab, 2}, 4);
    }
    tensors["table.b"] = random_tensor({kHidden, 2}, 5);
    tensors["head.a"] = random_tensor({2, kHidden}, 6);
    tensors["head.m"] = random_tensor({kMore}, 7);
    write_safetensors(path(), tensors);
    ModelOptions options = tiny_options(folder.path());
    options.backend = backend;
    options.extra_tokens = kRoom;
    auto opened = Model::open(options);
    REQUIRE(opened);
    model = std::move(*opened);
  }

  std::string path() const { return folder.path("adapter.safetensors"); }
  json ref(const std::string& name) const { return json::parse(tensor_ref(path(), name)); }
  json table(json change) const { return with("model.embed_tokens", std::move(change)); }
  json head(json change) const { return with("lm_head", std::move(change)); }
  static json with(const char* module, json change) {
    change["module"] = module;
    return change;
  }
  json lora(const std::string& a, const std::string& b) const {
    return {{"rank", 2}, {"scale", 0.5}, {"a", ref(a)}, {"b", ref(b)}};
  }
  json weights(int vocab) const {
    const std::string of = std::to_string(vocab);
    return {table({{"weight", ref("table" + of)}}), head({{"weight", ref("head" + of)}})};
  }
  // Low-rank deltas on both beside the weights.
  json deltas(int vocab) const {
    const std::string of = std::to_string(vocab);
    return {table({{"weight", ref("table" + of)}, {"lora", lora("table.a" + of, "table.b")}}),
            head({{"weight", ref("head" + of)}, {"lora", lora("head.a", "head.b" + of)}})};
  }
  // The base's own, and rows behind them.
  json rows() const {
    const json indices = {kVocab, kVocab + 1, kVocab + 2};
    return {table({{"tokenRows", {{"indices", indices}, {"rows", ref("rows")}}}}),
            head({{"tokenRows", {{"indices", indices}, {"rows", ref("head.rows")}}}})};
  }

  Result<LoadedAdapter> try_load(const json& modules, int vocab) {
    return model->load_adapters({{path(), modules.dump(), 1.0f, vocab}});
  }
  int32_t load(const json& modules, int vocab) {
    const auto loaded = try_load(modules, vocab);
    if (!loaded) FAIL(loaded.error().message);
    return loaded->handle;
  }
  std::string fault(const json& modules, int vocab) {
    const auto loaded = try_load(modules, vocab);
    REQUIRE_FALSE(loaded);
    return loaded.error().message;
  }
  Result<float> score(int32_t handle, int32_t target, const std::vector<int32_t>& tokens) {
    StepPlan plan = plan_of(tokens, handle);
    plan.sample_int[kMode] = 1;
    plan.sample_int[kTarget] = target;
    const auto results = run(*model, plan);
    if (!results) return results.error();
    return results->front().logprob;
  }
  // Of tokens [0, vocab) behind the others.
  std::vector<float> scores(int32_t handle, int vocab, const std::vector<int32_t>& tokens) {
    std::vector<float> all;
    for (int32_t token = 0; token < vocab; ++token) {
      const auto logprob = score(handle, token, tokens);
      if (!logprob) FAIL(logprob.error().message);
      all.push_back(*logprob);
    }
    return all;
  }

  TempFolder folder;
  std::unique_ptr<Model> model;
};

double total(const std::vector<float>& logprobs) {
  double sum = 0;
  for (const float logprob : logprobs) sum += std::exp(static_cast<double>(logprob));
  return sum;
}

struct Case {
  const char* name;
  json (*modules)(const Fixture&);
  int vocab;
};
const Case kCases[] = {
    {"more weights", [](const Fixture& f) { return f.weights(kMore); }, kMore},
    {"fewer weights", [](const Fixture& f) { return f.weights(kFewer); }, kFewer},
    {"more, with deltas", [](const Fixture& f) { return f.deltas(kMore); }, kMore},
    {"fewer, with deltas", [](const Fixture& f) { return f.deltas(kFewer); }, kFewer},
    {"rows behind the base's", [](const Fixture& f) { return f.rows(); }, kMore},
};

}  // namespace

TEST_CASE("an adapter's probabilities are of its own tokens, and the CPU's are the reference's") {
  Fixture cpu, reference(BackendKind::reference);
  for (const Case& c : kCases) {
    INFO(c.name);
    const std::vector<int32_t> prompt = {1, c.vocab - 1, 9};
    const auto got = cpu.scores(cpu.load(c.modules(cpu), c.vocab), c.vocab, prompt);
    const auto want = reference.scores(reference.load(c.modules(reference), c.vocab), c.vocab, prompt);
    CHECK(total(got) == doctest::Approx(1.0).epsilon(1e-5));
    for (size_t token = 0; token < got.size(); ++token)
      CHECK(got[token] == doctest::Approx(want[token]).epsilon(1e-4));
  }
}

TEST_CASE("what is loaded beside the base changes no bit of the base's answers") {
  Fixture f;
  const std::vector<int32_t> prompt = {1, 5, 9};
  const auto before = f.scores(0, kVocab, prompt);
  for (const Case& c : kCases) f.load(c.modules(f), c.vocab);
  CHECK(f.scores(0, kVocab, prompt) == before);
  CHECK(total(before) == doctest::Approx(1.0).epsilon(1e-5));
}

TEST_CASE("a step names only tokens that its rows have") {
  Fixture f;
  const int32_t more = f.load(f.weights(kMore), kMore), fewer = f.load(f.weights(kFewer), kFewer);
  const auto refused = [&](int32_t handle, int32_t target, const std::vector<int32_t>& tokens) {
    const auto result = f.score(handle, target, tokens);
    return !result && result.error().message.find("outside the vocabulary") != std::string::npos;
  };
  CHECK(refused(0, 1, {1, kVocab, 3}));
  CHECK(refused(0, kVocab, {1, 2, 3}));
  CHECK(refused(more, 1, {1, kMore, 3}));
  CHECK(refused(more, kMore, {1, 2, 3}));
  CHECK(refused(fewer, 1, {1, kFewer, 3}));
  CHECK(refused(fewer, kFewer, {1, 2, 3}));
  CHECK_FALSE(refused(more, kMore - 1, {1, kMore - 1, 3}));
}

TEST_CASE("penalties, biases and lists of a row name only tokens that it has") {
  Fixture f;
  const int32_t more = f.load(f.weights(kMore), kMore);
  const std::vector<std::pair<const char*, void (*)(StepPlan&, int32_t)>> kinds = {
      {"historyToken[0]",
       [](StepPlan& p, int32_t token) {
         p.history_start = {0, 1};
         p.history_token = {token};
         p.history_count = {1};
       }},
      {"biasToken[0]",
       [](StepPlan& p, int32_t token) {
         p.bias_start = {0, 1};
         p.bias_token = {token};
         p.bias_value = {1.0f};
       }},
      {"listedToken[0]",
       [](StepPlan& p, int32_t token) {
         p.listed_start = {0, 1};
         p.listed_token = {token};
       }},
  };
  for (const auto& [name, put] : kinds) {
    INFO(name);
    const auto faulty = [&](int32_t handle, int32_t token) {
      StepPlan plan = plan_of({1, 2, 3}, handle);
      put(plan, token);
      const auto result = run(*f.model, plan);
      return !result && result.error().message.find(name) != std::string::npos;
    };
    CHECK(faulty(0, kVocab));
    CHECK_FALSE(faulty(0, kVocab - 1));
    CHECK(faulty(more, kMore));
    CHECK_FALSE(faulty(more, kMore - 1));
  }
}

TEST_CASE("a token that another adapter drew is none of a row without it") {
  Fixture f;
  const int32_t more = f.load(f.weights(kMore), kMore);
  REQUIRE(run(*f.model, plan_of({1, 5, 9}, more)));
  StepPlan plan = plan_of({1, 5, 9});
  plan.token_from = {-1, -1, 0};
  const auto result = run(*f.model, plan);
  REQUIRE_FALSE(result);
  CHECK(result.error().message.find("tokenFrom[2]") != std::string::npos);
}

TEST_CASE("an adapter without a row for each of its tokens is refused, or one with too many") {
  Fixture f;
  CHECK(f.fault(f.weights(kMore), kVocab + kRoom + 1).find("there is room for 36") != std::string::npos);
  CHECK(f.fault(json::array({f.weights(kMore)[0]}), kMore).find("output head") != std::string::npos);
  CHECK(f.fault(f.rows(), kMore + 1).find("no row for token 35") != std::string::npos);
  json dora = f.deltas(kMore);
  dora[1]["magnitude"] = f.ref("head.m");
  CHECK(f.fault(dora, kMore).find("DoRA") != std::string::npos);
}

}  // namespace lorikeet::test
