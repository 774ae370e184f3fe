#include "tiny_model.h"

#include <stdlib.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "backend/shared/dtype.h"
#include "model/safetensors.h"
#include "test/checks.h"

namespace lorikeet::test {

using nlohmann::json;

TempFolder::TempFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "lorikeet-test-XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

TestTensor random_tensor(const std::vector<int64_t>& shape, uint32_t seed, const std::string& dtype) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 0.5f);
  TestTensor tensor{shape, std::vector<float>(static_cast<size_t>(count)), dtype};
  for (float& value : tensor.values) value = normal(random);
  return tensor;
}

void write_text(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::binary);
  file << text;
  REQUIRE(file.good());
}

namespace {

std::string tensor_bytes(const TestTensor& tensor) {
  std::string bytes;
  for (const float value : tensor.values) {
    if (tensor.dtype == "F64") {
      const double wide = value;
      bytes.append(reinterpret_cast<const char*>(&wide), sizeof wide);
      continue;
    }
    if (tensor.dtype == "U8") {
      bytes.push_back(static_cast<char>(static_cast<uint8_t>(value)));
      continue;
    }
    const DType dtype = tensor.dtype == "F16"    ? DType::f16
                        : tensor.dtype == "BF16" ? DType::bf16
                                                 : DType::f32;
    std::byte element[4];
    store_f32(element, dtype, 0, value);
    bytes.append(reinterpret_cast<const char*>(element), dtype_bytes(dtype));
  }
  return bytes;
}

}  // namespace

void write_safetensors(const std::string& path, const TestTensors& tensors) {
  json header = json::object();
  std::string data;
  for (const auto& [name, tensor] : tensors) {
    const size_t begin = data.size();
    data += tensor_bytes(tensor);
    header[name] = {{"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {begin, data.size()}}};
  }
  const std::string text = header.dump();
  const uint64_t length = text.size();
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  write_text(path, file + text + data);
}

std::string tensor_ref(const std::string& path, const std::string& name) {
  const Result<SafetensorsFile> file = SafetensorsFile::open(path);
  REQUIRE(file);
  const TensorInfo* tensor = file->find(name);
  REQUIRE(tensor != nullptr);
  const json ref = {{"name", name},
                    {"dtype", tensor->dtype},
                    {"shape", tensor->shape},
                    {"begin", tensor->begin},
                    {"end", tensor->end}};
  return ref.dump();
}

std::string tiny_config(bool tied) {
  const json config = {
      {"model_type", "llama"},     {"vocab_size", kVocab},          {"hidden_size", kHidden},
      {"intermediate_size", kFfn}, {"num_hidden_layers", kLayers},  {"num_attention_heads", 2},
      {"num_key_value_heads", 1},  {"max_position_embeddings", 24}, {"tie_word_embeddings", tied}};
  return config.dump();
}

TestTensors tiny_tensors(bool tied, const std::string& dtype) {
  TestTensors tensors;
  uint32_t seed = 100;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) {
    tensors[name + ".weight"] = random_tensor(shape, seed++, dtype);
  };
  add("model.embed_tokens", {kVocab, kHidden});
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string prefix = "model.layers." + std::to_string(layer) + ".";
    add(prefix + "input_layernorm", {kHidden});
    add(prefix + "self_attn.q_proj", {2 * kHeadDim, kHidden});
    add(prefix + "self_attn.k_proj", {kHeadDim, kHidden});
    add(prefix + "self_attn.v_proj", {kHeadDim, kHidden});
    add(prefix + "self_attn.o_proj", {kHidden, 2 * kHeadDim});
    add(prefix + "post_attention_layernorm", {kHidden});
    add(prefix + "mlp.gate_proj", {kFfn, kHidden});
    add(prefix + "mlp.up_proj", {kFfn, kHidden});
    add(prefix + "mlp.down_proj", {kHidden, kFfn});
  }
  add("model.norm", {kHidden});
  if (!tied) add("lm_head", {kVocab, kHidden});
  return tensors;
}

std::string tiny_experts_config() {
  json config = json::parse(tiny_config());
  config["model_type"] = "mixtral";
  config["num_local_experts"] = kExperts;
  config["num_experts_per_tok"] = 2;
  return config.dump();
}

TestTensors tiny_experts_tensors() {
  TestTensors tensors = tiny_tensors();
  for (int layer = 0; layer < kLayers; ++layer) {
    const std::string stem = "model.layers." + std::to_string(layer) + ".";
    for (const char* name : {"gate_proj", "up_proj", "down_proj"})
      tensors.erase(stem + "mlp." + name + ".weight");
    const std::string moe = stem + "block_sparse_moe.";
    tensors[moe + "gate.weight"] = random_tensor({kExperts, kHidden}, 50);
    for (uint32_t expert = 0; expert < kExperts; ++expert) {
      const std::string own = moe + "experts." + std::to_string(expert) + ".";
      tensors[own + "w1.weight"] = random_tensor({kFfn, kHidden}, 60 + expert);
      tensors[own + "w2.weight"] = random_tensor({kHidden, kFfn}, 70 + expert);
      tensors[own + "w3.weight"] = random_tensor({kFfn, kHidden}, 80 + expert);
    }
  }
  return tensors;
}

