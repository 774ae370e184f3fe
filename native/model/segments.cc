#include "model/segments.h"

#include <algorithm>

namespace lorikeet {

Segments::Segments(int32_t max_rows) {
  // A segment holds at least one row.
  const auto capacity = static_cast<size_t>(max_rows);
  rows_.reserve(capacity);
  sampled_.reserve(capacity);
  embedding_.reserve(capacity);
  linear_.reserve(capacity);
  experts_.reserve(capacity);
  for (auto& list : norm_) list.reserve(capacity);
}

void Segments::begin(const StepPlan& plan, std::span<const Adapter* const> adapters) {
  rows_.clear();
  sampled_.clear();
  int32_t sample = 0;
  for (int32_t g = 0; g < plan.segments(); ++g) {
    const int32_t row0 = plan.segment[int64_t{g} * kSegmentInts];
    const int32_t rows = plan.segment[int64_t{g} * kSegmentInts + 1];
    const float scale = plan.segment_scale.empty() ? 1.0f : plan.segment_scale[static_cast<size_t>(g)];
    rows_.push_back({row0, rows, adapters[g], scale});
    while (sample < plan.samples() && plan.sample_row[sample] < row0) ++sample;
    const int32_t first = sample;
    while (sample < plan.samples() && plan.sample_row[sample] < row0 + rows) ++sample;
    if (sample > first) sampled_.push_back({first, sample - first, adapters[g], scale});
  }
}

void Segments::set_vocabularies(std::span<SampleRow> samples) const {
  for (const AdapterSegment& s : sampled_) {
    for (SampleRow& row : samples.subspan(static_cast<size_t>(s.row0), static_cast<size_t>(s.rows)))
      row.vocab = s.adapter->vocab;
  }
}

std::span<const EmbeddingSegment> Segments::embed(std::unique_ptr<AdapterEmbedding> Adapter::*table) {
  embedding_.clear();
  for (const AdapterSegment& s : rows_) {
    const auto& own = s.adapter->*table;
    if (own) embedding_.push_back({s.row0, s.rows, own.get(), s.scale});
  }
  return embedding_;
}

std::span<const LinearSegment> Segments::map(std::unique_ptr<AdapterLinear> Adapter::*map) {
  linear_.clear();
  for (const AdapterSegment& s : rows_) {
    const auto& weights = s.adapter->*map;
    if (weights) linear_.push_back({s.row0, s.rows, weights.get(), s.scale});
  }
  return linear_;
}

std::span<const NormSegment> Segments::inputs_norm(int32_t copies) {
  std::vector<NormSegment>& list = norm_.front();
  list.clear();
  for (const AdapterSegment& s : rows_) {
    if (s.adapter->inputs_norm)
      list.push_back({s.row0 * copies, s.rows * copies, s.adapter->inputs_norm.get()});
  }
  return list;
}

std::span<const LinearSegment> Segments::linear(int layer, LinearSite site) {
  linear_.clear();
  for (const AdapterSegment& s : rows_) {
    const auto& weights = s.adapter->layers[layer].linear[static_cast<size_t>(site)];
    if (weights) linear_.push_back({s.row0, s.rows, weights.get(), s.scale});
  }
  return linear_;
}

std::span<const ExpertsSegment> Segments::experts(int layer) {
  experts_.clear();
  for (const AdapterSegment& s : rows_) {
    const auto& weights = s.adapter->layers[layer].experts;
    if (weights) experts_.push_back({s.row0, s.rows, weights.get(), s.scale});
  }
  return experts_;
}

std::span<const NormSegment> Segments::embed_norm() {
  std::vector<NormSegment>& list = norm_.front();
  list.clear();
  for (const AdapterSegment& s : rows_) {
    if (s.adapter->embed_norm) list.push_back({s.row0, s.rows, s.adapter->embed_norm.get()});
  }
  return list;
}

std::span<const NormSegment> Segments::norm(int layer, NormSite site) {
  std::vector<NormSegment>& list = norm_[static_cast<size_t>(site)];
  list.clear();
  for (const AdapterSegment& s : rows_) {
    const auto& gain = s.adapter->layers[layer].norm[static_cast<size_t>(site)];
    if (gain) list.push_back({s.row0, s.rows, gain.get()});
  }
  return list;
}

std::span<const NormSegment> Segments::final_norm() {
  std::vector<NormSegment>& list = norm_.front();
  list.clear();
  for (const AdapterSegment& s : sampled_) {
    if (s.adapter->final_norm) list.push_back({s.row0, s.rows, s.adapter->final_norm.get()});
  }
  return list;
}

std::span<const LinearSegment> Segments::head_projection() {
  linear_.clear();
  for (const AdapterSegment& s : sampled_) {
    const auto& weights = s.adapter->head_projection;
    if (weights) linear_.push_back({s.row0, s.rows, weights.get(), s.scale});
  }
  return linear_;
}

std::span<const LinearSegment> Segments::head(int32_t first, int32_t end) {
  linear_.clear();
  for (const AdapterSegment& s : sampled_) {
    const int32_t from = std::max(s.row0, first);
    const int32_t to = std::min(s.row0 + s.rows, end);
    if (s.adapter->head && from < to)
      linear_.push_back({from - first, to - from, s.adapter->head.get(), s.scale});
  }
  return linear_;
}

}  // namespace lorikeet
