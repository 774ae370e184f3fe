// How quantized weights lie in device memory (backend/cuda/packing.cc writes it).
//
// Outputs are cut into tiles of 16, inputs into chunks of 64, both filled up with zeros. A chunk of a tile
// is, for each lane of a warp, its part of mma.m16n8k32's first operand, twice: the lane's rows are g = lane
// / 4 and g + 8 of the tile, its inputs of each 32 the eight from 8 (lane % 4). The instruction wants inputs
// 4 t .. 4 t + 3 and those 16 further on of both its operands; as an exact sum has no order any eight will
// do, and eight in a row are one load of the activations.
//   int8: [tile][chunk][half][lane] 16 bytes: row g inputs 0-3, row g + 8 inputs 0-3, row g inputs 4-7, row g
//   + 8
//         inputs 4-7; a byte is q
//   int4: [tile][chunk][lane] 16 bytes: for each half two words of four inputs; byte i holds q + 8 of row g
//   in its
//         low half, of row g + 8 in its high half
//   nf4:  [tile][chunk][lane] 16 bytes: for each half a word of row g and one of row g + 8; half-byte i is
//   the code
//         of input i
// Scales: [tile][group][8][2] in bfloat16, of rows g and g + 8. A group is 32 inputs of int4, else 64.
#pragma once

#include "backend/cuda/kernels/numbers.cuh"

namespace lorikeet::cuda {

constexpr int kChunksOfGroup = 4;  // of activations

template <Format kFormat>
struct Packed {
  static constexpr int kWords = kFormat == Format::int8 ? 2 : 1;    // of 16 bytes, of a chunk and lane
  static constexpr int kGroup = kFormat == Format::int4 ? 32 : 64;  // inputs
  static constexpr int kGroups = 64 / kGroup;                       // of a chunk
};

// Four bytes of kNf4Bytes by the four codes in the low 16 bits.
__device__ __forceinline__ uint32_t nf4_bytes(uint32_t codes) {
  const uint32_t low = __byte_perm(kNf4Bytes[0], kNf4Bytes[1], codes & 0x7777u);
  const uint32_t high = __byte_perm(kNf4Bytes[2], kNf4Bytes[3], codes & 0x7777u);
  const uint32_t mask = __byte_perm(0x0000ff00u, 0, (codes >> 3) & 0x1111u);  // 0xff where a code is above 7
  return (low & ~mask) | (high & mask);
}

// q of the four bytes q + 8 in the low halves of `both`: no byte borrows from its neighbour.
__device__ __forceinline__ uint32_t int4_bytes(uint32_t both) {
  return ((both & 0x0f0f0f0fu | 0x80808080u) - 0x08080808u) ^ 0x80808080u;
}

// The lane's operand of 32 inputs, signed bytes: rows g and g + 8 of inputs 0-3, then of 4-7.
template <Format kFormat>
__device__ __forceinline__ void operand(uint32_t (&a)[4], const uint4 (&words)[Packed<kFormat>::kWords],
                                        int half) {
  if constexpr (kFormat == Format::int8) {
    a[0] = words[half].x;
    a[1] = words[half].y;
    a[2] = words[half].z;
    a[3] = words[half].w;
    return;
  }
  const uint32_t first = half == 0 ? words[0].x : words[0].z;
  const uint32_t second = half == 0 ? words[0].y : words[0].w;
  if constexpr (kFormat == Format::int4) {
    a[0] = int4_bytes(first);
    a[1] = int4_bytes(first >> 4);
    a[2] = int4_bytes(second);
    a[3] = int4_bytes(second >> 4);
  } else {
    a[0] = nf4_bytes(first);
    a[1] = nf4_bytes(second);
    a[2] = nf4_bytes(first >> 16);
    a[3] = nf4_bytes(second >> 16);
  }
}

// One weight, for what reads few of them.
__device__ __forceinline__ float quantized_weight(const Matrix& m, int64_t n, int64_t k) {
  const int64_t chunks = (m.k + 63) / 64;
  const int64_t at = n / 16 * chunks + k / 64;  // tile and chunk
  const int row = static_cast<int>(n % 16), input = static_cast<int>(k % 64);
  const int high = row / 8, half = input / 32, eighth = input % 8;
  const int lane = row % 8 * 4 + input % 32 / 8;
  const auto* const bytes = static_cast<const uint8_t*>(m.w);
  int q;
  if (m.format == Format::int8) {
    q = static_cast<int8_t>(
        bytes[((at * 2 + half) * 32 + lane) * 16 + eighth / 4 * 8 + high * 4 + eighth % 4]);
  } else if (m.format == Format::int4) {
    const int both = bytes[(at * 32 + lane) * 16 + half * 8 + eighth];
    q = (high == 0 ? both & 15 : both >> 4) - 8;
  } else {
    const int both = bytes[(at * 32 + lane) * 16 + half * 8 + high * 4 + eighth / 2];
    const int code = eighth % 2 == 0 ? both & 15 : both >> 4;
    q = static_cast<int8_t>(nf4_bytes(static_cast<uint32_t>(code)));
  }
  const int groups = m.format == Format::int4 ? 2 : 1;
  const int64_t group = at * groups + (groups == 2 ? half : 0);
  return __fmul_rn(bf16_to_float(m.scale[group * 16 + row % 8 * 2 + high]), static_cast<float>(q));
}

__device__ __forceinline__ float weight_at(const Matrix& m, int64_t n, int64_t k) {
  return m.format == Format::none ? element(m.w, m.type, n * m.k + k) : quantized_weight(m, n, k);
}

}  // namespace lorikeet::cuda
