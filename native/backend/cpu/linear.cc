// y = W x + b with the segments' adapters, in one parallel region.
//
// Items are handed out in order: first a quantized map's activations, then the shrinks (s = scale * A x per
// segment and part), then output tiles (of a GLU: a tile of the gate and the one of up). A tile's item
// computes the base product, waits for the shrinks (which other threads took before), continues the same sums
// with s * B', and writes. So no barrier stands between base and adapter, and a row without adapter runs the
// same instructions as in a step without any.
#include <algorithm>
#include <cassert>

#include "backend/cpu/linear_call.h"

namespace lorikeet::cpu {
namespace {

constexpr size_t kAccumulated = 2 * kChunkRows * kMaxTile;
constexpr size_t kDecoded = kDecodedInputs * kMaxTile;
constexpr size_t kPartsAhead = 3;         // of a segment's adapter, whose A are asked for ahead
constexpr int64_t kWorthSharing = 65536;  // multiply-adds; less is done before another thread has woken up

// As many sums side by side as a vector register holds, then one after the other.
float dot_in_lanes(const float* a, const float* b, int64_t count) {
  constexpr int64_t kLanes = 16;
  float sums[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  for (; i < count; ++i) total += a[i] * b[i];
  return total;
}

}  // namespace

size_t CpuLinear::bytes() const {
  size_t total = 0;
  for (const Part& part : parts) total += part.weight.bytes() + part.bias.bytes();
  return total;
}

// Lists the shrinks; returns the row stride of s, 0 when no segment has a low-rank delta.
int64_t CpuBackend::plan_shrinks(std::span<const LinearSegment> segments) {
  adapters_.clear_items();
  int64_t stride = 0;
  for (const LinearSegment& segment : segments) {
    const auto& adapter = *static_cast<const CpuAdapterLinear*>(segment.adapter);
    stride = std::max<int64_t>(stride, adapter.rank_total);
    for (const auto& part : adapter.parts) {
      if (!part) continue;
      for (int32_t row = 0; row < segment.rows; row += kShrinkRows) {
        const int32_t rows = std::min(kShrinkRows, segment.rows - row);
        for (int32_t rank = 0; rank < part->rank; rank += kShrinkRanks) {
          adapters_.add_item({&*part, segment.row0 + row, rows, rank,
                              std::min(kShrinkRanks, part->rank - rank), segment.scale});
        }
      }
    }
  }
  return stride;
}

Status CpuBackend::reserve_linear(const StepLimits& limits, const NetworkShape& shape) {
  for (Scratch& accumulator : accumulators_) {
    if (Status s = accumulator.reserve(kAccumulated + kDecoded); !s) return s;
  }
  soon_.reserve(static_cast<size_t>(limits.sequences) * kPartsAhead);
  if (Status s = adapters_.reserve(limits); !s) return s;
  if (!shape.quantized) return {};
  // Whole groups of whatever length, and as many groups as the shortest make.
  constexpr int kLeastGroup = group_size(Quantization::int4);
  const int64_t values = (shape.widest_input + kMaxGroup - 1) / kMaxGroup * kMaxGroup;
  const int64_t factors =
      values / kLeastGroup + 1 + (shape.widest_input + kActivationGroup - 1) / kActivationGroup;
  if (Status s = quantized_values_.reserve(static_cast<size_t>(limits.rows * values) / sizeof(float)); !s)
    return s;
  return quantized_factors_.reserve(static_cast<size_t>(limits.rows * factors));
}

CpuBackend::QuantizedRows CpuBackend::place_quantized(int64_t rows, const CpuLinear& weight) {
  if (weight.quantization == Quantization::none && !weight.coded_in_integers) return {};
  QuantizedRows q;
  const int group = weight.coded_in_integers ? kCodedStep : group_size(weight.quantization);
  q.groups = (weight.k + group - 1) / group;
  q.scales = (weight.k + kActivationGroup - 1) / kActivationGroup;
  q.stride = q.groups * group;
  if (weight.coded_in_integers) ++q.groups;
  q.q = reinterpret_cast<int8_t*>(
      quantized_values_.floats(static_cast<size_t>(rows * q.stride) / sizeof(float)));
  q.scale = quantized_factors_.floats(static_cast<size_t>(rows * (q.scales + q.groups)));
  q.offset = reinterpret_cast<int32_t*>(q.scale + rows * q.scales);
  return q;
}

void CpuBackend::linear_soon(std::span<const LinearSegment> segments) {
  soon_.clear();
  for (const LinearSegment& segment : segments) {
    for (const auto& part : static_cast<const CpuAdapterLinear*>(segment.adapter)->parts) {
      if (part && part->rank > 0 && soon_.size() < soon_.capacity())
        soon_.push_back({part->a.row(0), part->a.row(part->rank)});
    }
  }
}

void CpuBackend::linear(TensorView y, TensorView x, const Linear& weight,
                        std::span<const LinearSegment> segments, LinearOutput output,
                        const Activation& activation) {
  if (!step_.runs()) return;
  const auto& base = static_cast<const CpuLinear&>(weight);
  const int64_t rows = x.rows;
  assert(x.cols == base.k && y.rows == rows &&
         y.cols == (output == LinearOutput::glu ? base.n / 2 : base.n + base.room));
  assert(base.room == 0 || output == LinearOutput::store);
  assert(output != LinearOutput::glu ||
         (base.parts.size() == 2 && base.parts[0].weight.n() == base.parts[1].weight.n()));
  const int64_t s_stride = plan_shrinks(segments);
  const QuantizedRows q = place_quantized(rows, base);
  LinearCall call{.kernels = kernels_,
                  .quantized_kernels = quantized_kernels_,
                  .threads = pool_.threads(),
                  .y = f32(y),
                  .y_stride = y.cols,
                  .x = f32(x),
                  .rows = rows,
                  .weight = base,
                  .segments = segments,
                  .output = output,
                  .activation = activation,
                  .s = s_stride == 0 ? nullptr : adapters_.shrunk(rows * s_stride),
                  .s_stride = s_stride,
                  .q = q,
                  .quantizes = q.q == nullptr ? 0 : (rows + kQuantizeRows - 1) / kQuantizeRows,
                  .shrinks = adapters_.items(),
                  .soon = soon_};
  const auto run_item = [&](int64_t item, int thread) {
    float* const own = accumulators_[static_cast<size_t>(thread)].floats(kAccumulated + kDecoded);
    call.run_item(item, {own, own + kAccumulated});
  };
  if (rows * base.k * base.n < kWorthSharing) {
    for (int64_t item = 0; item < call.items(); ++item) run_item(item, 0);
  } else {
    pool_.run(call.items(), run_item);
  }
  soon_.clear();
  replace_rows(f32(y), f32(x), base, segments);
}

// The outputs that an adapter replaces one by one, after the map itself. Each is one sum in a fixed order.
void CpuBackend::replace_rows(float* y, const float* x, const CpuLinear& base,
                              std::span<const LinearSegment> segments) {
  for (const LinearSegment& segment : segments) {
    const auto& adapter = *static_cast<const CpuAdapterLinear*>(segment.adapter);
    if (!adapter.replaces_rows) continue;
    for (size_t p = 0; p < adapter.parts.size(); ++p) {
      if (!adapter.parts[p]) continue;
      const CpuAdapterLinear::Part& part = *adapter.parts[p];
      const auto count = static_cast<int64_t>(part.replaced_rows.size());
      pool_.run((count > 0) * segment.rows, [&](int64_t item, int) {
        const int64_t row = segment.row0 + item;
        float* const outputs = y + row * (base.n + base.room) + base.parts[p].output0;
        for (int64_t i = 0; i < count; ++i) {
          outputs[part.replaced_rows[static_cast<size_t>(i)]] =
              dot_in_lanes(x + row * base.k, part.replaced_row_values.f32() + i * base.k, base.k);
        }
      });
    }
  }
}

}  // namespace lorikeet::cpu
