// Products of linear maps.
//
// Quantized maps follow backend/shared/quantization.h to the bit, so they give what backend/cpu gives: sums
// inside a group of weights are integers (mma.m16n8k32 u8 s8, exact in any order), float(sum) * scale of the
// group is added in ascending order by fma, and each 256 activations' part times their scale likewise. No
// choice of rows per block, of warps or of prefetching touches that order, so it is the same for any number
// of rows.
//
// The weights take the instruction's side of 16, the rows of activations the side of 8, so that one row
// wastes arithmetic, not bytes. A block of eight warps owns 16 outputs and 8 rows; its warps take one
// activation group (256 inputs) each, leave their parts in shared memory, and after every round of eight the
// block adds them up in order. (Learned from Marlin, Frantar et al. 2024: weights packed in the order of the
// fragments, read straight from global memory.) More rows: tiles.cu.

#include "backend/cuda/kernels/dense.cuh"
#include "backend/cuda/kernels/product.cuh"

namespace lorikeet::cuda {
namespace {

constexpr int kWarps = 8;
constexpr int kThreads = 32 * kWarps;

// One warp's share of a block.
template <Format kFormat>
struct Share {
  using Pack = Packed<kFormat>;

  const QuantizedProduct& p;
  int tile, row0, groups, lane;
  int offset[2][Pack::kOffsets];  // of the lane's two rows in this activation group
  float part[4];

  __device__ int column() const { return lane / 4; }    // of the second operand: a row of activations
  __device__ int pair() const { return lane % 4 * 2; }  // of the result: two rows of activations

  // part = the sums of activation group `group`: output g of two rows, output g + 8 of them.
  __device__ void run(int group) {
    part[0] = part[1] = part[2] = part[3] = 0.0f;
    const int first = group * kChunksOfGroup;
    const auto* const weights = static_cast<const uint4*>(p.w) + int64_t{tile} * p.chunks * Pack::kWords * 32;
    uint4 words[kChunksOfGroup][Pack::kWords];
#pragma unroll
    for (int c = 0; c < kChunksOfGroup; ++c) {
#pragma unroll
      for (int w = 0; w < Pack::kWords; ++w) {
        if (first + c < p.chunks)
          words[c][w] = load_once(weights + ((first + c) * Pack::kWords + w) * 32 + lane);
      }
    }
    load_offsets(group);
#pragma unroll
    for (int c = 0; c < kChunksOfGroup; ++c) {
      if (first + c < p.chunks) chunk(words[c], first + c, c);
    }
  }

  // What the zero point takes off: -zero point * the sum of the group's activations.
  __device__ void load_offsets(int group) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const int64_t row = row0 + pair() + r;
      const auto* const from =
          reinterpret_cast<const int4*>(p.offset) + (row * groups + group) * (Pack::kOffsets / 4);
#pragma unroll
      for (int i = 0; i < Pack::kOffsets / 4; ++i) {
        const int4 four = row < p.rows ? from[i] : int4{0, 0, 0, 0};
        offset[r][4 * i] = four.x;
        offset[r][4 * i + 1] = four.y;
        offset[r][4 * i + 2] = four.z;
        offset[r][4 * i + 3] = four.w;
      }
    }
  }

  __device__ void chunk(const uint4 (&words)[Pack::kWords], int at, int c) {
    int sum[4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const bool begins = half == 0 || Pack::kGroups == 2;
      const bool ends = half == 1 || Pack::kGroups == 2;
      const int own = Pack::kGroups == 2 ? half : 0;
      uint32_t a[4];
      operand<kFormat>(a, words, half);
      if (begins) {
        sum[0] = sum[2] = offset[0][c * Pack::kGroups + own];
        sum[1] = sum[3] = offset[1][c * Pack::kGroups + own];
      }
      const int row = row0 + column();
      uint2 b = {0, 0};
      if (row < p.rows) {
        b = *reinterpret_cast<const uint2*>(p.x + (int64_t{row} * p.chunks + at) * 64 + half * 32 +
                                            lane % 4 * 8);
      }
      multiply(sum, a, b.x, b.y);
      if (!ends) continue;
      const TwoScales scale = scales_at<kFormat>(p, tile, at * Pack::kGroups + own, lane / 4);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        part[i] = __fmaf_rn(__int2float_rn(sum[i]), i < 2 ? scale.low : scale.high, part[i]);
      }
    }
  }

  // to [16 outputs][8 rows]
  __device__ void leave(float* to) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) to[(lane / 4 + (i < 2 ? 0 : 8)) * 8 + pair() + i % 2] = part[i];
  }
};

