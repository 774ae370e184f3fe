// The step's adapter segments as each module's operation takes them. Lists are built in place, without
// allocation, and are valid until the next request of the same kind.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "model/adapter.h"
#include "model/step_plan.h"

namespace lorikeet {

// Rows [row0, row0 + rows) use the adapter. Sorted, disjoint.
struct AdapterSegment {
  int32_t row0 = 0;
  int32_t rows = 0;
  const Adapter* adapter = nullptr;
  float scale = 1.0f;  // of its low-rank deltas
};

class Segments {
 public:
  explicit Segments(int32_t max_rows);

  // adapters [G] belong to plan.segment.
  void begin(const StepPlan& plan, std::span<const Adapter* const> adapters);

  // Gives sampled rows under an adapter the number of its tokens.
  void set_vocabularies(std::span<SampleRow> samples) const;

  // Of the adapters' `table`.
  std::span<const EmbeddingSegment> embed(std::unique_ptr<AdapterEmbedding> Adapter::*table);
  std::span<const NormSegment> embed_norm();
  // Of the adapters' `map` that is no layer's.
  std::span<const LinearSegment> map(std::unique_ptr<AdapterLinear> Adapter::*map);
  // Over rows of which each of the step's gives `copies`.
  std::span<const NormSegment> inputs_norm(int32_t copies);
  std::span<const LinearSegment> linear(int layer, LinearSite site);
  std::span<const ExpertsSegment> experts(int layer);
  // Of q, k and v at once: each site has a list of its own.
  std::span<const NormSegment> norm(int layer, NormSite site);
  // Over the sampled rows instead of the step's rows.
  std::span<const NormSegment> final_norm();
  std::span<const LinearSegment> head_projection();
  // Over sampled rows [first, end), counted from `first`.
  std::span<const LinearSegment> head(int32_t first, int32_t end);

 private:
  std::vector<AdapterSegment> rows_;     // over the step's rows
  std::vector<AdapterSegment> sampled_;  // over the sampled rows
  std::vector<EmbeddingSegment> embedding_;
  std::vector<LinearSegment> linear_;
  std::vector<ExpertsSegment> experts_;
  std::array<std::vector<NormSegment>, kNormSites> norm_;  // by site; those of no layer in the first
};

}  // namespace lorikeet
