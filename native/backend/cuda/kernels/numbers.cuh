// Elements of device memory as float32, sums over warps and blocks in a fixed order, and the quantization of
// activations (backend/shared/quantization.h), for all kernels.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "backend/cuda/kernels/arguments.h"

namespace lorikeet::cuda {

constexpr unsigned kAllLanes = 0xffffffffu;

__device__ __forceinline__ float bf16_to_float(uint16_t bits) {
  return __uint_as_float(uint32_t{bits} << 16);
}

__device__ __forceinline__ float element(const float* p, int64_t i) {
  return p[i];
}
__device__ __forceinline__ float element(const __half* p, int64_t i) {
  return __half2float(p[i]);
}
__device__ __forceinline__ float element(const __nv_bfloat16* p, int64_t i) {
  return bf16_to_float(reinterpret_cast<const uint16_t*>(p)[i]);
}
__device__ __forceinline__ float element(const int8_t* p, int64_t i) {
  return static_cast<float>(p[i]);
}

__device__ __forceinline__ float element(const void* p, Element type, int64_t i) {
  switch (type) {
    case Element::f16:
      return element(static_cast<const __half*>(p), i);
    case Element::bf16:
      return element(static_cast<const __nv_bfloat16*>(p), i);
    case Element::int8:
      return element(static_cast<const int8_t*>(p), i);
    default:
      return element(static_cast<const float*>(p), i);
  }
}

// The same sum in every lane: lanes 16 apart first, then 8, 4, 2 and 1.
__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = __fadd_rn(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}
__device__ __forceinline__ uint32_t warp_max(uint32_t value) {
#pragma unroll
  for (int distance = 16; distance > 0; distance /= 2) {
    value = max(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

// activation_scale of quantization.h.
struct QuantizedScale {
  float scale, inverse;
};
__device__ __forceinline__ QuantizedScale quantized_scale(uint32_t largest_bits) {
  if (largest_bits >= 0x7f800000u) return {__uint_as_float(0x7fc00000u), 0.0f};
  const float largest = __uint_as_float(largest_bits);
  if (largest < 0x1p-100f) return {0.0f, 0.0f};
  return {__fdiv_rn(largest, 127.0f), __fdiv_rn(127.0f, largest)};
}
__device__ __forceinline__ uint32_t magnitude(float x) {
  return __float_as_uint(x) & 0x7fffffffu;
}
__device__ __forceinline__ int quantized(float x, const QuantizedScale& by) {
  return by.inverse == 0.0f ? 0 : __float2int_rn(__fmul_rn(x, by.inverse));
}

}  // namespace lorikeet::cuda
