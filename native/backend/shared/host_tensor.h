// Tensors of the backends that compute in host memory: float32, row-major, in one piece.
#pragma once

#include <algorithm>
#include <cassert>
#include <span>

#include "backend/interface/status.h"
#include "backend/interface/tensor.h"

namespace lorikeet {

class HostMemoryTensor : public Tensor {
 public:
  float* values() const { return values_; }  // [rows, cols]
  size_t bytes() const override { return static_cast<size_t>(rows() * cols()) * sizeof(float); }

 protected:
  // Who derives from it owns the memory.
  HostMemoryTensor(int64_t rows, int64_t cols, float* values)
      : Tensor(rows, cols, DType::f32), values_(values) {}

 private:
  float* values_;
};

// The view's first element; null of no operand.
inline float* f32(const TensorView& view) {
  if (view.empty()) return nullptr;
  assert((view.first + view.rows) * view.cols <= view.tensor->rows() * view.tensor->cols());
  return static_cast<const HostMemoryTensor*>(view.tensor)->values() + view.first * view.cols;
}

// All elements; empty of null.
inline std::span<const float> f32(const Tensor* tensor) {
  if (tensor == nullptr) return {};
  return {static_cast<const HostMemoryTensor*>(tensor)->values(),
          static_cast<size_t>(tensor->rows() * tensor->cols())};
}

inline Status upload_to_host(const TensorView& to, std::span<const float> values) {
  assert(static_cast<int64_t>(values.size()) == to.count());
  std::copy(values.begin(), values.end(), f32(to));
  return {};
}

inline Status download_from_host(std::span<float> values, const TensorView& from) {
  assert(static_cast<int64_t>(values.size()) == from.count());
  std::copy_n(f32(from), values.size(), values.begin());
  return {};
}

}  // namespace lorikeet
