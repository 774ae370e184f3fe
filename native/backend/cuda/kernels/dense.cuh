// Products of weights as they are with activations in float32: one warp an output, its lanes every 32nd
// input, for eight rows at a time. So the order of an output's sum depends on its number of inputs alone.
#pragma once

#include "backend/cuda/kernels/numbers.cuh"

namespace lorikeet::cuda {

constexpr int kDenseWarps = 8;
constexpr int kDenseThreads = 32 * kDenseWarps;
constexpr int kDenseRows = 8;

// A block takes outputs from 8 blockIdx.x and rows from 8 blockIdx.y on, and goes round where there are more.
// kGather: rows of x may be those of p.x_row.
template <class T, bool kGather>
__device__ void dense_product(const DenseProduct& p) {
  const int lane = threadIdx.x % 32;
  for (int row0 = blockIdx.y * kDenseRows; row0 < p.rows; row0 += gridDim.y * kDenseRows) {
    const int rows = min(kDenseRows, p.rows - row0);
    const bool gathers = kGather && p.x_row != nullptr;
    const float* const x = p.x + (gathers ? 0 : row0 * p.x_stride);
    int64_t at[kDenseRows];
#pragma unroll
    for (int r = 0; r < kDenseRows; ++r) {
      at[r] = (gathers ? (r < rows ? p.x_row[row0 + r] : 0) : r) * p.x_stride;
    }
    for (int n = blockIdx.x * kDenseWarps + threadIdx.x / 32; n < p.n; n += gridDim.x * kDenseWarps) {
      const T* const w = static_cast<const T*>(p.w) + n * p.k;
      float sum[kDenseRows];
#pragma unroll
      for (int r = 0; r < kDenseRows; ++r) sum[r] = 0.0f;
      for (int64_t i = lane; i < p.k; i += 32) {
        const float weight = element(w, i);
#pragma unroll
        for (int r = 0; r < kDenseRows; ++r) {
          if (r < rows) sum[r] = __fmaf_rn(weight, x[at[r] + i], sum[r]);
        }
      }
      const float factor = p.factor != nullptr ? __fmul_rn(p.scale, p.factor[n]) : p.scale;
      const int column = p.index != nullptr ? p.index[n] : n;
#pragma unroll
      for (int r = 0; r < kDenseRows; ++r) {
        float value = __fmul_rn(warp_sum(sum[r]), factor);
        if (p.bias != nullptr) value = __fadd_rn(value, p.bias[n]);
        if (lane != r || r >= rows) continue;
        float& to = p.y[(row0 + r) * p.y_stride + column];
        to = p.add != 0 ? __fadd_rn(to, value) : value;
      }
    }
  }
}

template <bool kGather>
__device__ void dense(const DenseProduct& p) {
  switch (p.type) {
    case Element::f16:
      return dense_product<__half, kGather>(p);
    case Element::bf16:
      return dense_product<__nv_bfloat16, kGather>(p);
    case Element::int8:
      return dense_product<int8_t, kGather>(p);
    default:
      return dense_product<float, kGather>(p);
  }
}

}  // namespace lorikeet::cuda
