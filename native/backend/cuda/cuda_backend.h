#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <vector>

#include "backend/cuda/adapters.h"
#include "backend/cuda/step_buffer.h"
#include "backend/cuda/weights.h"
#include "backend/shared/host_step.h"
#include "backend/shared/sampling.h"

namespace lorikeet::cuda {

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
    int32_t page_stride = 0;
  };
  struct LinearCall;

  bool runs() const { return host_.runs() && step_fault_.ok(); }
  void fail(Status status);
  size_t plan_bytes(int64_t table) const;
  bool send_plan(const StepInput& input);
  void copy_pages(const PageCopies& copies);
  void take_larger_blocks();

  void base_product(const LinearCall& call, const float* bias, bool add);
  void quantized_product(const LinearCall& call, const float* bias, bool add);
  void apply_adapters(const LinearCall& call);
  template <class Make>
  void launch_products(const LinearCall& call, Make&& make);
  void finish(const LinearCall& call);

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
  Plan plan_;
  StepBuffer buffer_;

  // What ops work in, made by reserve(): one block.
  DeviceMemory scratch_;
  int8_t* quantized_ = nullptr;  // [T, inputs]
  int32_t* offset_ = nullptr;    // [T, groups of weights]
  float* x_scale_ = nullptr;     // [T, groups of activations]
  float* acc_ = nullptr;         // [T, widest output]
  float* partial_ = nullptr;     // of attention's splits
  int64_t partial_floats_ = 0;
  PinnedMemory logits_;  // [kLogitRows, V]
  std::optional<SampleScratch> sampling_;
  std::atomic<size_t> scratch_bytes_{0};

  // A x of all adapters of an op: [T, ranks]. A load makes a larger one where its adapter needs that, and the
  // next step takes it.
  DeviceMemory shrunk_;
  int64_t shrunk_ranks_ = 0;
  std::mutex larger_mutex_;
  DeviceMemory larger_shrunk_;
  int64_t larger_ranks_ = 0;
  std::atomic<size_t> shrunk_bytes_{0};
};

}  // namespace lorikeet::cuda
