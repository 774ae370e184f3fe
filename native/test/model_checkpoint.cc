#include <functional>
#include <nlohmann/json.hpp>

#include "backend/shared/dtype.h"
#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

bool says(const std::string& message, const char* what) {
  return message.find(what) != std::string::npos;
}

// The tiny model's tensors in two files and an index; `edit` may spoil the index.
void write_sharded(const std::string& folder, const TestTensors& tensors,
                   const std::function<void(nlohmann::json&)>& edit = {}) {
  TestTensors shards[2];
  nlohmann::json map = nlohmann::json::object();
  size_t at = 0;
  for (const auto& [name, tensor] : tensors) {
    const size_t shard = at++ % 2;
    shards[shard][name] = tensor;
    map[name] = shard == 0 ? "a.safetensors" : "b.safetensors";
  }
  if (edit) edit(map);
  write_text(folder + "/config.json", tiny_config());
  write_text(folder + "/model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
  write_safetensors(folder + "/a.safetensors", shards[0]);
  write_safetensors(folder + "/b.safetensors", shards[1]);
}

}  // namespace

TEST_CASE("a sharded checkpoint answers as the same checkpoint in one file") {
  const TempFolder single;
  const TempFolder sharded;
  write_tiny_model(single.path(), tiny_config(), tiny_tensors());
  write_sharded(sharded.path(), tiny_tensors());
  const auto a = run(*open_tiny(single.path()), plan_of({1, 5, 9}));
  const auto b = run(*open_tiny(sharded.path()), plan_of({1, 5, 9}));
  REQUIRE(a);
  REQUIRE(b);
  CHECK(a->front().token == b->front().token);
  CHECK(a->front().logprob == b->front().logprob);
}

TEST_CASE("f16 and bf16 checkpoints answer as their values in f32") {
  for (const char* dtype : {"F16", "BF16"}) {
    const TempFolder half;
    const TempFolder full;
    TestTensors tensors = tiny_tensors(false, dtype);
    write_tiny_model(half.path(), tiny_config(), tensors);
    for (auto& [name, tensor] : tensors) {
      for (float& value : tensor.values) {
        value = std::string(dtype) == "F16" ? f16_to_f32(f32_to_f16(value)) : bf16_to_f32(f32_to_bf16(value));
      }
      tensor.dtype = "F32";
    }
    write_tiny_model(full.path(), tiny_config(), tensors);
    const auto a = run(*open_tiny(half.path()), plan_of({1, 5, 9}));
    const auto b = run(*open_tiny(full.path()), plan_of({1, 5, 9}));
    CHECK(a->front().logprob == b->front().logprob);
  }
}

TEST_CASE("a checkpoint that does not fit its config is refused with the tensor's name") {
  struct Case {
    const char* name;
    std::function<void(TestTensors&)> edit;
    const char* says;
  };
  const Case cases[] = {
      {"missing", [](TestTensors& t) { t.erase("model.norm.weight"); }, "no tensor model.norm.weight"},
      {"extra", [](TestTensors& t) { t["model.layers.0.self_attn.q_proj.bias"] = random_tensor({8}, 1); },
       "q_proj.bias"},
      {"one layer too many",
       [](TestTensors& t) { t["model.layers.2.mlp.up_proj.weight"] = random_tensor({8}, 1); }, "layers.2"},
      {"wrong shape",
       [](TestTensors& t) {
         t["lm_head.weight"] = random_tensor({kHidden, kVocab}, 1);
       },
       "lm_head.weight has shape [8, 32]"},
      {"a vector as a matrix",
       [](TestTensors& t) {
         t["model.norm.weight"].shape = {1, kHidden};
       },
       "model.norm.weight has shape [1, 8]"},
      {"dtype", [](TestTensors& t) { t["model.norm.weight"].dtype = "F64"; },
       "model.norm.weight has dtype F64"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.name);
    const TempFolder folder;
    TestTensors tensors = tiny_tensors();
    test.edit(tensors);
    write_tiny_model(folder.path(), tiny_config(), tensors);
    const std::string fault = open_fault(folder.path());
    CHECK_MESSAGE(says(fault, test.says), fault);
  }
}

