// An opened model: what the binding drives.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/interface/open_backend.h"
#include "model/adapter_table.h"
#include "model/decoder.h"
#include "model/step_plan.h"

namespace lorikeet {

struct ModelOptions {
  std::string path;
  BackendKind backend = BackendKind::cpu;
  bool background = false;  // its threads give way to all others of the machine
  BackendOptions backend_options;
  Quantization quantization = Quantization::none;
  AdapterType adapter_type = AdapterType::stored;
  int32_t extra_tokens = 0;  // that adapters may have beyond the base's vocabulary
  int32_t max_rows = 0;
  int32_t max_sequences = 0;
  uint64_t kv_bytes = 0;
  int32_t page_tokens = 0;
  DType kv_type = DType::f32;
};

struct MemoryUse {
  size_t weight_bytes = 0;
  size_t kv_bytes = 0;
  size_t adapter_bytes = 0;
  size_t scratch_bytes = 0;
};

// The embedding or the head as the checkpoint holds it.
struct VocabularyWeight {
  std::string module;
  TensorPlace place;
};

struct LoadedAdapter {
  int32_t handle = 0;
  size_t bytes = 0;
};

struct AdapterFile {
  std::string weights_path;  // safetensors
  std::string modules_json;  // of its manifest
  float weight = 1.0f;
  int32_t vocab = 0;  // tokens that it has; 0: the base's
};

// Nothing here throws: what the system refuses is an Error of its kind.
class Model {
 public:
  static Result<std::unique_ptr<Model>> open(const ModelOptions& options);

  const Network& network() const { return network_; }
  const std::vector<Module>& modules() const { return modules_; }
  // Without a head that is tied to the embedding, and without what is quantized.
  const std::vector<VocabularyWeight>& vocabulary_weights() const { return vocabulary_weights_; }
  // How many tensors of the checkpoint this network goes without.
  size_t ignored_tensors() const { return ignored_tensors_; }
  // None: adapters must have the base's vocabulary.
  std::optional<int32_t> extra_tokens() const {
    const bool resizes = backend_->caps().resizes_vocabulary && !network_.layer_inputs;
    return resizes ? std::optional(network_.room) : std::nullopt;
  }
  // Of the layers' linear maps: the checkpoint's own where it is quantized already.
  Quantization quantization() const {
    return network_.format.method == CheckpointMethod::bitsandbytes_nf4 ? Quantization::nf4 : quantization_;
  }
  std::string device() const { return backend_->caps().device; }
  int32_t kv_pages() const { return kv_desc_.pages; }
  size_t kv_page_bytes() const { return kv_page_bytes_; }
  int32_t kv_page_tokens() const { return kv_desc_.page_tokens; }
  MemoryUse memory() const;

  // Loader thread.
  Result<LoadedAdapter> load_adapter(const std::string& weights_path, const std::string& modules_json) {
    return load_adapters({{weights_path, modules_json}});
  }
  // Several as one: the sum of their deltas, each times its weight.
  Result<LoadedAdapter> load_adapters(const std::vector<AdapterFile>& files);
  // Any thread, while loads and steps run.
  void prepare_adapters();
  // Before the first step, with the reference backend: from now on the model is the base with the adapter
  // merged. `vocab`: tokens that the adapter has, 0: the base's.
  Status merge_adapter(const std::string& weights_path, const std::string& changes_json, int32_t vocab = 0);
  // Any thread. Freeing may wait for the running step, as drivers do: take_adapter() leaves it to whoever
  // lets go of the adapter, before the model ends.
  Result<std::shared_ptr<const Adapter>> take_adapter(int32_t handle) { return adapters_.take(handle); }
  Status drop_adapter(int32_t handle) {
    const auto taken = take_adapter(handle);
    return taken ? Status() : Status(taken.error());
  }

  // The step in two halves, so that its adapters are pinned as soon as the host has handed it over.
  StepPlan& plan() { return plan_; }
  Status pin_step();
  // Instead of run_step(), where nobody can run it.
  void unpin_step() { adapters_.unpin(); }
  // Step thread. Checks plan(), runs it, fills results() and unpins.
  Status run_step();
  std::span<const SampleResult> results() const { return {results_.data(), plan_.sample_row.size()}; }
  // [rows of mode `hidden`, H] of that step.
  std::span<const float> hidden() const { return hidden_; }
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }

 private:
  Model() = default;
  Status load(const ModelOptions& options);
  // Chooses the number of pages.
  Status size_kv(const ModelOptions& options);
  void note_vocabulary(const Checkpoint& checkpoint);
  // Whatever a step needs.
  Status reserve(const ModelOptions& options);
  Status create_kv();

  BackendKind kind_ = BackendKind::cpu;
  Quantization quantization_ = Quantization::none;  // asked for
  AdapterType adapter_type_ = AdapterType::stored;
  Network network_;
  std::vector<Module> modules_;
  std::vector<VocabularyWeight> vocabulary_weights_;
  size_t ignored_tensors_ = 0;
  // Declared so that what refers to another dies first.
  std::unique_ptr<Backend> backend_;
  Weights weights_;
  KvDesc kv_desc_;
  size_t kv_page_bytes_ = 0;
  std::unique_ptr<KvCache> kv_;
  AdapterTable adapters_;
  std::unique_ptr<Decoder> decoder_;

  StepPlan plan_;
  std::unique_ptr<StepPlanChecker> checker_;
  std::vector<int32_t> step_handles_;          // [G]
  std::vector<const Adapter*> step_adapters_;  // [G]
  std::vector<int32_t> step_vocab_;            // [G]
  std::vector<SampleResult> results_;          // [max_rows]
  std::vector<float> hidden_;                  // grows when a step first wants so many
  std::atomic<bool> cancelled_{false};
};

}  // namespace lorikeet
