// What all products of quantized weights share (product.cu, tiles.cu).
#pragma once

#include "backend/cuda/kernels/packed.cuh"

namespace lorikeet::cuda {

__device__ __forceinline__ int activation_groups(const QuantizedProduct& p) {
  return (p.chunks + kChunksOfGroup - 1) / kChunksOfGroup;
}

// Of outputs `row` and `row + 8` of a tile in one group.
struct TwoScales {
  float low, high;
};
template <Format kFormat>
__device__ __forceinline__ TwoScales scales_at(const QuantizedProduct& p, int tile, int group, int row) {
  const int64_t at = int64_t{tile} * p.chunks * Packed<kFormat>::kGroups + group;
  const uint32_t both = reinterpret_cast<const uint32_t*>(p.scale)[at * 8 + row];
  return {__uint_as_float(both << 16), __uint_as_float(both & 0xffff0000u)};
}

__device__ __forceinline__ void multiply(int (&sum)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
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

// Makes the product that of the block's item, whose rows begin at 0. False: it has none.
template <Format kFormat>
__device__ bool take_item(QuantizedProduct& p) {
  const ExpertItem& item = p.items[blockIdx.y];
  if (item.rows == 0) return false;
  const ExpertMap& map = p.experts[item.expert];
  const int64_t first = item.first, chunks = p.chunks;
  p.w = map.matrix.w;
  p.scale = map.matrix.scale;
  p.bias = p.bare != 0 ? nullptr : map.bias;
  p.x += first * chunks * 64;
  p.offset += first * activation_groups(p) * Packed<kFormat>::kOffsets;
  p.x_scale += first * activation_groups(p);
  p.y += first * p.y_stride;
  p.rows = item.rows;
  return true;
}

}  // namespace lorikeet::cuda
