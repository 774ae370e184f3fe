#pragma once

#include <atomic>
#include <optional>
#include <vector>

#include "backend/reference/types.h"
#include "backend/shared/grouped_experts.h"
#include "backend/shared/host_step.h"
#include "backend/shared/sampling.h"

namespace lorikeet::reference {

class ReferenceBackend final : public Backend {
 public:
  Caps caps() const override { return {"reference", "scalar", 1, true, true}; }

  Status reserve(const StepLimits& limits, const NetworkShape& shape) override;
  size_t scratch_bytes() const override { return scratch_bytes_.load(); }
  Result<std::unique_ptr<Tensor>> tensor_create(int64_t rows, int64_t cols) override;
  Status upload(TensorView to, std::span<const float> values) override { return upload_to_host(to, values); }
  Status download(std::span<float> values, TensorView from) override {
    return download_from_host(values, from);
  }
  Result<std::unique_ptr<Linear>> linear_create(const LinearDesc& desc) override;
  Result<std::unique_ptr<Embedding>> embedding_create(const EmbeddingDesc& desc) override;
  Result<std::unique_ptr<NormGain>> norm_create(const NormDesc& desc) override;
  Result<std::unique_ptr<Rotation>> rotation_create(const RotationDesc& desc) override;
  Result<std::unique_ptr<Experts>> experts_create(std::span<const ExpertDesc> experts) override {
    return create_grouped_experts(*this, experts);
  }
  Result<std::unique_ptr<AdapterLinear>> adapter_linear_create(
      const Linear& base, std::span<const AdapterPartDesc> parts) override;
  Result<std::unique_ptr<AdapterEmbedding>> adapter_embedding_create(
      const Embedding& base, const AdapterEmbeddingDesc& desc) override;
  Result<std::unique_ptr<AdapterExperts>> adapter_experts_create(
      const Experts& base, std::span<const AdapterExpertDesc> experts) override {
    return create_grouped_adapter_experts(*this, static_cast<const GroupedExperts&>(base), experts);
  }
  Result<std::unique_ptr<KvCache>> kv_create(const KvDesc& desc) override;

  void step_begin(const StepInput& input) override;
  void embed(TensorView y, const Embedding& table, std::span<const EmbeddingSegment> segments) override;
  void embed_positions(TensorView y, const Embedding& table, int32_t offset) override;
  void norm(TensorView y, TensorView x, TensorView residual, const NormGain& gain, float epsilon,
            std::span<const NormSegment> segments) override;
  void linear(TensorView y, TensorView x, const Linear& weight, std::span<const LinearSegment> segments,
              LinearOutput output, const Activation& activation) override;
  void rope_kv(TensorView qkv, KvCache& kv, int layer, const Rotation& rotation,
               const AttentionDesc& attention, const HeadNorms& norms) override;
  void attention(TensorView out, TensorView qkv, const KvCache& kv, int layer,
                 const AttentionDesc& desc) override;
  void take_columns(TensorView y, TensorView x, int64_t column) override;
  void join_heads(TensorView qkv, TensorView q, TensorView kv, TensorView latent,
                  const LatentHeads& heads) override;
  void trim_heads(TensorView y, TensorView x, const LatentHeads& heads) override;
  void delta_net(TensorView out, TensorView in, KvCache& kv, int layer, const DeltaNetDesc& desc,
                 const HeadNorm& norm) override;
  void short_convolution(TensorView out, TensorView in, KvCache& kv, int layer,
                         const ShortConvolutionDesc& desc) override;
  void experts(const ExpertsCall& call, const Experts& experts) override {
    if (step_.runs()) experts_.run(*this, call, static_cast<const GroupedExperts&>(experts));
  }
  void gate_rows(TensorView y, TensorView gate) override;
  void multiply(TensorView y, TensorView x, int64_t column) override;
  void add_scaled(TensorView y, TensorView x, float factor) override;
  void scale(TensorView y, float factor) override;
  void soft_cap(TensorView y, float cap) override;
  void gather_sampled(TensorView to, TensorView from) override;
  void sample(TensorView logits, int32_t first) override;
  Status step_end(std::span<SampleResult> results) override { return step_.end(results); }

 private:
  struct Query;
  struct DeltaHead;
  double score(const Query& query, int32_t position);
  void attend(float* out, const Query& query);
  std::span<const double> quantized_row(const float* x, int64_t k, Quantization quantization);
  std::span<const double> ordered_row(const float* x, const RefLinear& linear);

  HostStep step_;
  GroupedExpertsRunner experts_;
  // What ops work in, made by reserve().
  std::vector<double> row_;                // [K] of one row
  std::vector<double> ordered_row_;        // [K] the same, as parts in codes see it
  Floats gate_up_;                         // [N]
  std::vector<double> weights_;            // [context] of one query
  std::vector<double> vector_;             // [D] a key or a value
  std::vector<double> sum_;                // [D]
  Floats values_;                          // [HKV D] of one row whose keys are its values
  std::vector<double> delta_;              // of one head of a delta net
  std::optional<SampleScratch> sampling_;  // of the vocabulary
  std::atomic<size_t> scratch_bytes_{0};
};

}  // namespace lorikeet::reference
