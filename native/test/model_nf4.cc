// NF4: the definition's corners, and checkpoints in bitsandbytes' layout, written and read. What bitsandbytes
// itself makes of a model is compared in test/golden/nf4-checkpoint.test.ts.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "backend/shared/nf4.h"
#include "backend/shared/quantization.h"
#include "model/nf4_writer.h"
#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

// The tiny model, but with rows of 64 and 128 weights, in bfloat16.
constexpr int kWide = 64;
json nf4_config() {
  json config = json::parse(tiny_config());
  config["hidden_size"] = kWide;
  config["intermediate_size"] = 2 * kWide;
  config["num_attention_heads"] = kWide / kHeadDim;
  config["num_key_value_heads"] = 1;
  return config;
}

TestTensors nf4_tensors() {
  TestTensors tensors;
  uint32_t seed = 300;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
    tensors[name + ".weight"] = random_tensor(shape, seed++, "BF16");
  };
  add("model.embed_tokens", {kVocab, kWide});
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm", {kWide});
    add(prefix + "self_attn.q_proj", {kWide, kWide});
    add(prefix + "self_attn.k_proj", {kHeadDim, kWide});
    add(prefix + "self_attn.v_proj", {kHeadDim, kWide});
    add(prefix + "self_attn.o_proj", {kWide, kWide});
    add(prefix + "post_attention_layernorm", {kWide});
    add(prefix + "mlp.gate_proj", {2 * kWide, kWide});
    add(prefix + "mlp.up_proj", {2 * kWide, kWide});
    add(prefix + "mlp.down_proj", {kWide, 2 * kWide});
  }
  add("model.norm", {kWide});
  add("lm_head", {kVocab, kWide});
  return tensors;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A written NF4 checkpoint, whose file a test may spoil.
struct Written {
  TempFolder plain, quantized;
  std::string path = quantized.path("model.safetensors");

  Written() {
    write_tiny_model(plain.path(), nf4_config().dump(), nf4_tensors());
    const Status status = write_nf4_checkpoint(plain.path(), quantized.path(), 2);
    REQUIRE(status);
  }

  // Replaces every occurrence, the length staying the same.
  void replace(const std::string& from, const std::string& to) {
    REQUIRE(from.size() == to.size());
    std::string bytes = read_file(path);
    size_t count = 0;
    for (size_t at = 0; (at = bytes.find(from, at)) != std::string::npos; ++count)
      bytes.replace(at, to.size(), to);
    REQUIRE(count > 0);
    write_text(path, bytes);
  }
};

std::vector<float> logprobs(const std::string& folder, Quantization quantization, BackendKind backend) {
  ModelOptions options = tiny_options(folder);
  options.backend = backend;
  options.quantization = quantization;
  options.backend_options.threads = 2;
  auto model = Model::open(options);
  REQUIRE(model);
  CHECK((*model)->quantization() == Quantization::nf4);
  const auto results = run(**model, plan_of({1, 5, 9, 3}));
  REQUIRE(results);
  std::vector<float> values;
  for (const SampleResult& result : *results) {
    values.insert(values.end(), result.top_logprob, result.top_logprob + result.top_count);
  }
  return values;
}

}  // namespace

TEST_CASE("NF4's integers are its sixteen values times 112, the ends and zero exact") {
  for (size_t code = 0; code < 16; ++code) {
    CHECK(std::abs(kNf4Integers[code] / kNf4Multiplier - kNf4Values[code]) <= 0.0039f);
    CHECK(nf4_code_of(kNf4Integers[code]) == code);
  }
  CHECK(kNf4Integers.front() == -112);
  CHECK(kNf4Integers[kNf4Zero] == 0);
  CHECK(kNf4Integers.back() == 112);
}

TEST_CASE("a weight takes the nearest of NF4's values, halfway the lower one") {
  float w[kNf4Block] = {};
  std::copy(kNf4Values.begin(), kNf4Values.end(), w);
  for (size_t i = 0; i < 15; ++i) w[16 + i] = (kNf4Values[i] + kNf4Values[i + 1]) / 2;
  for (size_t i = 0; i < 15; ++i) w[32 + i] = std::nextafter((kNf4Values[i] + kNf4Values[i + 1]) / 2, 2.0f);
  int8_t q[kNf4Block];
  nf4_integers(q, w, 1.0f);
  for (size_t i = 0; i < 16; ++i) CHECK(q[i] == kNf4Integers[i]);
  for (size_t i = 0; i < 15; ++i) CHECK(q[16 + i] == kNf4Integers[i]);
  for (size_t i = 0; i < 15; ++i) CHECK(q[32 + i] == kNf4Integers[i + 1]);
}

TEST_CASE("a block of zeros stays zero among others") {
  const TestTensor random = random_tensor({4, 64}, 5);
  std::vector<float> w = random.values;
  std::fill(w.begin() + 64, w.begin() + 128, 0.0f);
  const WeightGroups groups({reinterpret_cast<const std::byte*>(w.data()), DType::f32, 4, 64},
                            Quantization::nf4, {}, 1);
  int8_t q[64];
  float scale;
  REQUIRE(groups.read_row(q, &scale, 1));
  CHECK(std::isfinite(scale));
  CHECK(std::all_of(q, q + 64, [](int8_t value) { return value == 0; }));
}