std::string tiny_recurrent_config() {
  json config = json::parse(tiny_config());
  config["model_type"] = "qwen3_5_text";
  config["head_dim"] = kHeadDim;
  config["partial_rotary_factor"] = 0.5;
  config["layer_types"] = {"linear_attention", "full_attention"};
  config["linear_num_key_heads"] = 2;
  config["linear_num_value_heads"] = 2;
  config["linear_key_head_dim"] = 3;
  config["linear_value_head_dim"] = 5;
  config["linear_conv_kernel_dim"] = 3;
  return config.dump();
}

TestTensors tiny_recurrent_tensors() {
  TestTensors tensors = tiny_tensors();
  const std::string first = "model.layers.0.self_attn.", second = "model.layers.1.self_attn.";
  for (const char* name : {"q_proj", "k_proj", "v_proj", "o_proj"}) tensors.erase(first + name + ".weight");
  tensors[second + "q_proj.weight"] = random_tensor({4 * kHeadDim, kHidden}, 30);
  for (const char* name : {"q_norm", "k_norm"})
    tensors[second + name + ".weight"] = random_tensor({kHeadDim}, 31);
  const std::string net = "model.layers.0.linear_attn.";
  const int64_t mixed = 2 * 2 * 3 + 2 * 5, value = 2 * 5;
  tensors[net + "in_proj_qkv.weight"] = random_tensor({mixed, kHidden}, 32);
  tensors[net + "in_proj_z.weight"] = random_tensor({value, kHidden}, 33);
  tensors[net + "in_proj_b.weight"] = random_tensor({2, kHidden}, 34);
  tensors[net + "in_proj_a.weight"] = random_tensor({2, kHidden}, 35);
  tensors[net + "out_proj.weight"] = random_tensor({kHidden, value}, 36);
  tensors[net + "conv1d.weight"] = random_tensor({mixed, 1, 3}, 37);
  tensors[net + "norm.weight"] = random_tensor({5}, 38);
  tensors[net + "A_log"] = random_tensor({2}, 39);
  tensors[net + "dt_bias"] = random_tensor({2}, 40);
  return tensors;
}

void write_tiny_model(const std::string& folder, const std::string& config, const TestTensors& tensors) {
  write_text(folder + "/config.json", config);
  write_safetensors(folder + "/model.safetensors", tensors);
}

ModelOptions tiny_options(const std::string& folder) {
  ModelOptions options;
  options.path = folder;
  options.backend = BackendKind::reference;
  options.max_rows = 32;
  options.max_sequences = 8;
  options.kv_bytes = 1 << 14;
  options.page_tokens = kPageTokens;
  return options;
}

std::unique_ptr<Model> open_tiny(const std::string& folder) {
  auto model = Model::open(tiny_options(folder));
  REQUIRE(model);
  return std::move(*model);
}

std::string open_fault(const std::string& folder) {
  const auto model = Model::open(tiny_options(folder));
  REQUIRE_FALSE(model);
  return model.error().message;
}

void add_sample(StepPlan& plan, int32_t mode, int32_t target, int32_t top_logprobs) {
  const SampleRow neutral;
  plan.sample_int.insert(plan.sample_int.end(), {mode, target, top_logprobs});
  for (const auto& column : kIntColumns) plan.sample_int.push_back(neutral.*column.member);
  for (const auto& column : kFloatColumns) plan.sample_float.push_back(neutral.*column.member);
}

StepPlan plan_of(const std::vector<int32_t>& tokens, int32_t adapter_handle) {
  const auto rows = static_cast<int32_t>(tokens.size());
  StepPlan plan;
  plan.token = tokens;
  for (int32_t row = 0; row < rows; ++row) {
    plan.position.push_back(row);
    plan.kv_slot.push_back(row);  // page p holds slots p * kPageTokens ..
  }
  plan.q_start = {0, rows};
  plan.kv_len = {rows};
  plan.page_table_stride = (rows + kPageTokens - 1) / kPageTokens;
  for (int32_t page = 0; page < plan.page_table_stride; ++page) plan.page_table.push_back(page);
  if (adapter_handle != 0) plan.segment = {0, rows, adapter_handle};
  plan.sample_row = {rows - 1};
  add_sample(plan, 0, 0, 5);
  plan.sample_seed = {1, 0};
  plan.history_start = {0, 0};
  plan.bias_start = {0, 0};
  return plan;
}

Result<std::vector<SampleResult>> run(Model& model, const StepPlan& plan) {
  model.plan() = plan;
  if (Status s = model.pin_step(); !s) return s.error();
  if (Status s = model.run_step(); !s) return s.error();
  return std::vector<SampleResult>(model.results().begin(), model.results().end());
}

}  // namespace lorikeet::test
