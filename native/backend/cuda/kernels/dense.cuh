// Products of weights as they are with activations in float32. A lane takes eight inputs in a row, so that
// 16-bit weights come 16 bytes at a time; as many lanes as a short row of weights needs share an output, at
// most all of a warp, and their sums meet in a fixed tree. So the order of an output's sum depends on its
// number of inputs alone. Eight rows of activations are multiplied at a time.
#pragma once

#include "backend/cuda/kernels/numbers.cuh"

namespace lorikeet::cuda {

constexpr int kDenseRows = 8;

// Eight numbers in a row of which `count` are there; `whole`: all, and aligned for wide loads.
template <class T>
__device__ __forceinline__ void load_some(float (&value)[kDenseInputs], const T* from, int64_t count) {
#pragma unroll
  for (int i = 0; i < kDenseInputs; ++i) value[i] = i < count ? element(from, i) : 0.0f;
}
__device__ __forceinline__ void load_whole(float (&value)[kDenseInputs], const float4* first,
                                           const float4* second) {
  const float4 low = *first, high = *second;
  value[0] = low.x;
  value[1] = low.y;
  value[2] = low.z;
  value[3] = low.w;
  value[4] = high.x;
  value[5] = high.y;
  value[6] = high.z;
  value[7] = high.w;
}
__device__ __forceinline__ void load_whole(float (&value)[kDenseInputs], const float* from) {
  load_whole(value, reinterpret_cast<const float4*>(from), reinterpret_cast<const float4*>(from) + 1);
}
template <class T>
__device__ __forceinline__ void load_whole(float (&value)[kDenseInputs], const T* from) {
  constexpr int kWords = kDenseInputs * sizeof(T) / 4, kOfWord = 4 / sizeof(T);
  uint32_t words[kWords];
  if constexpr (kWords == 4) {
    const uint4 all = *reinterpret_cast<const uint4*>(from);
    words[0] = all.x;
    words[1] = all.y;
    words[2] = all.z;
    words[3] = all.w;
  } else {
    const uint2 all = *reinterpret_cast<const uint2*>(from);
    words[0] = all.x;
    words[1] = all.y;
  }
#pragma unroll
  for (int i = 0; i < kDenseInputs; ++i) {
    const uint32_t bits = words[i / kOfWord] >> (i % kOfWord * 8 * sizeof(T));
    if constexpr (sizeof(T) == 1) {
      value[i] = static_cast<float>(static_cast<int8_t>(bits));
    } else {
      const auto half = static_cast<uint16_t>(bits);
      value[i] = element(reinterpret_cast<const T*>(&half), 0);
    }
  }
}

// Whether rows of `stride` elements can be read eight at a time.
template <class T>
__device__ __forceinline__ bool is_wide(const T* from, int64_t stride) {
  constexpr uint64_t kBytes = sizeof(T) == 1 ? 8 : 16;
  return (reinterpret_cast<uint64_t>(from) | static_cast<uint64_t>(stride) * sizeof(T)) % kBytes == 0;
}

// A block takes outputs from dense_outputs(k) blockIdx.x and rows from 8 blockIdx.y on, and goes round where
// there are more. kGather: rows of x may be those of p.x_row.
template <class T, bool kGather>
__device__ void dense_product(const DenseProduct& p) {
  const int lane = threadIdx.x % 32, lanes = dense_lanes(p.k), of_warp = 32 / lanes;
  const int own = lane % lanes, block_outputs = kDenseWarps * of_warp;
  const auto* const weights = static_cast<const T*>(p.w);
  const bool wide_w = is_wide(weights, p.k), wide_x = is_wide(p.x, p.x_stride);
  for (int row0 = blockIdx.y * kDenseRows; row0 < p.rows; row0 += gridDim.y * kDenseRows) {
    const int rows = min(kDenseRows, p.rows - row0);
    const bool gathers = kGather && p.x_row != nullptr;
    const float* const x = p.x + (gathers ? 0 : row0 * p.x_stride);
    int64_t at[kDenseRows];
#pragma unroll
    for (int r = 0; r < kDenseRows; ++r) {
      at[r] = (gathers ? (r < rows ? p.x_row[row0 + r] : 0) : r) * p.x_stride;
    }
    const int first = blockIdx.x * block_outputs + threadIdx.x / 32 * of_warp;
    for (int base = first; base < p.n; base += gridDim.x * block_outputs) {
      // Lanes beyond the outputs take the last one's part in the sums, and leave nothing.
      const int n = min(base + lane / lanes, p.n - 1);
      const T* const w = weights + n * p.k;
      float sum[kDenseRows];
#pragma unroll
      for (int r = 0; r < kDenseRows; ++r) sum[r] = 0.0f;
      for (int64_t i = own * kDenseInputs; i < p.k; i += lanes * kDenseInputs) {
        const int64_t count = p.k - i;
        float weight[kDenseInputs];
        if (wide_w && count >= kDenseInputs) {
          load_whole(weight, w + i);
        } else {
          load_some(weight, w + i, count);
        }
#pragma unroll
        for (int r = 0; r < kDenseRows; ++r) {
          if (r >= rows) continue;
          float value[kDenseInputs];
          if (wide_x && count >= kDenseInputs) {
            load_whole(value, x + at[r] + i);
          } else {
            load_some(value, x + at[r] + i, count);
          }
#pragma unroll
          for (int j = 0; j < kDenseInputs; ++j) {
            if (j < count) sum[r] = __fmaf_rn(weight[j], value[j], sum[r]);
          }
        }
      }
      const float factor = p.factor != nullptr ? __fmul_rn(p.scale, p.factor[n]) : p.scale;
      const int column = p.index != nullptr ? p.index[n] : n;
#pragma unroll
      for (int r = 0; r < kDenseRows; ++r) {
        for (int distance = lanes / 2; distance > 0; distance /= 2) {
          sum[r] = __fadd_rn(sum[r], __shfl_xor_sync(kAllLanes, sum[r], distance));
        }
        float value = __fmul_rn(sum[r], factor);
        if (p.bias != nullptr) value = __fadd_rn(value, p.bias[n]);
        if (own != r % lanes || r >= rows || base + lane / lanes >= p.n) continue;
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
