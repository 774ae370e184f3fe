// The CPU backend: one file per op beside this one.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "backend/cpu/isa.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/memory.h"
#include "backend/cpu/pool.h"
#include "backend/cpu/quantized_kernels.h"
#include "backend/cpu/slabs.h"
#include "backend/cpu/weights.h"
#include "backend/interface/backend.h"
#include "backend/shared/grouped_experts.h"
#include "backend/shared/sampling.h"

namespace lorikeet::cpu {

// Wider heads than any published model; checked where the cache is made.
constexpr int kMaxHeadDim = 1024;

// Memory of the step that grows to the largest step seen and stays.
class Scratch {
 public:
  // Counts what it holds in `held` too.
  explicit Scratch(std::atomic<size_t>& held) : held_(&held) {}

  // At least `count` floats, 64-byte aligned; contents undefined. Throws std::bad_alloc when the system has
  // no more, which fails the step: to be called on the step's own thread, never first inside of the pool's
  // work.
  float* floats(size_t count);

 private:
  std::atomic<size_t>* held_;
  Memory memory_;
};

class CpuBackend final : public Backend {
 public:
  CpuBackend(Isa isa, int threads);

  Caps caps() const override;
  Result<std::unique_ptr<Buffer>> buffer_create(int64_t rows, int64_t cols) override;
  Result<std::unique_ptr<Linear>> linear_create(const LinearDesc& desc) override;
  Result<std::unique_ptr<Embedding>> embedding_create(const EmbeddingDesc& desc) override;
  Result<std::unique_ptr<NormGain>> norm_create(const NormDesc& desc) override;
  void adapters_prepare() override { slabs_prepare(); }
  size_t scratch_bytes() const override { return scratch_bytes_.load() + experts_bytes_.load(); }
  Result<std::unique_ptr<AdapterLinear>> adapter_linear_create(
      const Linear& base, std::span<const AdapterPartDesc> parts) override;
  Result<std::unique_ptr<AdapterEmbedding>> adapter_embedding_create(
      const Embedding& base, const AdapterEmbeddingDesc& desc) override;
  Result<std::unique_ptr<KvCache>> kv_create(const KvDesc& desc) override;
  void kv_copy(KvCache& kv, std::span<const int32_t> from, std::span<const int32_t> to) override;

  void step_begin(const StepView& step) override;
  void embed(float* y, const Embedding& table, std::span<const EmbeddingSegment> segments) override;
  void norm(float* y, const float* x, float* residual, int64_t rows, const NormGain& gain, float epsilon,
            std::span<const NormSegment> segments) override;
  void embed_positions(float* y, const Embedding& table, int32_t offset) override;
  void linear(float* y, const float* x, int64_t rows, const Linear& weight,
              std::span<const LinearSegment> segments, LinearOutput output,
              const Activation& activation) override;
  void linear_soon(std::span<const LinearSegment> segments) override;
  void rope_kv(float* qkv, KvCache& kv, int layer, const RopeDesc& rope, const AttentionDesc& attention,
               const HeadNorms& norms) override;
  void attention(float* out, const float* qkv, const KvCache& kv, int layer,
                 const AttentionDesc& desc) override;
  Result<std::unique_ptr<Experts>> experts_create(std::span<const ExpertDesc> experts) override {
    return create_grouped_experts(*this, experts);
  }
  void experts(const ExpertsCall& call, const Experts& experts) override {
    experts_.run(*this, call, static_cast<const GroupedExperts&>(experts));
    experts_bytes_.store(experts_.bytes());
  }
  void gate_rows(float* y, const float* gate, int64_t rows, int64_t cols) override;
  void add_scaled(float* y, const float* x, int64_t count, float factor) override;
  void scale(float* y, int64_t count, float factor) override;
  void soft_cap(float* y, int64_t count, float cap) override;
  void gather_rows(float* to, const float* from, std::span<const int32_t> index, int64_t cols) override;
  void sample(std::span<SampleResult> results, const float* logits, int64_t vocab,
              std::span<const SampleRow> rows) override;

 private:
  // A piece of one adapter's shrink: some rows of a segment times some ranks.
  struct ShrinkItem {
    const CpuAdapterLinear::Part* part;
    int32_t row0, rows;
    int32_t rank0, ranks;
  };
  // Rows of one sequence that attend together.
  struct AttentionBlock {
    int32_t sequence;
    int32_t row0, rows;
    int32_t position0;    // of row0 in its sequence
    int64_t first_split;  // its splits' place among all blocks' splits
  };
  // cos and sin of the step's positions, computed once for all layers with the same frequencies.
  struct RopeTable {
    std::vector<float> inv_freq;
    float attention_factor;
    Scratch angles;  // cos [T, D / 2], then sin
    bool fresh;      // belongs to this step
  };
  // The activations of one linear op as integers (backend/shared/quantization.h), in scratch memory.
  struct QuantizedRows {
    int8_t* q = nullptr;  // [rows, stride]
    int64_t stride = 0;
    float* scale = nullptr;  // [rows, scales]
    int64_t scales = 0;
    int32_t* offset = nullptr;  // [rows, groups]
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

  // Runs rows in parallel when there is enough work, `row_cost` being about how many elements a row touches.
  template <class Body>
  void for_rows(int64_t rows, int64_t row_cost, Body&& body);

  void replace_rows(float* y, const float* x, const CpuLinear& base, std::span<const LinearSegment> segments);
  int64_t plan_shrinks(std::span<const LinearSegment> segments);
  QuantizedRows reserve_quantized(int64_t rows, const CpuLinear& weight);
  int plan_attention(const AttentionDesc& desc);
  // For every piece of an array: body(begin, size).
  template <class Body>
  void for_pieces(int64_t count, Body&& body);

  static const CpuNormGain& gain_of_row(const NormGain& base, std::span<const NormSegment> segments,
                                        int64_t row);
  void normalize(const CpuNormGain& norm, float* y, const float* x, float* residual, float epsilon) const;
  void normalize_heads(const HeadNorm& norm, float* x, int64_t count, int64_t row) const;
  const float* rope_angles(const RopeDesc& rope);
  void store_kv(const CpuKvCache& cache, const KvPlace& place, const float* key, const float* value) const;

  const Isa isa_;
  const Kernels& kernels_;
  const QuantizedKernels& quantized_kernels_;
  Pool pool_;
  StepView step_;
  GroupedExpertsRunner experts_;
  std::atomic<size_t> scratch_bytes_{0};  // of each Scratch and of sampling
  std::atomic<size_t> experts_bytes_{0};

  std::vector<Scratch> accumulators_;  // per thread: [2, kChunkRows, tile] of linear
  std::vector<ShrinkItem> shrinks_;
  std::vector<Ahead::Run> soon_;  // A of the linear op after the next one
  Scratch quantized_values_{scratch_bytes_};
  Scratch quantized_factors_{scratch_bytes_};  // scales, then offsets
  Scratch shrunk_{scratch_bytes_};             // s [rows, largest rank_total]
  std::vector<Scratch> attention_scratch_;     // per thread
  std::vector<AttentionBlock> attention_blocks_;
  Scratch attention_partials_{scratch_bytes_};
  std::vector<RopeTable> rope_tables_;
  std::vector<SampleScratch> sample_scratch_;  // per thread
  int64_t sample_vocab_ = 0;
  size_t sample_bytes_ = 0;  // of sample_scratch_
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