TEST_CASE("double quantization moves a block's largest value by less than a hundredth of their spread") {
  std::vector<float> absmax(1000);
  for (size_t i = 0; i < absmax.size(); ++i) absmax[i] = 0.05f + 0.03f * std::sin(static_cast<float>(i));
  const NestedAbsmax nested = nest_absmax(absmax);
  CHECK(nested.absmax.size() == 4);
  const auto back = unnest_absmax(nested, dynamic_map(), kNf4NestedBlock);
  for (size_t i = 0; i < absmax.size(); ++i) CHECK(std::abs(back[i] - absmax[i]) <= 0.0003f);
}

TEST_CASE("a written NF4 checkpoint answers bit for bit as the plain one quantized on load") {
  const Written written;
  for (const BackendKind backend : {BackendKind::reference, BackendKind::cpu}) {
    const auto on_load = logprobs(written.plain.path(), Quantization::nf4, backend);
    CHECK(logprobs(written.quantized.path(), Quantization::nf4, backend) == on_load);
    CHECK_FALSE(on_load.empty());
  }
}

TEST_CASE(
    "a quantized checkpoint keeps its format whatever QUANTIZATION asks for; the head follows the setting") {
  const Written written;
  const auto nf4 = logprobs(written.quantized.path(), Quantization::nf4, BackendKind::cpu);
  CHECK(logprobs(written.quantized.path(), Quantization::int4, BackendKind::cpu) == nf4);
  CHECK(logprobs(written.quantized.path(), Quantization::none, BackendKind::cpu) != nf4);
}

TEST_CASE("what an NF4 tensor's state says is honoured or refused with its name") {
  const auto fault_of = [](const std::string& from, const std::string& to) {
    Written written;
    written.replace(from, to);
    return open_fault(written.quantized.path());
  };
  const auto names = [](const std::string& fault, const char* what) {
    INFO(fault);
    CHECK(fault.find(what) != std::string::npos);
  };
  names(fault_of(R"("blocksize":64)", R"("blocksize":32)"), "blocksize");
  names(fault_of(R"("quant_type":"nf4")", R"("quant_type":"fp4")"), "quant_type");
  names(fault_of(R"("shape":[64,128],"nested)", R"("shape":[128,64],"nested)"), "shape");
  names(fault_of(R"("nested_offset")", R"("nested_offzet")"), "nested_offset");
  names(fault_of(R"({"quant_type")", R"(["quant_type")"), "JSON");
  names(fault_of(".nested_quant_map\":", ".nested_quant_nap\":"), "nested_quant_map");
  names(fault_of("q_proj.weight.quant_state.", "q_proj.weight.quant_ztate."), "q_proj");
  const std::string first(reinterpret_cast<const char*>(&kNf4Values[1]), 8);
  names(fault_of(first, std::string(8, '\0')), "quant_map");
}

TEST_CASE("longer blocks and largest values without double quantization are honoured") {
  std::vector<float> answers[2];
  for (const int block : {64, 128}) {
    const TempFolder folder;
    TestTensors tensors = nf4_tensors();
    for (const auto& [name, plain] : nf4_tensors()) {
      if (!name.ends_with("_proj.weight")) continue;
      const auto count = static_cast<int64_t>(plain.values.size());
      TestTensor codes{{count / 2, 1}, {}, "U8"};
      for (int64_t i = 0; i < count / 2; ++i) codes.values.push_back(static_cast<float>(i * 37 % 251));
      TestTensor absmax{{count / block}, {}, "F32"};
      for (int64_t i = 0; i < count / block; ++i) {
        absmax.values.push_back(0.1f + 0.01f * static_cast<float>(i * block / 128 % 9));
      }
      const json state = {
          {"quant_type", "nf4"}, {"blocksize", block}, {"dtype", "bfloat16"}, {"shape", plain.shape}};
      const std::string text = state.dump();
      tensors[name] = codes;
      tensors[name + ".absmax"] = absmax;
      tensors[name + ".quant_map"] = {{16}, {kNf4Values.begin(), kNf4Values.end()}, "F32"};
      tensors[name + ".quant_state.bitsandbytes__nf4"] = {
          {static_cast<int64_t>(text.size())}, {text.begin(), text.end()}, "U8"};
    }
    json config = nf4_config();
    config["quantization_config"] = {{"load_in_4bit", true}, {"bnb_4bit_quant_type", "nf4"}};
    write_tiny_model(folder.path(), config.dump(), tensors);
    answers[block / 128] = logprobs(folder.path(), Quantization::none, BackendKind::cpu);
  }
  CHECK(answers[0] == answers[1]);
}

TEST_CASE("a checkpoint that is quantized already, is not finite or has part blocks is not written") {
  const Written written;
  const TempFolder other;
  const auto fault = [&](const std::string& from) {
    const Status status = write_nf4_checkpoint(from, other.path("out"), 1);
    REQUIRE_FALSE(status);
    return status.error().message;
  };
  CHECK(fault(written.quantized.path()).find("already") != std::string::npos);
  const TempFolder part;
  write_tiny_model(part.path(), tiny_config(), tiny_tensors());
  CHECK(fault(part.path()).find("multiple of 64") != std::string::npos);
  const TempFolder bad;
  TestTensors tensors = nf4_tensors();
  tensors["model.layers.0.mlp.up_proj.weight"].values[70] = INFINITY;
  write_tiny_model(bad.path(), nf4_config().dump(), tensors);
  CHECK(fault(bad.path()).find("NaN or infinity") != std::string::npos);
}

}  // namespace lorikeet::test
