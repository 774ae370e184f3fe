// The norm of one group of values by a block of kNormThreads: the same sums for the norm op and for the
// heads' norms, so the same bits.
#pragma once

#include "backend/cuda/kernels/numbers.cuh"

namespace lorikeet::cuda {

// In every thread: the warps' sums, added in order.
__device__ __forceinline__ float block_sum(float value) {
  constexpr int kWarps = kNormThreads / 32;
  __shared__ float sums[kWarps];
  value = warp_sum(value);
  __syncthreads();  // all have read the sums of the call before
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  float total = sums[0];
#pragma unroll
  for (int warp = 1; warp < kWarps; ++warp) total = __fadd_rn(total, sums[warp]);
  return total;
}

// y [width] = norm(x) * gain + bias; y may be x. Each thread takes every kNormThreads-th value.
__device__ __forceinline__ void normalize(float* y, const float* x, const float* gain, const float* bias,
                                          const NormArguments& norm) {
  const auto width = static_cast<float>(norm.width);
  float mean = 0.0f, squares = 0.0f;
  if (norm.layer != 0) {
    for (int64_t i = threadIdx.x; i < norm.width; i += kNormThreads) mean = __fadd_rn(mean, x[i]);
    mean = __fdiv_rn(block_sum(mean), width);
  }
  for (int64_t i = threadIdx.x; i < norm.width; i += kNormThreads) {
    const float centred = __fsub_rn(x[i], mean);
    squares = __fmaf_rn(centred, centred, squares);
  }
  squares = block_sum(squares);
  const float factor = __fdiv_rn(1.0f, __fsqrt_rn(__fadd_rn(__fdiv_rn(squares, width), norm.epsilon)));
  for (int64_t i = threadIdx.x; i < norm.width; i += kNormThreads) {
    const float scaled = __fmul_rn(__fmul_rn(__fsub_rn(x[i], mean), factor), gain[i]);
    y[i] = bias != nullptr ? __fadd_rn(scaled, bias[i]) : scaled;
  }
}

}  // namespace lorikeet::cuda
