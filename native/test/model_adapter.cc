#include <nlohmann/json.hpp>

#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

constexpr const char* kQ = "model.layers.1.self_attn.q_proj";
constexpr const char* kDown = "model.layers.0.mlp.down_proj";

// A model, an adapter's file, and a manifest over both.
struct Fixture {
  Fixture() {
    write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
    write_safetensors(path(), tensors("F32"));
    model = open_tiny(folder.path());
  }

  static TestTensors tensors(const std::string& dtype) {
    return {{"q.a", random_tensor({3, kHidden}, 1, dtype)},
            {"q.b", random_tensor({2 * kHeadDim, 3}, 2, dtype)},
            {"q.m", random_tensor({2 * kHeadDim}, 3, dtype)},
            {"down.w", random_tensor({kHidden, kFfn}, 4, dtype)},
            {"norm.w", random_tensor({kHidden}, 5, dtype)},
            {"embed.a", random_tensor({2, kVocab}, 6, dtype)},
            {"embed.b", random_tensor({kHidden, 2}, 7, dtype)},
            {"rows", random_tensor({2, kHidden}, 8, dtype)}};
  }

  std::string path() const { return folder.path("adapter.safetensors"); }
  json ref(const char* name) const { return json::parse(tensor_ref(path(), name)); }
  json lora(const char* a, const char* b, int rank) const {
    return {{"rank", rank}, {"scale", 0.5}, {"a", ref(a)}, {"b", ref(b)}};
  }
  json q_module() const { return {{"module", kQ}, {"lora", lora("q.a", "q.b", 3)}}; }
  std::string fault(const json& modules) {
    const auto loaded = model->load_adapter(path(), modules.dump());
    REQUIRE_FALSE(loaded);
    return loaded.error().message;
  }
  int32_t load(const json& modules) {
    const auto loaded = model->load_adapter(path(), modules.dump());
    REQUIRE(loaded);
    return loaded->handle;
  }
  float logprob(int32_t handle) {
    const auto results = run(*model, plan_of({1, 5, 9}, handle));
    REQUIRE(results);
    return results->front().logprob;
  }

  TempFolder folder;
  std::unique_ptr<Model> model;
};

}  // namespace

TEST_CASE("each kind of change alters the answer, and dropping it brings the base's back") {
  Fixture f;
  const float base = f.logprob(0);
  const json cases[] = {
      f.q_module(),
      {{"module", kQ}, {"lora", f.lora("q.a", "q.b", 3)}, {"magnitude", f.ref("q.m")}},
      {{"module", kDown}, {"weight", f.ref("down.w")}},
      {{"module", "model.norm"}, {"weight", f.ref("norm.w")}},
      {{"module", "model.layers.0.input_layernorm"}, {"weight", f.ref("norm.w")}},
      {{"module", "model.embed_tokens"}, {"lora", f.lora("embed.a", "embed.b", 2)}},
      {{"module", "model.embed_tokens"}, {"tokenRows", {{"indices", {9, 1}}, {"rows", f.ref("rows")}}}},
      {{"module", "lm_head"}, {"tokenRows", {{"indices", {9, 1}}, {"rows", f.ref("rows")}}}},
  };
  for (const json& module : cases) {
    CAPTURE(module.dump());
    const int32_t handle = f.load(json::array({module}));
    CHECK(f.model->memory().adapter_bytes > 0);
    CHECK(f.logprob(handle) != base);
    CHECK(f.logprob(0) == base);
    CHECK(f.model->drop_adapter(handle));
    CHECK(f.model->memory().adapter_bytes == 0);
  }
}

TEST_CASE(
    "a segment's scale multiplies the deltas: 0 is the base, and 2 what an adapter of twice the scale "
    "gives") {
  Fixture f;
  const json modules = json::array(
      {f.q_module(), {{"module", "model.embed_tokens"}, {"lora", f.lora("embed.a", "embed.b", 2)}}});
  json twice = modules;
  for (json& module : twice) module["lora"]["scale"] = 1.0;
  const int32_t handle = f.load(modules);
  const auto scaled = [&](float scale) {
    StepPlan plan = plan_of({1, 5, 9}, handle);
    plan.segment_scale = {scale};
    return run(*f.model, plan);
  };
  REQUIRE(scaled(1));
  CHECK(scaled(1)->front().logprob == f.logprob(handle));
  CHECK(scaled(0)->front().logprob == f.logprob(0));
  CHECK(scaled(2)->front().logprob == f.logprob(f.load(twice)));
  CHECK(scaled(-1)->front().logprob != scaled(1)->front().logprob);
  CHECK(scaled(NAN).error().message.find("segmentScale[0] is out of range") != std::string::npos);
  StepPlan plan = plan_of({1, 5, 9}, handle);
  plan.segment_scale = {1, 1};
  CHECK(run(*f.model, plan).error().message.find("segmentScale is not [segments]") != std::string::npos);
}

