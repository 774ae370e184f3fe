// Products of linear maps.
//
// Quantized maps follow backend/shared/quantization.h to the bit, so they give what backend/cpu gives: sums
// inside a group of weights are integers (mma.m16n8k32 s8 s8, exact in any order), float(sum) * scale of the
// group is added in ascending order by fma, and each 256 activations' part times their scale likewise. No
// choice of rows per block, of tiles, of warps or of prefetching touches that order, so it is the same for
// any number of rows.
//
// The weights take the instruction's side of 16, the rows of activations the side of 8, so that one row
// wastes arithmetic, not bytes. A block of eight warps owns some tiles of 16 outputs and 8 rows. A warp takes
// one activation group (256 inputs): it keeps the rows' numbers in registers while the tiles' weights pass,
// one tile ahead, and leaves each tile's part in shared memory; after every round of eight groups the block
// adds the parts up in order. (Learned from Marlin, Frantar et al. 2024: weights packed in the order of the
// fragments, read straight from global memory.) More rows: tiles.cu.

#include "backend/cuda/kernels/dense_rows.cuh"
#include "backend/cuda/kernels/product.cuh"

namespace lorikeet::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;
constexpr int kRows = 8;

// One warp's share of a block.
template <Format kFormat>
struct Share {
  const QuantizedProduct& p;
  int row0, lane;
  uint2 x[kChunksOfGroup][2];  // of the activation group: row lane / 4, halves of chunks

  __device__ void take_rows(int group) {
    const int64_t row = row0 + lane / 4;
    const auto* const from =
        reinterpret_cast<const uint2*>(p.x + (row * p.chunks + group * kChunksOfGroup) * 64) + lane % 4;
#pragma unroll
    for (int c = 0; c < kChunksOfGroup; ++c) {
      const bool there = row < p.rows && group * kChunksOfGroup + c < p.chunks;
#pragma unroll
      for (int half = 0; half < 2; ++half) x[c][half] = there ? from[c * 8 + half * 4] : uint2{0, 0};
    }
  }

  // One tile's part of the group to [8 rows] at a distance of `stride`.
  __device__ void multiply_tile(const GroupWeights<kFormat>& weights, int group, float* to,
                                int stride) const {
    float part[4] = {0.0f, 0.0f, 0.0f, 0.0f};
#pragma unroll
    for (int c = 0; c < kChunksOfGroup; ++c) {
      if (group * kChunksOfGroup + c < p.chunks) multiply_chunk(part, weights, c);
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) to[(lane % 4 * 2 + i % 2) * stride + lane / 4 + (i < 2 ? 0 : 8)] = part[i];
  }

  __device__ void multiply_chunk(float (&part)[4], const GroupWeights<kFormat>& weights, int c) const {
    using Pack = Packed<kFormat>;
    int sum[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t a[4];
      operand<kFormat>(a, weights.words[c], half);
      if (half == 0 || Pack::kGroups == 2) sum[0] = sum[1] = sum[2] = sum[3] = 0;
      multiply(sum, a, x[c][half].x, x[c][half].y);
      if (half == 0 && Pack::kGroups == 1) continue;
      const TwoScales scale = weights.scales(c * Pack::kGroups + (Pack::kGroups == 2 ? half : 0));
#pragma unroll
      for (int i = 0; i < 4; ++i)
        part[i] = __fmaf_rn(__int2float_rn(sum[i]), i < 2 ? scale.low : scale.high, part[i]);
    }
  }
};

// What a round of eight activation groups gives.
struct Round {
  static constexpr int kStride = 16 * kMostTiles8 + 4;  // of rows: a warp's writes meet in no bank
  float part[kWarps][kRows][kStride];
  float scale[kWarps][kRows];
};

template <Format kFormat>
__device__ void multiply_round(const Share<kFormat>& share, Round& round, int group, int tile0, int tiles) {
  const QuantizedProduct& p = share.p;
  float(&part)[kRows][Round::kStride] = round.part[threadIdx.x / 32];
  GroupWeights<kFormat> even, odd;
  even.load(p, tile0, group, share.lane);
  for (int t = 0; t < tiles; t += 2) {
    if (t + 1 < tiles) odd.load(p, tile0 + t + 1, group, share.lane);
    share.multiply_tile(even, group, &part[0][16 * t], Round::kStride);
    if (t + 1 == tiles) break;
    if (t + 2 < tiles) even.load(p, tile0 + t + 2, group, share.lane);
    share.multiply_tile(odd, group, &part[0][16 * (t + 1)], Round::kStride);
  }
}

