// What all products of quantized weights share (product.cu, tiles.cu).
#pragma once

#include "backend/cuda/kernels/packed.cuh"

namespace lorikeet::cuda {

__device__ __forceinline__ int activation_groups(const QuantizedProduct& p) {
  return (p.chunks + kChunksOfGroup - 1) / kChunksOfGroup;
}

__device__ __forceinline__ void multiply(int (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

__device__ __forceinline__ uint4 load_once(const uint4* from) {
  uint4 v;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
      : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
      : "l"(from));
  return v;
}

// Of outputs g and g + 8 of a tile in one group of weights.
struct TwoScales {
  float low, high;
};

// A lane's part of one tile in one activation group.
template <Format kFormat>
struct GroupWeights {
  using Pack = Packed<kFormat>;

  uint4 words[kChunksOfGroup][Pack::kWords];
  uint32_t scale[kChunksOfGroup * Pack::kGroups];

  __device__ __forceinline__ void load(const QuantizedProduct& p, int tile, int group, int lane) {
    const int64_t chunk = int64_t{tile} * p.chunks + group * kChunksOfGroup;
    const auto* const from = static_cast<const uint4*>(p.w) + chunk * Pack::kWords * 32 + lane;
    const auto* const scales =
        reinterpret_cast<const uint32_t*>(p.scale) + chunk * Pack::kGroups * 8 + lane / 4;
#pragma unroll
    for (int c = 0; c < kChunksOfGroup; ++c) {
      if (group * kChunksOfGroup + c >= p.chunks) continue;
#pragma unroll
      for (int w = 0; w < Pack::kWords; ++w) words[c][w] = load_once(from + (c * Pack::kWords + w) * 32);
#pragma unroll
      for (int g = 0; g < Pack::kGroups; ++g)
        scale[c * Pack::kGroups + g] = scales[(c * Pack::kGroups + g) * 8];
    }
  }

  __device__ __forceinline__ TwoScales scales(int group) const {
    return {__uint_as_float(scale[group] << 16), __uint_as_float(scale[group] & 0xffff0000u)};
  }
};

// Makes the product that of the block's item, whose rows begin at 0. False: it has none.
__device__ __forceinline__ bool take_item(QuantizedProduct& p) {
  const ExpertItem& item = p.items[blockIdx.y];
  if (item.rows == 0) return false;
  const ExpertMap& map = p.experts[item.expert];
  const int64_t first = item.first;
  p.w = map.matrix.w;
  p.scale = map.matrix.scale;
  p.bias = p.bare != 0 ? nullptr : map.bias;
  p.x += first * p.chunks * 64;
  p.x_scale += first;
  p.y += first * p.y_stride;
  p.rows = item.rows;
  return true;
}

}  // namespace lorikeet::cuda
