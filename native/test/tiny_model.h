// Checkpoints and adapters small enough to write for each test.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/model.h"

namespace lorikeet::test {

// Removed with everything in it.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string path(const std::string& name = "") const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

struct TestTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
  std::string dtype = "F32";  // F64, F32, F16, BF16, U8
};
using TestTensors = std::map<std::string, TestTensor>;

TestTensor random_tensor(const std::vector<int64_t>& shape, uint32_t seed, const std::string& dtype = "F32");
void write_text(const std::string& path, const std::string& text);
void write_safetensors(const std::string& path, const TestTensors& tensors);
// The manifest's reference to a tensor of a file that write_safetensors wrote, as JSON.
std::string tensor_ref(const std::string& path, const std::string& name);

constexpr int kVocab = 32;
constexpr int kHidden = 8;
constexpr int kFfn = 12;
constexpr int kLayers = 2;
constexpr int kHeadDim = 4;
constexpr int kPageTokens = 4;

// Two layers, two query heads, one KV head.
std::string tiny_config(bool tied = false);
TestTensors tiny_tensors(bool tied = false, const std::string& dtype = "F32");
// The same with Mixtral's experts in both layers, of which a row takes two.
constexpr int kExperts = 4;
std::string tiny_experts_config();
TestTensors tiny_experts_tensors();
// Qwen3.5: a gated delta net and a layer of gated attention.
std::string tiny_recurrent_config();
TestTensors tiny_recurrent_tensors();
void write_tiny_model(const std::string& folder, const std::string& config, const TestTensors& tensors);
ModelOptions tiny_options(const std::string& folder);
// Must open; the failure is the test's.
std::unique_ptr<Model> open_tiny(const std::string& folder);
// The message of an open that must fail.
std::string open_fault(const std::string& folder);

// One more sampled row's columns, at rest but for these.
void add_sample(StepPlan& plan, int32_t mode, int32_t target, int32_t top_logprobs);

// A plan of one sequence on pages 0, 1, ..: all tokens, the last row sampled greedily with log-probabilities.
StepPlan plan_of(const std::vector<int32_t>& tokens, int32_t adapter_handle = 0);
// Pins, runs and returns the sampled rows' results, or the fault.
Result<std::vector<SampleResult>> run(Model& model, const StepPlan& plan);

}  // namespace lorikeet::test
