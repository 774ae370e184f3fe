// The Llama decoder (Touvron et al. 2023): one pass over the rows of a mixed step.
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
  // Allocates all that a step of up to max_rows rows needs. `weights`, `backend` and `kv` must outlive the
  // decoder.
  static Result<std::unique_ptr<Decoder>> create(const ModelConfig& config, const Weights& weights,
                                                 Backend& backend, KvCache& kv, int32_t max_rows);

  // plan: checked. adapters [G]; results [R]. Stops between layers when `cancelled` turns true.
  Status run(const StepPlan& plan, std::span<const Adapter* const> adapters, std::span<SampleResult> results,
             const std::atomic<bool>& cancelled);

  size_t scratch_bytes() const;

 private:
  Decoder(const ModelConfig& config, const Weights& weights, Backend& backend, KvCache& kv, int32_t max_rows);
  Status allocate(int32_t max_rows);

  void attention_block(int layer);
  void mlp_block(int layer);
  void head(const StepPlan& plan, std::span<SampleResult> results);
  // normed = rmsnorm(residual += update)
  void add_norm(int layer, NormSite site);
  void linear(Buffer& y, Buffer& x, int layer, LinearSite site, LinearOutput output = LinearOutput::store);
  // Names the adapters of the map after this one.
  void announce_next(int layer, LinearSite site);

  // Rows of logits at a time: scoring a long prompt must not need [R, V] floats.
  static constexpr int32_t kHeadRows = 32;

  const ModelConfig& config_;
  const Weights& weights_;
  Backend& backend_;
  KvCache& kv_;
  RopeDesc rope_;
  AttentionDesc attention_;
  Segments segments_;
  int32_t rows_ = 0;  // T of the running step

  std::unique_ptr<Buffer> residual_;          // [T, H]
  std::unique_ptr<Buffer> update_;            // [T, H] what the last block adds to the residual
  std::unique_ptr<Buffer> normed_;            // [T, H]
  std::unique_ptr<Buffer> qkv_;               // [T, (HQ + 2 HKV) D]
  std::unique_ptr<Buffer> attended_;          // [T, HQ D]
  std::unique_ptr<Buffer> activated_;         // [T, F]
  std::unique_ptr<Buffer> sampled_residual_;  // [R, H]
  std::unique_ptr<Buffer> sampled_update_;    // [R, H]
  std::unique_ptr<Buffer> logits_;            // [kHeadRows, V]
  std::vector<SampleRow> sample_rows_;        // capacity kHeadRows
};

}  // namespace lorikeet