template <Format kFormat>
__device__ void quantized_product(const QuantizedProduct& p, int row0) {
  constexpr int kOwn = kRows * 16 * kMostTiles8 / kThreads;  // outputs of a thread: tid, tid + kThreads, ..
  __shared__ Round round;
  const int warp = threadIdx.x / 32, groups = activation_groups(p);
  const int tile0 = blockIdx.x * p.tiles, tiles = min(p.tiles, (p.n + 15) / 16 - tile0);
  const int outputs = 16 * tiles, rows = min(kRows, p.rows - row0);
  Share<kFormat> share{p, row0, static_cast<int>(threadIdx.x % 32), {}};
  float y[kOwn];
#pragma unroll
  for (int i = 0; i < kOwn; ++i) y[i] = 0.0f;
  for (int first = 0; first < groups; first += kWarps) {
    const int group = first + warp;
    if (group < groups) {
      share.take_rows(group);
      if (share.lane < rows)
        round.scale[warp][share.lane] = p.x_scale[int64_t{group} * p.scale_stride + row0 + share.lane];
      multiply_round<kFormat>(share, round, group, tile0, tiles);
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kOwn; ++i) {
      const int at = threadIdx.x + i * kThreads, row = at / outputs;
      if (row >= rows) continue;
      for (int w = 0; w < kWarps && first + w < groups; ++w)
        y[i] = __fmaf_rn(round.part[w][row][at % outputs], round.scale[w][row], y[i]);
    }
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < kOwn; ++i) {
    const int at = threadIdx.x + i * kThreads, row = at / outputs;
    const int n = tile0 * 16 + at % outputs;
    if (row >= rows || n >= p.n) continue;
    const float value = p.bias != nullptr ? __fadd_rn(y[i], p.bias[n]) : y[i];
    float& to = p.y[(row0 + row) * p.y_stride + n];
    to = p.add != 0 ? __fadd_rn(to, value) : value;
  }
}

}  // namespace

// Grid: blocks of p.tiles tiles of 16 outputs, at most kMostTiles8; blocks of 8 rows, or of experts items of
// no more rows than that.
#define LORIKEET_PRODUCT(name, format)                                                 \
  extern "C" __global__ void __launch_bounds__(kThreads, 2) name(QuantizedProduct p) { \
    const bool mixed = p.items != nullptr;                                             \
    if (mixed && !take_item(p)) return;                                                \
    quantized_product<format>(p, mixed ? 0 : blockIdx.y * kRows);                      \
  }
LORIKEET_PRODUCT(product_int8_rows8, Format::int8)
LORIKEET_PRODUCT(product_int4_rows8, Format::int4)
LORIKEET_PRODUCT(product_nf4_rows8, Format::nf4)

namespace {

// Four numbers in a row, 0 beyond `k`.
__device__ __forceinline__ void load_four(float (&value)[4], const float* row, int64_t first, int64_t k) {
  if (k % 4 == 0 && first < k) {
    const float4 all = *reinterpret_cast<const float4*>(row + first);
    value[0] = all.x;
    value[1] = all.y;
    value[2] = all.z;
    value[3] = all.w;
    return;
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) value[i] = first + i < k ? row[first + i] : 0.0f;
}

}  // namespace

// x [rows, k], or of x the rows x_row, to q [rows, 64 chunks], scale [groups of 256, scale_stride]. A warp
// takes one group of 256, a lane four numbers in a row of each of its halves. Grid: (groups of 256 + 3) / 4,
// rows; block: four warps.
extern "C" __global__ void __launch_bounds__(128)
    quantize_rows(int8_t* q, float* scale, int scale_stride, const float* x, int64_t k, int chunks,
                  const int32_t* x_row) {
  const int lane = threadIdx.x % 32, row = blockIdx.y;
  const int64_t from = x_row != nullptr ? x_row[row] : row;
  const int groups = (chunks + kChunksOfGroup - 1) / kChunksOfGroup;
  const int at = blockIdx.x * 4 + threadIdx.x / 32;
  if (at >= groups) return;
  float value[2][4];
  uint32_t largest = 0;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    load_four(value[half], x + from * k, int64_t{at} * 256 + half * 128 + lane * 4, k);
#pragma unroll
    for (int i = 0; i < 4; ++i) largest = max(largest, magnitude(value[half][i]));
  }
  const QuantizedScale by = quantized_scale(warp_max(largest));
  if (lane == 0) scale[int64_t{at} * scale_stride + row] = by.scale;
  const int64_t inputs = int64_t{chunks} * 64;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint32_t bytes = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      bytes |= (static_cast<uint32_t>(quantized(value[half][i], by)) & 255u) << (8 * i);
    const int64_t first = int64_t{at} * 256 + half * 128 + lane * 4;
    if (first < inputs) *reinterpret_cast<uint32_t*>(q + row * inputs + first) = bytes;
  }
}

// Grid: blocks of outputs (dense.cuh), blocks of 8 rows; both may be fewer than there are.
extern "C" __global__ void __launch_bounds__(kDenseThreads) dense_one(DenseProduct p) {
  dense<false>(p);
}