TEST_CASE("an index that lies is refused") {
  struct Case {
    std::function<void(nlohmann::json&)> edit;
    const char* says;
  };
  const Case cases[] = {
      {[](nlohmann::json& map) { map.erase("lm_head.weight"); }, "does not name"},
      {[](nlohmann::json& map) { map["model.extra"] = "a.safetensors"; }, "but it does not"},
      {[](nlohmann::json& map) { map["lm_head.weight"] = "c.safetensors"; }, "cannot open"},
      {[](nlohmann::json& map) { map["lm_head.weight"] = "../a.safetensors"; }, "plain file name"},
      {[](nlohmann::json& map) { map["lm_head.weight"] = 3; }, "not a string"},
      {[](nlohmann::json& map) { map = "x"; }, "weight_map"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.says);
    const TempFolder folder;
    write_sharded(folder.path(), tiny_tensors(), test.edit);
    const std::string fault = open_fault(folder.path());
    CHECK_MESSAGE(says(fault, test.says), fault);
  }
}

TEST_CASE("a folder without a model is refused with what is missing") {
  const TempFolder folder;
  CHECK(says(open_fault(folder.path()), "config.json"));
  write_text(folder.path("config.json"), tiny_config());
  CHECK(says(open_fault(folder.path()), "neither model.safetensors nor"));
  write_text(folder.path("model.safetensors"), "");
  CHECK(says(open_fault(folder.path()), "empty"));
}

TEST_CASE("rotary buffers of old checkpoints are ignored") {
  const TempFolder folder;
  TestTensors tensors = tiny_tensors();
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = random_tensor({kHeadDim / 2}, 1);
  write_tiny_model(folder.path(), tiny_config(), tensors);
  CHECK(open_tiny(folder.path())->network().layer_count() == kLayers);
}

TEST_CASE("a tied head needs no tensor, and one that differs from the table is refused") {
  const TempFolder folder;
  TestTensors tensors = tiny_tensors(true);
  write_tiny_model(folder.path(), tiny_config(true), tensors);
  const auto tied = run(*open_tiny(folder.path()), plan_of({1, 5, 9}));
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"];
  write_tiny_model(folder.path(), tiny_config(true), tensors);
  const auto same = run(*open_tiny(folder.path()), plan_of({1, 5, 9}));
  CHECK(tied->front().logprob == same->front().logprob);
  write_tiny_model(folder.path(), tiny_config(false), tensors);
  const auto untied = run(*open_tiny(folder.path()), plan_of({1, 5, 9}));
  CHECK(tied->front().logprob == untied->front().logprob);
  tensors["lm_head.weight"].values[0] += 1;
  write_tiny_model(folder.path(), tiny_config(true), tensors);
  CHECK(says(open_fault(folder.path()), "lm_head.weight differs"));
}

TEST_CASE("a tied model holds its table once") {
  const TempFolder tied;
  const TempFolder untied;
  write_tiny_model(tied.path(), tiny_config(true), tiny_tensors(true));
  write_tiny_model(untied.path(), tiny_config(false), tiny_tensors(false));
  const size_t table_bytes = size_t{kVocab} * kHidden * sizeof(float);
  CHECK(open_tiny(untied.path())->memory().weight_bytes - open_tiny(tied.path())->memory().weight_bytes ==
        table_bytes);
}

TEST_CASE("biases are read where config.json asks for them") {
  const TempFolder folder;
  TestTensors tensors = tiny_tensors();
  nlohmann::json config = nlohmann::json::parse(tiny_config());
  config["attention_bias"] = true;
  config["mlp_bias"] = true;
  write_tiny_model(folder.path(), config.dump(), tensors);
  CHECK(says(open_fault(folder.path()), "q_proj.bias"));
  for (const auto& [name, tensor] : tiny_tensors()) {
    const size_t at = name.find("_proj.weight");
    if (at == std::string::npos) continue;
    tensors[name.substr(0, at) + "_proj.bias"] = random_tensor({tensor.shape[0]}, 900);
  }
  write_tiny_model(folder.path(), config.dump(), tensors);
  const auto biased = run(*open_tiny(folder.path()), plan_of({1, 5, 9}));
  REQUIRE(biased);
  write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
  CHECK(run(*open_tiny(folder.path()), plan_of({1, 5, 9}))->front().logprob != biased->front().logprob);
}

TEST_CASE("a cache too small for a page, or limits of zero, are refused") {
  const TempFolder folder;
  write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
  ModelOptions options = tiny_options(folder.path());
  options.kv_bytes = 100;
  CHECK(says(Model::open(options).error().message, "one page needs"));
  options = tiny_options(folder.path());
  options.max_rows = 0;
  CHECK(says(Model::open(options).error().message, "maxStepTokens"));
}

}  // namespace lorikeet::test
