#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "backend/cuda/expert_weights.h"
#include "backend/cuda/step_buffer.h"
#include "backend/cuda/weights.h"
#include "backend/shared/host_step.h"
#include "backend/shared/sampling.h"

namespace lorikeet::cuda {

ActivationArguments arguments_of(const Activation& activation);
// Blocks of a quantized product, and what each takes.
struct ProductBlocks {
  Kernel kernel;
  int64_t rows, outputs;
  int threads;
};
// For so many rows and outputs; `times`: as many such products are one launch.
ProductBlocks product_blocks(Format format, int64_t rows, int64_t outputs, int64_t times = 1);
// Of so many rows' scales: eight rows' lie in one sector.
constexpr int64_t scale_stride(int64_t rows) {
  return (rows + 7) / 8 * 8;
}

class CudaBackend final : public Backend {
 public:
  CudaBackend(std::unique_ptr<Device> device, int threads) : device_(std::move(device)), threads_(threads) {}

  Caps caps() const override;
  Status reserve(const StepLimits& limits, const NetworkShape& shape) override;
  size_t scratch_bytes() const override { return scratch_bytes_.load() + shrunk_bytes_.load(); }

  Result<std::unique_ptr<Tensor>> tensor_create(int64_t rows, int64_t cols) override;
  Status upload(TensorView to, std::span<const float> values) override;
  Status download(std::span<float> values, TensorView from) override;
  Result<std::unique_ptr<Linear>> linear_create(const LinearDesc& desc) override;
  Result<std::unique_ptr<Embedding>> embedding_create(const EmbeddingDesc& desc) override;
  Result<std::unique_ptr<NormGain>> norm_create(const NormDesc& desc) override;
  Result<std::unique_ptr<Rotation>> rotation_create(const RotationDesc& desc) override;
  Result<std::unique_ptr<Experts>> experts_create(std::span<const ExpertDesc> experts) override;
  Result<std::unique_ptr<AdapterLinear>> adapter_linear_create(
      const Linear& base, std::span<const AdapterPartDesc> parts) override;
  Result<std::unique_ptr<AdapterEmbedding>> adapter_embedding_create(
      const Embedding& base, const AdapterEmbeddingDesc& desc) override;
  Result<std::unique_ptr<AdapterExperts>> adapter_experts_create(
      const Experts& base, std::span<const AdapterExpertDesc> experts) override;
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
  void experts(const ExpertsCall& call, const Experts& experts) override;
  void gate_rows(TensorView y, TensorView gate) override;
  void multiply(TensorView y, TensorView x, int64_t column) override;
  void add_scaled(TensorView y, TensorView x, float factor) override;
  void scale(TensorView y, float factor) override;
  void soft_cap(TensorView y, float cap) override;
  void gather_sampled(TensorView to, TensorView from) override;
  void sample(TensorView logits, int32_t first) override;
  Status step_end(std::span<SampleResult> results) override;

 private:
  // The step's arrays on the device.
  struct Plan {
    const int32_t *token = nullptr, *position = nullptr, *kv_slot = nullptr, *sequence = nullptr,
                  *sample_row = nullptr, *page_table = nullptr;
    const RowTile* tiles = nullptr;
    int32_t page_stride = 0;
  };
  struct LinearCall;
  struct ExpertsPass;
  struct ExpertsProduct;
  // Rows of activations for products with the matrix; x_row null: as they are.
  struct QuantizedRows {
    const Matrix& weight;
    const float* x;
    const int32_t* x_row;
    int64_t count;
  };
  // A x of all adapters of an op: [rows, ranks] of linear maps, [places, expert_ranks] of experts.
  struct Shrunk {
    DeviceMemory memory;
    int64_t ranks = 0, expert_ranks = 0;
  };
  // What a step's experts work in: `places` are rows that chose an expert, sorted by it.
  struct ExpertScratch {
    int64_t rows = 0;                                        // that are taken at a time
    int64_t places = 0;                                      // of so many
    int32_t *expert = nullptr, *place = nullptr;             // [rows, chosen]
    float* weight = nullptr;                                 // [rows, chosen]
    int32_t *row_of = nullptr, *expert_of = nullptr;         // [places]
    ExpertItem* items = nullptr;                             // [places]
    float *up = nullptr, *inner = nullptr, *down = nullptr;  // [places, 2 F], [places, F], [places, H]
  };

  bool runs() const { return host_.runs() && step_fault_.ok(); }
  void fail(Status status);
  size_t plan_bytes(int64_t table) const;
  void make_tiles(const StepInput& input);
  bool send_plan(const StepInput& input);
  void copy_pages(const PageCopies& copies);
  void take_larger_blocks();
  Status reserve_scratch();
  Status reserve_shrunk(int64_t ranks, int64_t expert_ranks);

  void base_product(const LinearCall& call, const float* bias, bool add);
  void quantize(const QuantizedRows& rows);
  void quantized_product(const LinearCall& call, const float* bias, bool add);
  void apply_adapters(const LinearCall& call);
  template <class Make>
  void launch_products(const LinearCall& call, Make&& make);
  void finish(const LinearCall& call);

  bool send_segments(ExpertsPass& pass);
  void run_experts(const ExpertsPass& pass);
  void choose_experts(const ExpertsPass& pass);
  void experts_product(const ExpertsPass& pass, const ExpertsProduct& product);
  void adapt_experts(const ExpertsPass& pass, const ExpertsProduct& product);

  std::unique_ptr<Device> device_;
  int threads_;
  StepLimits limits_;
  NetworkShape shape_;

  HostStep host_;
  // The first fault of the running step that came before its end.
  struct StepFault {
    std::optional<Error> error;
    bool ok() const { return !error.has_value(); }
  } step_fault_;
  std::vector<int32_t> sequence_of_row_;  // [T] of the running step
  std::vector<RowTile> tiles_;            // all rows of the running step, in order
  Plan plan_;
  StepBuffer buffer_;

  // What ops work in, made by reserve(): one block.
  DeviceMemory scratch_;
  int8_t* quantized_ = nullptr;  // [T or places, inputs]
  float* x_scale_ = nullptr;     // [groups of activations, ..]
  float* acc_ = nullptr;         // [T, widest output]
  float* partial_ = nullptr;     // of attention's splits
  int64_t partial_floats_ = 0;
  ExpertScratch experts_;
  PinnedMemory logits_;  // [kLogitRows, V]
  std::optional<SampleScratch> sampling_;
  std::atomic<size_t> scratch_bytes_{0};

  // A load makes a larger one where its adapter needs that, and the next step takes it.
  Shrunk shrunk_;
  std::mutex larger_mutex_;
  Shrunk larger_shrunk_;
  std::atomic<size_t> shrunk_bytes_{0};
};

}  // namespace lorikeet::cuda
