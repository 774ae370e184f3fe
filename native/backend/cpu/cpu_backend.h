// The CPU backend: one file per op beside this one.
#pragma once

#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/memory.h"
#include "backend/cpu/pool.h"
#include "backend/cpu/quantized_kernels.h"
#include "backend/cpu/scratch.h"
#include "backend/cpu/slabs.h"
#include "backend/cpu/weights.h"
#include "backend/interface/ops.h"
#include "backend/shared/grouped_experts.h"
#include "backend/shared/host_step.h"
#include "backend/shared/host_tensor.h"
#include "backend/shared/sampling.h"

namespace lorikeet::cpu {

// Wider heads than any published model; checked where the cache is made.
constexpr int kMaxHeadDim = 1024;

class CpuBackend final : public Backend {
 public:
  CpuBackend(Isa isa, int threads);

  Caps caps() const override;
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
  void adapters_prepare() override { slabs_prepare(); }
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
  void linear_soon(std::span<const LinearSegment> segments) override;
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
  // Rows of one sequence that attend together.
  struct AttentionBlock {
    int32_t sequence;
    int32_t row0, rows;
    int32_t position0;    // of row0 in its sequence
    int64_t first_split;  // its splits' place among all blocks' splits
  };
  // cos and sin of the step's positions, computed once for all layers that rotate alike.
  struct CpuRotation final : Rotation {
    CpuRotation(RotationDesc description, std::atomic<size_t>& held)
        : desc(std::move(description)), angles(held) {}

    RotationDesc desc;
    mutable Scratch angles;     // cos [T, R / 2], then sin
    mutable uint64_t step = 0;  // whose they are
  };
  // The activations of one linear op as integers (backend/shared/quantization.h), in scratch memory.
  struct QuantizedRows {
    int8_t* q = nullptr;  // [rows, stride]
    int64_t stride = 0;
    float* scale = nullptr;  // [rows, scales]
    int64_t scales = 0;
    int32_t* offset = nullptr;  // [rows, groups]; for codes CodedProduct's x_sum
    int64_t groups = 0;
  };
  // Where a key and a value of one head go.
  struct KvPlace {
    int layer;
    int32_t slot;
    int head;
  };
  struct LinearCall;
  struct AttentionCall;
  struct DeltaCall;

  Status reserve_linear(const StepLimits& limits, const NetworkShape& shape);
  Status reserve_attention(const StepLimits& limits, const NetworkShape& shape);
  Status reserve_sampling(const NetworkShape& shape);

  // Runs rows in parallel when there is enough work, `row_cost` being about how many elements a row touches.
  template <class Body>
  void for_rows(int64_t rows, int64_t row_cost, Body&& body);

  void replace_rows(float* y, const float* x, const CpuLinear& base, std::span<const LinearSegment> segments);
  int64_t plan_shrinks(std::span<const LinearSegment> segments);
  QuantizedRows place_quantized(int64_t rows, const CpuLinear& weight);
  int plan_attention(const AttentionDesc& desc);
  void attend(TensorView out, TensorView qkv, const KvCache& kv, int layer, const AttentionDesc& desc);
  static size_t delta_floats(const RecurrentState& shape);
  void keep_inputs(const CpuKvCache& cache, int layer, const float* in, const DeltaNetDesc& desc);
  // Pieces of work that keep all threads busy to the end.
  int64_t items_wanted() const { return 4 * pool_.threads(); }
  // For every piece of an array: body(begin, size).
  template <class Body>
  void for_pieces(int64_t count, Body&& body);

  static const CpuNormGain& gain_of_row(const NormGain& base, std::span<const NormSegment> segments,
                                        int64_t row);
  void normalize(const CpuNormGain& norm, float* y, const float* x, float* residual, float epsilon) const;
  void normalize_heads(const HeadNorm& norm, float* x, int64_t count, int64_t row) const;
  const float* rope_angles(const CpuRotation& rotation);
  void store_kv(const CpuKvCache& cache, const KvPlace& place, const float* key, const float* value) const;

  const Isa isa_;
  const Kernels& kernels_;
  const QuantizedKernels& quantized_kernels_;
  Pool pool_;
  std::atomic<size_t> scratch_bytes_{0};  // of all below, and of rotations
  HostStep step_;
  uint64_t step_number_ = 0;
  int64_t most_rows_ = 0;  // of a step

  // What ops work in, made by reserve().
  GroupedExpertsRunner experts_;
  std::vector<Scratch> accumulators_;  // per thread: LinearCall::Room
  std::vector<Ahead::Run> soon_;       // A of the linear op after the next one: as many as fit
  Scratch quantized_values_{scratch_bytes_};
  Scratch quantized_factors_{scratch_bytes_};  // scales, then offsets
  AdapterScratch adapters_{scratch_bytes_};
  // Per thread: an item of attention or of a delta net, or a row of an embedding.
  std::vector<Scratch> thread_scratch_;
  std::vector<AttentionBlock> attention_blocks_;
  Scratch attention_partials_{scratch_bytes_};
  std::vector<SampleScratch> sample_scratch_;  // per thread
  size_t plain_bytes_ = 0;                     // what of scratch_bytes_ is counted here
};

// A copy of a vector [n] as float32, times `scale`, zero-padded to whole tiles of `tile`. nullopt: out of
// memory.
std::optional<PaddedVector> pad_vector(const HostTensor& vector, int64_t tile, float scale);
std::optional<Memory> copy_f32(const HostTensor& tensor);
Error out_of_memory(const char* what);

template <class Body>
void CpuBackend::for_rows(int64_t rows, int64_t row_cost, Body&& body) {
  constexpr int64_t kWorthSharing = 16384;  // elements; less is done before another thread has woken up
  constexpr int64_t kItem = 4096;
  if (rows * row_cost < kWorthSharing) {
    for (int64_t row = 0; row < rows; ++row) body(row, 0);
    return;
  }
  const int64_t chunk = row_cost >= kItem ? 1 : kItem / row_cost;
  pool_.run((rows + chunk - 1) / chunk, [&](int64_t item, int thread) {
    const int64_t end = (item + 1) * chunk < rows ? (item + 1) * chunk : rows;
    for (int64_t row = item * chunk; row < end; ++row) body(row, thread);
  });
}

template <class Body>
void CpuBackend::for_pieces(int64_t count, Body&& body) {
  constexpr int64_t kPiece = 4096;
  for_rows((count + kPiece - 1) / kPiece, kPiece, [&](int64_t piece, int) {
    const int64_t begin = piece * kPiece;
    body(begin, count - begin < kPiece ? count - begin : kPiece);
  });
}

}  // namespace lorikeet::cpu
