#include <cmath>
#include <nlohmann/json.hpp>

#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

constexpr const char* kK = "model.layers.0.self_attn.k_proj";
constexpr const char* kUp = "model.layers.1.mlp.up_proj";

struct Fixture {
  explicit Fixture(bool tied = false, Quantization quantization = Quantization::none,
                   AdapterType type = AdapterType::stored)
      : quantization(quantization), type(type) {
    write_tiny_model(folder.path(), tiny_config(tied), tiny_tensors(tied));
    write_safetensors(path(), {{"k.a", random_tensor({3, kHidden}, 1)},
                               {"k.b", random_tensor({kHeadDim, 3}, 2, "BF16")},
                               {"k.bias", random_tensor({kHeadDim}, 3)},
                               {"k.m", random_tensor({kHeadDim}, 4)},
                               {"up.w", random_tensor({kFfn, kHidden}, 5, "F16")},
                               {"up.wide", random_tensor({kFfn, kHidden}, 13)},
                               {"norm", random_tensor({kHidden}, 6, "F64")},
                               {"embed.a", random_tensor({2, kVocab}, 7)},
                               {"embed.b", random_tensor({kHidden, 2}, 8)},
                               {"embed.m", random_tensor({kHidden}, 9)},
                               {"head.a", random_tensor({2, kHidden}, 10)},
                               {"head.b", random_tensor({kVocab, 2}, 11)},
                               {"rows", random_tensor({2, kHidden}, 12)}});
  }
  std::string path() const { return folder.path("adapter.safetensors"); }
  json ref(const char* name) const { return json::parse(tensor_ref(path(), name)); }

  // What the low-rank path of the same backend says.
  std::vector<SampleResult> served(const json& module) const {
    const auto model = open();
    const auto loaded = model->load_adapter(path(), json::array({module}).dump());
    REQUIRE(loaded);
    return *run(*model, plan_of({1, 9, 5, 9}, loaded->handle));
  }
  std::vector<SampleResult> merged(const json& change) const {
    const auto model = open();
    const Status status = model->merge_adapter(path(), json::array({change}).dump());
    REQUIRE(status);
    return *run(*model, plan_of({1, 9, 5, 9}));
  }
  std::string fault(const json& changes) const {
    const auto model = open();
    const Status status = model->merge_adapter(path(), changes.dump());
    REQUIRE_FALSE(status);
    return status.error().message;
  }

  std::unique_ptr<Model> open() const {
    ModelOptions options = tiny_options(folder.path());
    options.quantization = quantization;
    options.adapter_type = type;
    auto model = Model::open(options);
    REQUIRE(model);
    return std::move(*model);
  }

  Quantization quantization;
  AdapterType type;
  TempFolder folder;
};

struct Pair {
  json served;
  json merged;
};

json low_rank(const char* a, const char* b, double scale) {
  return {{"a", a}, {"b", b}, {"scale", scale}};
}

}  // namespace