template <Format kFormat>
__device__ void quantized_product(const QuantizedProduct& p, int row0) {
  constexpr int kRows = 8, kOutputs = 16 * kRows;  // of the block; a thread adds up one of them
  static_assert(kOutputs <= kThreads);
  __shared__ float parts[2][kWarps][kOutputs];  // of this round and of the one before
  const int warp = threadIdx.x / 32, groups = activation_groups(p);
  Share<kFormat> share{p, static_cast<int>(blockIdx.x), row0, groups, static_cast<int>(threadIdx.x % 32), {},
                       {}};
  const int row = row0 + threadIdx.x / 16, n = blockIdx.x * 16 + threadIdx.x % 16;
  const bool adds = threadIdx.x < kOutputs && row < p.rows;
  float y = 0.0f;
  for (int first = 0, round = 0; first < groups; first += kWarps, ++round) {
    float(&own)[kWarps][kOutputs] = parts[round % 2];
    if (first + warp < groups) {
      share.run(first + warp);
      share.leave(own[warp]);
    }
    // Nobody writes this half again before all have passed the barrier of the next round.
    __syncthreads();
    if (!adds) continue;
    for (int w = 0; w < kWarps && first + w < groups; ++w) {
      y = __fmaf_rn(own[w][threadIdx.x % 16 * kRows + threadIdx.x / 16],
                    p.x_scale[int64_t{row} * groups + first + w], y);
    }
  }
  if (!adds || n >= p.n) return;
  const float value = p.bias != nullptr ? __fadd_rn(y, p.bias[n]) : y;
  float& to = p.y[row * p.y_stride + n];
  to = p.add != 0 ? __fadd_rn(to, value) : value;
}

}  // namespace

// Grid: tiles of 16 outputs, blocks of 8 rows; of experts items of no more rows than that.
#define LORIKEET_PRODUCT(name, format)                                              \
  extern "C" __global__ void __launch_bounds__(kThreads) name(QuantizedProduct p) { \
    const bool mixed = p.items != nullptr;                                          \
    if (mixed && !take_item<format>(p)) return;                                     \
    quantized_product<format>(p, mixed ? 0 : blockIdx.y * 8);                       \
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

// x [rows, k], or of x the rows x_row, to q [rows, 64 chunks], offset [rows, groups of 256, of weights
// in one], scale [rows, groups of 256]. A warp takes one group of 256, a lane four numbers in a row of each
// of its halves. Grid: (groups of 256 + 3) / 4, rows; block: four warps.
extern "C" __global__ void __launch_bounds__(128)
    quantize_rows(int8_t* q, int32_t* offset, float* scale, const float* x, int64_t k, int chunks, int group,
                  int zero_point, const int32_t* x_row) {
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
  if (lane == 0) scale[int64_t{row} * groups + at] = by.scale;
  const int64_t inputs = int64_t{chunks} * 64;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    uint32_t bytes = 0;
    int sum = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int number = quantized(value[half][i], by);
      sum += number;
      bytes |= (static_cast<uint32_t>(number) & 255u) << (8 * i);
    }
    // Groups of weights are those of 8 or 16 lanes.
    for (int distance = 1; distance < group / 4; distance *= 2)
      sum += __shfl_xor_sync(kAllLanes, sum, distance);
    const int in_group = half * 128 + lane * 4;
    const int64_t first = int64_t{at} * 256 + in_group;
    if (first < inputs) *reinterpret_cast<uint32_t*>(q + row * inputs + first) = bytes;
    if (in_group % group == 0)
      offset[((int64_t{row} * groups + at) * 256 + in_group) / group] = -zero_point * sum;
  }
}

// Grid: blocks of outputs (dense.cuh), blocks of 8 rows; both may be fewer than there are.
extern "C" __global__ void __launch_bounds__(kDenseThreads) dense_one(DenseProduct p) {
  dense<false>(p);
}

// Of several adapters at once: what each row's own adapter wants, and rows of none are in no item. Grid: as
// above, and items.
extern "C" __global__ void __launch_bounds__(kDenseThreads, 2) dense_items(const DenseProduct* items) {
  const DenseProduct p = items[blockIdx.z];
  dense<false>(p);
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
