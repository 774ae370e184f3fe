// The decoder: submits one pass over the rows of a mixed step, layer by layer as network.h describes them.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "backend/interface/ops.h"
#include "model/mask_wait.h"
#include "model/segments.h"
#include "model/weights.h"

namespace lorikeet {

class Decoder {
 public:
  // Allocates all that a step of up to max_rows rows needs beside what the backend reserves. `network`,
  // `weights`, `backend` and `kv` must outlive the decoder.
  static Result<std::unique_ptr<Decoder>> create(const Network& network, const Weights& weights,
                                                 Backend& backend, KvCache& kv, int32_t max_rows);

  // plan: checked. adapters [G]; results [R]. Stops between layers when `cancelled` turns true.
  Status run(const StepPlan& plan, std::span<const Adapter* const> adapters, std::span<SampleResult> results,
             const std::atomic<bool>& cancelled);

  // Tokens of rows without an adapter: after a merge, the adapter's.
  void set_vocabulary(int32_t vocab) { vocab_ = vocab; }

  // After run(), and before the next: what the head would have read of each row of mode `hidden`, in the
  // order of the sampled rows; says in `results` whether all of it is finite. values: [hidden rows, H].
  Status read_hidden(std::vector<float>& values, std::span<SampleResult> results);

  size_t scratch_bytes() const;

 private:
  // What attention needs beside weights, in the backend's words.
  struct AttentionSite {
    AttentionDesc desc;
    const Rotation* rotation = nullptr;
    int kv_layer = 0;  // of the cache
    // Of a layer that has one in attention's place.
    DeltaNetDesc delta_net;
    ShortConvolutionDesc convolution;
  };

  Decoder(const Network& network, const Weights& weights, Backend& backend, KvCache& kv, int32_t max_rows);
  Status allocate(int32_t max_rows);
  Status create_rotations();
  AttentionSite attention_site(size_t layer) const;

  void begin(const StepPlan& plan, std::span<const Adapter* const> adapters);
  void embed();
  void embed_layer_inputs(const LayerInputs& inputs);
  void attention_block(int layer);
  // q | k | v of latent attention, as AttentionDesc has them; and what of its heads the map behind it reads.
  TensorView expanded_heads(int layer, TensorView x);
  TensorView trimmed_heads(const LatentHeads& heads);
  void delta_net_block(int layer);
  void convolution_block(int layer);
  void mlp_block(int layer);
  // What a layer does after its blocks.
  void end_layer(int layer);
  // update = (or, `add`, +=) what the layer's MLP makes of x
  void mlp(int layer, TensorView x, bool add);
  // update = its own norm + what experts make of the residual
  void experts_beside(int layer, const ExpertLayer& experts);
  void head(const StepPlan& plan);
  // How many sampled rows from `first`, at most kHeadRows, are of its kind: to be put through the head, or
  // not.
  int32_t like(int32_t first, int32_t samples) const;
  // [samples, H]
  TensorView final_norm(int32_t samples);
  // [samples, head_width()]
  TensorView head_input(TensorView normed);
  TensorView logits_of(TensorView normed, int32_t first);

  // Takes the pending update into the residual and returns what the block reads: norm(residual), or the
  // residual where no norm stands before it.
  TensorView enter(int layer, NormSite site);
  // The update has been written: normalizes it where a norm stands after the block, and leaves it pending.
  void leave(int layer, NormSite site);
  // y = norm(x)
  void normalize(int layer, NormSite site, const Norm& norm, TensorView y, TensorView x);
  void add_update();
  HeadNorm head_norm(int layer, const Norm& norm, NormSite site);
  HeadNorms head_norms(int layer);
  // Returns y.
  TensorView linear(const std::unique_ptr<Tensor>& y, TensorView x, int layer, LinearSite site,
                    LinearOutput output = LinearOutput::store);
  // Names the adapters of the map after this one.
  void announce_next(int layer, LinearSite site);

  // The step's rows of a tensor.
  TensorView rows_of(const std::unique_ptr<Tensor>& tensor, int64_t cols) const {
    return {tensor.get(), 0, rows_, cols};
  }
  TensorView residual() const { return rows_of(residual_, network_.hidden); }
  TensorView update() const { return rows_of(update_, network_.hidden); }
  TensorView normed() const { return rows_of(normed_, network_.hidden); }

  // Rows of logits at a time: scoring a long prompt must not need [R, V] floats.
  static constexpr int32_t kHeadRows = 32;

  const Network& network_;
  const Weights& weights_;
  Backend& backend_;
  KvCache& kv_;
  std::vector<std::unique_ptr<Rotation>> rotations_;  // as Network::ropes
  std::unique_ptr<Rotation> no_rotation_;
  std::unique_ptr<Tensor> alibi_slopes_;  // [HQ], where a layer has them
  std::vector<AttentionSite> attention_;  // by layer
  Segments segments_;
  MaskWait masks_;
  std::vector<SampleRow> samples_;  // [R] of the running step
  TensorView sampled_;              // [R, head_width()] of it, as the head reads them
  int32_t vocab_ = 0;               // of rows without an adapter
  int32_t rows_ = 0;                // T of it
  bool pending_ = false;            // the update is not in the residual yet

  std::unique_ptr<Tensor> residual_;  // [T, H]
  std::unique_ptr<Tensor> embedded_;  // [T, embedding_width()] before its projection
  std::unique_ptr<Tensor> update_;    // [T, H] what the last block adds to the residual
  std::unique_ptr<Tensor> normed_;    // [T, H]
  std::unique_ptr<Tensor> qkv_;       // [T, AttentionDesc::width()] or DeltaNetDesc's
  // Of latent attention.
  std::unique_ptr<Tensor> q_latent_;          // [T, latent]
  std::unique_ptr<Tensor> q_heads_;           // [T, HQ (nope | rope)]
  std::unique_ptr<Tensor> kv_down_;           // [T, C | rope]
  std::unique_ptr<Tensor> kv_latent_;         // [T, C]
  std::unique_ptr<Tensor> kv_heads_;          // [T, HQ (nope | value)]
  std::unique_ptr<Tensor> attended_;          // [T, HQ D] or [T, HV VD]
  std::unique_ptr<Tensor> activated_;         // [T, F]
  std::unique_ptr<Tensor> router_logits_;     // [T, E]
  std::unique_ptr<Tensor> shared_gate_;       // [T, 1]
  std::unique_ptr<Tensor> beside_;            // [T, H] of experts in parallel with an MLP
  std::unique_ptr<Tensor> layer_inputs_;      // [T, L P]
  std::unique_ptr<Tensor> inputs_projected_;  // [T, L P]
  std::unique_ptr<Tensor> input_gate_;        // [T, P]
  std::unique_ptr<Tensor> sampled_residual_;  // [R, H]
  std::unique_ptr<Tensor> sampled_update_;    // [R, H]
  std::unique_ptr<Tensor> head_input_;        // [R, head_width()] behind its projection
  std::unique_ptr<Tensor> logits_;            // [kHeadRows, V]
};

}  // namespace lorikeet