TEST_CASE("a densely merged adapter answers as the low-rank one") {
  const std::pair<Quantization, AdapterType> kept[] = {{Quantization::none, AdapterType::stored},
                                                       {Quantization::int8, AdapterType::stored},
                                                       {Quantization::int4, AdapterType::bf16},
                                                       {Quantization::none, AdapterType::bf16},
                                                       {Quantization::none, AdapterType::int8}};
  for (const auto& [quantization, type] : kept) {
    const bool tied = quantization != Quantization::int8;
    CAPTURE(static_cast<int>(quantization));
    CAPTURE(static_cast<int>(type));
    const Fixture f(tied, quantization, type);
    const auto lora = [&](const char* a, const char* b, int rank) -> json {
      return {{"rank", rank}, {"scale", 0.5}, {"a", f.ref(a)}, {"b", f.ref(b)}};
    };
    json with_bias = lora("k.a", "k.b", 3);
    with_bias["loraBias"] = f.ref("k.bias");
    const Pair pairs[] = {
        {{{"module", kK}, {"lora", lora("k.a", "k.b", 3)}},
         {{"module", kK}, {"lowRank", low_rank("k.a", "k.b", 0.5)}}},
        {{{"module", kK}, {"lora", with_bias}, {"magnitude", f.ref("k.m")}},
         {{"module", kK},
          {"lowRank", low_rank("k.a", "k.b", 0.5)},
          {"loraBias", "k.bias"},
          {"magnitude", "k.m"}}},
        {{{"module", kUp}, {"weight", f.ref("up.w")}}, {{"module", kUp}, {"weight", "up.w"}}},
        {{{"module", kUp}, {"weight", f.ref("up.wide")}}, {{"module", kUp}, {"weight", "up.wide"}}},
        {{{"module", "model.norm"}, {"weight", f.ref("norm")}},
         {{"module", "model.norm"}, {"weight", "norm"}}},
        {{{"module", "model.embed_tokens"},
          {"lora", lora("embed.a", "embed.b", 2)},
          {"magnitude", f.ref("embed.m")}},
         {{"module", "model.embed_tokens"},
          {"lowRank", low_rank("embed.a", "embed.b", 0.5)},
          {"magnitude", "embed.m"}}},
        {{{"module", "lm_head"}, {"lora", lora("head.a", "head.b", 2)}},
         {{"module", "lm_head"}, {"lowRank", low_rank("head.a", "head.b", 0.5)}}},
        {{{"module", "model.embed_tokens"}, {"tokenRows", {{"indices", {9, 1}}, {"rows", f.ref("rows")}}}},
         {{"module", "model.embed_tokens"}, {"rows", {{"indices", {9, 1}}, {"tensor", "rows"}}}}},
        {{{"module", "lm_head"}, {"tokenRows", {{"indices", {9, 1}}, {"rows", f.ref("rows")}}}},
         {{"module", "lm_head"}, {"rows", {{"indices", {9, 1}}, {"tensor", "rows"}}}}},
    };
    for (const Pair& pair : pairs) {
      CAPTURE(pair.merged.dump());
      const auto want = f.served(pair.served);
      const auto got = f.merged(pair.merged);
      CHECK(got.front().token == want.front().token);
      CHECK(std::abs(got.front().logprob - want.front().logprob) < 1e-5f);
      if (!pair.merged.contains("lowRank")) continue;
      json doubled = pair.merged;
      doubled["lowRank"]["scale"] = 1.0;
      CHECK(std::abs(f.merged(doubled).front().logprob - want.front().logprob) > 1e-4f);
    }
  }
}

TEST_CASE("a dense change that does not fit is refused by name, and only the reference backend merges") {
  const Fixture f;
  struct Case {
    json changes;
    const char* says;
  };
  const Case cases[] = {
      {json::object(), "array"},
      {json::array({json{{"module", "model.layers.7.mlp.up_proj"}, {"weight", "up.w"}}}), "no module"},
      {json::array({json{{"module", kUp}, {"weight", "absent"}}}), "no tensor absent"},
      {json::array({json{{"module", kUp}, {"weight", "k.a"}}}), "[3, 8]"},
      {json::array({json{{"module", kK}, {"lowRank", low_rank("norm", "k.b", 1)}}}), "k.b"},
      {json::array({json{{"module", "model.embed_tokens"},
                         {"rows", {{"indices", {1, kVocab}}, {"tensor", "rows"}}}}}),
       "does not exist"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.changes.dump());
    const std::string fault = f.fault(test.changes);
    CHECK_MESSAGE(fault.find(test.says) != std::string::npos, fault);
  }
  ModelOptions options = tiny_options(f.folder.path());
  options.backend = BackendKind::cpu;
  const auto fast = Model::open(options);
  REQUIRE(fast);
  CHECK_FALSE((*fast)->merge_adapter(f.path(), "[]"));
}

}  // namespace lorikeet::test
