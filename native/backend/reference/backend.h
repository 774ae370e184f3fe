#pragma once

#include <atomic>

#include "backend/reference/types.h"
#include "backend/shared/grouped_experts.h"
#include "backend/shared/sampling.h"

namespace lorikeet::reference {

class ReferenceBackend final : public Backend {
 public:
  Caps caps() const override { return {"reference", "scalar", 1}; }

  Result<std::unique_ptr<Buffer>> buffer_create(int64_t rows, int64_t cols) override;
  Result<std::unique_ptr<Linear>> linear_create(const LinearDesc& desc) override;
  Result<std::unique_ptr<Embedding>> embedding_create(const EmbeddingDesc& desc) override;
  Result<std::unique_ptr<NormGain>> norm_create(const NormDesc& desc) override;
  Result<std::unique_ptr<AdapterLinear>> adapter_linear_create(
      const Linear& base, std::span<const AdapterPartDesc> parts) override;
  Result<std::unique_ptr<AdapterEmbedding>> adapter_embedding_create(
      const Embedding& base, const AdapterEmbeddingDesc& desc) override;
  Result<std::unique_ptr<KvCache>> kv_create(const KvDesc& desc) override;
  void kv_copy(KvCache& kv, std::span<const int32_t> from, std::span<const int32_t> to) override;

  void step_begin(const StepView& step) override { step_ = step; }
  void embed(float* y, const Embedding& table, std::span<const EmbeddingSegment> segments) override;
  void norm(float* y, const float* x, float* residual, int64_t rows, const NormGain& gain, float epsilon,
            std::span<const NormSegment> segments) override;
  void embed_positions(float* y, const Embedding& table, int32_t offset) override;
  void linear(float* y, const float* x, int64_t rows, const Linear& weight,
              std::span<const LinearSegment> segments, LinearOutput output,
              const Activation& activation) override;
  void rope_kv(float* qkv, KvCache& kv, int layer, const RopeDesc& rope, const AttentionDesc& attention,
               const HeadNorms& norms) override;
  Result<std::unique_ptr<Experts>> experts_create(std::span<const ExpertDesc> experts) override {
    return create_grouped_experts(*this, experts);
  }
  size_t scratch_bytes() const override { return experts_bytes_.load(); }
  void experts(const ExpertsCall& call, const Experts& experts) override {
    experts_.run(*this, call, static_cast<const GroupedExperts&>(experts));
    experts_bytes_.store(experts_.bytes());
  }
  void gate_rows(float* y, const float* gate, int64_t rows, int64_t cols) override;
  void add_scaled(float* y, const float* x, int64_t count, float factor) override;
  void scale(float* y, int64_t count, float factor) override;
  void soft_cap(float* y, int64_t count, float cap) override;
  void attention(float* out, const float* qkv, const KvCache& kv, int layer,
                 const AttentionDesc& desc) override;
  void gather_rows(float* to, const float* from, std::span<const int32_t> index, int64_t cols) override;
  void sample(std::span<SampleResult> results, const float* logits, int64_t vocab,
              std::span<const SampleRow> rows) override;

 private:
  StepView step_;
  GroupedExpertsRunner experts_;
  std::atomic<size_t> experts_bytes_{0};
};

}  // namespace lorikeet::reference