TEST_CASE("an F64 adapter answers as its values in F32") {
  Fixture f;
  const int32_t narrow = f.load(json::array({f.q_module()}));
  const float expected = f.logprob(narrow);
  write_safetensors(f.path(), Fixture::tensors("F64"));
  CHECK(f.logprob(f.load(json::array({f.q_module()}))) == expected);
}

TEST_CASE("several adapters are one whose deltas are the sum, each times its weight") {
  Fixture f;
  const std::string other = f.folder.path("other.safetensors");
  write_safetensors(other, {{"a", random_tensor({5, kHidden}, 21, "BF16")},
                            {"b", random_tensor({2 * kHeadDim, 5}, 22, "BF16")},
                            {"down.a", random_tensor({2, kFfn}, 23)},
                            {"down.b", random_tensor({kHidden, 2}, 24)},
                            {"embed.a", random_tensor({3, kVocab}, 25)},
                            {"embed.b", random_tensor({kHidden, 3}, 26)}});
  const auto ref = [&](const char* name) { return json::parse(tensor_ref(other, name)); };
  const auto lora = [&](const char* a, const char* b, int rank) {
    return json{{"rank", rank}, {"scale", 2.0}, {"a", ref(a)}, {"b", ref(b)}};
  };
  const json one = json::array(
      {f.q_module(), {{"module", "model.embed_tokens"}, {"lora", f.lora("embed.a", "embed.b", 2)}}});
  const json two = json::array({{{"module", kQ}, {"lora", lora("a", "b", 5)}},
                                {{"module", kDown}, {"lora", lora("down.a", "down.b", 2)}},
                                {{"module", "model.embed_tokens"}, {"lora", lora("embed.a", "embed.b", 3)}}});
  const auto logprob = [&](float first, float second) {
    const auto loaded = f.model->load_adapters({{f.path(), one.dump(), first}, {other, two.dump(), second}});
    REQUIRE(loaded);
    const float value = f.logprob(loaded->handle);
    CHECK(f.model->drop_adapter(loaded->handle));
    return value;
  };
  CHECK(logprob(1, 0) == f.logprob(f.load(one)));
  CHECK(logprob(0, 0) == f.logprob(0));
  const auto alone = f.model->load_adapter(other, two.dump());
  REQUIRE(alone);
  CHECK(logprob(0, 1) == doctest::Approx(f.logprob(alone->handle)).epsilon(1e-5));
  CHECK(logprob(1, 1) != doctest::Approx(logprob(1, -1)));
  CHECK(logprob(1, 1) != doctest::Approx(f.logprob(alone->handle)));

  json replaced = one;
  replaced.push_back({{"module", kDown}, {"weight", f.ref("down.w")}});
  const auto refused = f.model->load_adapters({{other, two.dump()}, {f.path(), replaced.dump()}});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message == std::string("module ") + kDown + ": only low-rank deltas can be added up");
}

