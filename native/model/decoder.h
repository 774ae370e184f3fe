// The decoder: one pass over the rows of a mixed step, layer by layer as network.h describes them.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "backend/interface/backend.h"
#include "model/segments.h"
#include "model/weights.h"

namespace lorikeet {

class Decoder {
 public:
  // Allocates all that a step of up to max_rows rows needs. `network`, `weights`, `backend` and `kv` must
  // outlive the decoder.
  static Result<std::unique_ptr<Decoder>> create(const Network& network, const Weights& weights,
                                                 Backend& backend, KvCache& kv, int32_t max_rows);

  // plan: checked. adapters [G]; results [R]. Stops between layers when `cancelled` turns true.
  Status run(const StepPlan& plan, std::span<const Adapter* const> adapters, std::span<SampleResult> results,
             const std::atomic<bool>& cancelled);

  size_t scratch_bytes() const;

 private:
  // What attention needs beside weights, in the backend's words.
  struct AttentionSite {
    AttentionDesc desc;
    const RopeDesc* rope = nullptr;
  };

  Decoder(const Network& network, const Weights& weights, Backend& backend, KvCache& kv, int32_t max_rows);
  Status allocate(int32_t max_rows);
  AttentionSite attention_site(size_t layer) const;

  void embed();
  void attention_block(int layer);
  void mlp_block(int layer);
  // update = (or, `add`, +=) what the layer's MLP makes of x
  void mlp(int layer, const float* x, bool add);
  void head(const StepPlan& plan, std::span<SampleResult> results);
  void logits_of(const float* normed, int32_t first, int32_t rows);

  // Takes the pending update into the residual and returns what the block reads: norm(residual), or the
  // residual where no norm stands before it.
  const float* enter(int layer, NormSite site);
  // The update has been written: normalizes it where a norm stands after the block, and leaves it pending.
  void leave(int layer, NormSite site);
  void add_update();
  HeadNorms head_norms(int layer);
  void linear(Buffer& y, const float* x, int layer, LinearSite site,
              LinearOutput output = LinearOutput::store);
  // Names the adapters of the map after this one.
  void announce_next(int layer, LinearSite site);

  // Rows of logits at a time: scoring a long prompt must not need [R, V] floats.
  static constexpr int32_t kHeadRows = 32;

  const Network& network_;
  const Weights& weights_;
  Backend& backend_;
  KvCache& kv_;
  std::vector<RopeDesc> ropes_;
  RopeDesc no_rope_;
  std::vector<float> alibi_slopes_;       // [HQ], where a layer has them
  std::vector<AttentionSite> attention_;  // by layer
  Segments segments_;
  int32_t rows_ = 0;      // T of the running step
  bool pending_ = false;  // the update is not in the residual yet

  std::unique_ptr<Buffer> residual_;          // [T, H]
  std::unique_ptr<Buffer> update_;            // [T, H] what the last block adds to the residual
  std::unique_ptr<Buffer> normed_;            // [T, H]
  std::unique_ptr<Buffer> qkv_;               // [T, (HQ + 2 HKV) D]
  std::unique_ptr<Buffer> attended_;          // [T, HQ D]
  std::unique_ptr<Buffer> activated_;         // [T, F]
  std::unique_ptr<Buffer> router_logits_;     // [T, E]
  std::unique_ptr<Buffer> shared_gate_;       // [T, 1]
  std::unique_ptr<Buffer> sampled_residual_;  // [R, H]
  std::unique_ptr<Buffer> sampled_update_;    // [R, H]
  std::unique_ptr<Buffer> logits_;            // [kHeadRows, V]
  std::vector<SampleRow> sample_rows_;        // capacity kHeadRows
};

}  // namespace lorikeet
