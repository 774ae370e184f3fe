#include "model/composed_deltas.h"

#include <algorithm>
#include <cstring>

#include "backend/shared/dtype.h"

namespace lorikeet {

namespace {

// The one that all tensors have, float32 where they differ.
DType common_dtype(std::span<const LowRank> deltas, HostTensor LowRank::*which) {
  const DType first = (deltas.front().*which).dtype;
  const bool same =
      std::all_of(deltas.begin(), deltas.end(), [&](const LowRank& d) { return (d.*which).dtype == first; });
  return same ? first : DType::f32;
}

// to [count] = elements [first, first + count) of the tensor
void copy_as(DType dtype, std::byte* to, const HostTensor& from, int64_t first, int64_t count) {
  const size_t size = dtype_bytes(dtype);
  if (dtype == from.dtype) {
    std::memcpy(to, from.data + static_cast<size_t>(first) * size, static_cast<size_t>(count) * size);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const float value = load_f32(from.data, from.dtype, first + i);
    std::memcpy(to + static_cast<size_t>(i) * size, &value, size);
  }
}

}  // namespace

LowRank ComposedDeltas::sum(std::span<const LowRank> deltas) {
  LowRank sum;
  std::vector<float>& scales = values_.emplace_back();
  for (const LowRank& delta : deltas) {
    sum.rank += delta.rank;
    scales.insert(scales.end(), static_cast<size_t>(delta.rank), delta.scale);
  }
  sum.component_scale = scales;

  const int64_t inputs = deltas.front().a.cols;
  const int64_t outputs = deltas.front().b.rows;
  const auto make = [&](HostTensor LowRank::*which, int64_t rows, int64_t cols) {
    const DType dtype = common_dtype(deltas, which);
    auto& bytes = matrices_.emplace_back(static_cast<size_t>(rows * cols) * dtype_bytes(dtype));
    return std::pair(HostTensor{bytes.data(), dtype, rows, cols}, bytes.data());
  };
  const auto [a, a_bytes] = make(&LowRank::a, sum.rank, inputs);
  const auto [b, b_bytes] = make(&LowRank::b, outputs, sum.rank);
  int64_t rank = 0;
  for (const LowRank& delta : deltas) {
    const auto a_size = static_cast<int64_t>(dtype_bytes(a.dtype)),
               b_size = static_cast<int64_t>(dtype_bytes(b.dtype));
    copy_as(a.dtype, a_bytes + rank * inputs * a_size, delta.a, 0, delta.rank * inputs);
    for (int64_t row = 0; row < outputs; ++row) {
      copy_as(b.dtype, b_bytes + (row * sum.rank + rank) * b_size, delta.b, row * delta.rank, delta.rank);
    }
    rank += delta.rank;
  }
  sum.a = a;
  sum.b = b;

  for (const LowRank& delta : deltas) {
    if (!delta.bias) continue;
    if (!sum.bias) {
      std::vector<float>& zeros = values_.emplace_back(static_cast<size_t>(outputs));
      sum.bias = HostTensor{reinterpret_cast<const std::byte*>(zeros.data()), DType::f32, 1, outputs};
    }
    for (int64_t i = 0; i < outputs; ++i)
      values_.back()[static_cast<size_t>(i)] +=
          delta.scale * load_f32(delta.bias->data, delta.bias->dtype, i);
  }
  return sum;
}

HostTensor ComposedDeltas::scaled_rows(const HostTensor& matrix, std::span<const float> scale) {
  std::vector<float>& values = values_.emplace_back(static_cast<size_t>(matrix.rows * matrix.cols));
  for (int64_t i = 0; i < matrix.rows * matrix.cols; ++i) {
    values[static_cast<size_t>(i)] =
        scale[static_cast<size_t>(i / matrix.cols)] * load_f32(matrix.data, matrix.dtype, i);
  }
  return {reinterpret_cast<const std::byte*>(values.data()), DType::f32, matrix.rows, matrix.cols};
}

}  // namespace lorikeet