TEST_CASE("a manifest that does not fit the base or the file is refused, and nothing stays resident") {
  Fixture f;
  const auto changed = [](json module, const char* pointer, json value) {
    module[json::json_pointer(pointer)] = std::move(value);
    return module;
  };
  struct Case {
    json modules;
    const char* says;
  };
  const Case cases[] = {
      {json::array(), "non-empty"},
      {json::object(), "non-empty"},
      {json::array({changed(f.q_module(), "/module", "model.layers.2.self_attn.q_proj")}),
       "no module model.layers.2"},
      {json::array({f.q_module(), f.q_module()}), "twice"},
      {json::array({changed(f.q_module(), "/lora/rank", 4)}), "shape [3, 8], but the base needs [4, 8]"},
      {json::array({changed(f.q_module(), "/lora/rank", 0)}), "rank"},
      {json::array({changed(f.q_module(), "/lora/rank", -3)}), "rank"},
      {json::array({changed(f.q_module(), "/lora/scale", "1")}), "scale"},
      {json::array({changed(f.q_module(), "/lora/a", f.ref("q.b"))}), "shape"},
      {json::array({changed(f.q_module(), "/lora/a/name", "absent")}), "no tensor absent"},
      {json::array({changed(f.q_module(), "/lora/a/begin", 0)}), "differently"},
      {json::array({changed(f.q_module(), "/lora/a/dtype", "F16")}), "differently"},
      {json::array({changed(f.q_module(), "/lora/a/shape", json::array({24}))}), "differently"},
      {json::array({changed(f.q_module(), "/lora/a/shape", json::array({-1}))}), "whole numbers"},
      {json::array({changed(f.q_module(), "/lora/gamma", 1)}), "unknown field gamma"},
      {json::array({changed(f.q_module(), "/bias", f.ref("q.m"))}), "base has none"},
      {json::array({changed(f.q_module(), "/tokenRows", {{"indices", {1}}, {"rows", f.ref("rows")}})}),
       "embedding"},
      {json::array({json{{"module", kQ}}}), "changes nothing"},
      {json::array({json{{"module", kQ}, {"magnitude", f.ref("q.m")}}}), "low-rank"},
      {json::array({json{{"module", "model.norm"}, {"lora", f.lora("q.a", "q.b", 3)}}}), "gain"},
      {json::array({json{{"module", "model.embed_tokens"},
                         {"tokenRows", {{"indices", {1, 32}}, {"rows", f.ref("rows")}}}}}),
       "vocabulary"},
      {json::array(
           {json{{"module", "lm_head"}, {"tokenRows", {{"indices", {1, 32}}, {"rows", f.ref("rows")}}}}}),
       "vocabulary"},
      {json::array({json{{"module", "model.embed_tokens"},
                         {"tokenRows", {{"indices", {1, 1}}, {"rows", f.ref("rows")}}}}}),
       "twice"},
      {json::array({json{{"module", "model.embed_tokens"},
                         {"tokenRows", {{"indices", {1}}, {"rows", f.ref("rows")}}}}}),
       "shape"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.modules.dump());
    const std::string fault = f.fault(test.modules);
    CHECK_MESSAGE(fault.find(test.says) != std::string::npos, fault);
    CHECK(f.model->memory().adapter_bytes == 0);
  }
  CHECK(f.model->load_adapter(f.folder.path("absent"), json::array({f.q_module()}).dump())
            .error()
            .message.find("cannot open") != std::string::npos);
  CHECK_FALSE(f.model->load_adapter(f.path(), "["));
}

TEST_CASE("a DoRA row without a direction is refused") {
  Fixture f;
  TestTensors tensors = Fixture::tensors("F32");
  tensors["q.b"].values.assign(tensors["q.b"].values.size(), 0.0f);
  tensors["zero"] = TestTensor{{2 * kHeadDim, kHidden}, std::vector<float>(2 * kHeadDim * kHidden), "F32"};
  write_safetensors(f.path(), tensors);
  const json module = {{"module", kQ},
                       {"lora", f.lora("q.a", "q.b", 3)},
                       {"magnitude", f.ref("q.m")},
                       {"weight", f.ref("zero")}};
  CHECK(f.fault(json::array({module})).find("DoRA") != std::string::npos);
}

TEST_CASE("handles are never reused, and unknown ones are refused") {
  Fixture f;
  const int32_t first = f.load(json::array({f.q_module()}));
  CHECK(f.model->drop_adapter(first));
  CHECK(f.load(json::array({f.q_module()})) != first);
  CHECK_FALSE(f.model->drop_adapter(first));
  const auto stale = run(*f.model, plan_of({1, 2}, first));
  REQUIRE_FALSE(stale);
  CHECK(stale.error().message.find("no adapter has handle") != std::string::npos);
}

TEST_CASE("an adapter that a step has pinned cannot be dropped before the step ends") {
  Fixture f;
  const int32_t handle = f.load(json::array({f.q_module()}));
  f.model->plan() = plan_of({1, 2}, handle);
  REQUIRE(f.model->pin_step());
  CHECK_FALSE(f.model->drop_adapter(handle));
  REQUIRE(f.model->run_step());
  CHECK(f.model->drop_adapter(handle));
}

}  // namespace lorikeet::test