// Of long rows (dense_rows.cuh). Grid: blocks of rows, blocks of kDenseWarps times as many outputs.
#define LORIKEET_DENSE(name, type, outputs, rows, steps, blocks)                             \
  extern "C" __global__ void __launch_bounds__(kDenseThreads, blocks) name(DenseProduct p) { \
    __shared__ DenseStage<rows, steps> stages[2];                                            \
    dense_rows<type, outputs, rows, steps>(p, stages);                                       \
  }
LORIKEET_DENSE(dense_f32_row1, float, kDenseOutputs1, 1, 8, 2)
LORIKEET_DENSE(dense_f16_row1, __half, kDenseOutputs1, 1, 8, 2)
LORIKEET_DENSE(dense_bf16_row1, __nv_bfloat16, kDenseOutputs1, 1, 8, 2)
LORIKEET_DENSE(dense_f32_rows8, float, kDenseOutputs8, 8, 1, 1)
LORIKEET_DENSE(dense_f16_rows8, __half, kDenseOutputs8, 8, 1, 1)
LORIKEET_DENSE(dense_bf16_rows8, __nv_bfloat16, kDenseOutputs8, 8, 1, 1)

// Of several adapters at once: what each row's own adapter wants, and rows of none are in no item. Grid: as
// above, and items.
extern "C" __global__ void __launch_bounds__(kDenseThreads, 2) dense_items(const DenseProduct* items) {
  const DenseProduct p = items[blockIdx.z];
  dense<false>(p);
}

// The same of items of one row each, all with long rows of weights (dense_rows.cuh). Grid: 1, blocks of
// outputs, items.
extern "C" __global__ void __launch_bounds__(kDenseThreads, 2) dense_items_row1(const DenseProduct* items) {
  __shared__ DenseStage<1, 8> stages[2];
  const DenseProduct p = items[blockIdx.z];
  if (blockIdx.y * kDenseWarps * kDenseOutputsOfItem >= p.n) return;
  switch (p.type) {
    case Element::f16:
      return dense_rows<__half, kDenseOutputsOfItem, 1, 8>(p, stages);
    case Element::bf16:
      return dense_rows<__nv_bfloat16, kDenseOutputsOfItem, 1, 8>(p, stages);
    case Element::int8:
      return dense_rows<int8_t, kDenseOutputsOfItem, 1, 8>(p, stages);
    default:
      return dense_rows<float, kDenseOutputsOfItem, 1, 8>(p, stages);
  }
}

// Grid: outputs / 256, rows, items.
extern "C" __global__ void __launch_bounds__(256) finish_items(const Finish* items) {
  const Finish p = items[blockIdx.z];
  const int n = blockIdx.x * 256 + threadIdx.x;
  if (n >= p.n) return;
  for (int row = blockIdx.y; row < p.rows; row += gridDim.y) {
    float& acc = p.acc[row * p.stride + n];
    float value = acc;
    if (p.lora_bias != nullptr) value = __fmaf_rn(p.scale, p.lora_bias[n], value);
    if (p.ratio != nullptr) value = __fmul_rn(value, p.ratio[n]);
    if (p.bias != nullptr) value = __fadd_rn(value, p.bias[n]);
    acc = value;
  }
}

// DoRA (Liu et al. 2024): ratio [n] = magnitude / the norms of the rows of W + scale B diag(factor) A; NaN
// where that is zero. `own` [n, k] stands for W where it is given. One warp an output. Grid: outputs / 8.
extern "C" __global__ void __launch_bounds__(256, 4)
    dora_ratio(float* ratio, const float* magnitudes, Matrix base, int64_t first, DenseProduct own,
               const void* a, int a_type, const void* b, int b_type, const float* factor, float scale,
               int rank, int n) {
  const int at = blockIdx.x * 8 + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (at >= n) return;
  float squares = 0.0f;
  for (int64_t i = lane; i < base.k; i += 32) {
    float value =
        own.w != nullptr ? element(own.w, own.type, at * base.k + i) : weight_at(base, first + at, i);
    for (int r = 0; r < rank; ++r) {
      const float by = factor != nullptr ? __fmul_rn(scale, factor[r]) : scale;
      const float left = __fmul_rn(element(b, static_cast<Element>(b_type), int64_t{at} * rank + r), by);
      value = __fmaf_rn(left, element(a, static_cast<Element>(a_type), r * base.k + i), value);
    }
    squares = __fmaf_rn(value, value, squares);
  }
  squares = warp_sum(squares);
  if (lane == 0)
    ratio[at] =
        squares > 0.0f ? __fdiv_rn(magnitudes[at], __fsqrt_rn(squares)) : __uint_as_float(0x7fc00000u);
}

}  // namespace lorikeet::cuda
