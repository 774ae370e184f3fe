// Quantized products of many rows: prompts, and decode steps of many sequences.
//
// The sums are those of product.cu, one chain for each output, so the bits are the same. What differs is who
// adds them: a warp keeps 16 outputs and all of the block's rows from the first input to the last, the
// block's warps share the activations, which lie in shared memory one activation group (256 inputs) ahead,
// and weights go straight from global memory to registers, each read once by the block.

#include "backend/cuda/kernels/async_copy.cuh"
#include "backend/cuda/kernels/product.cuh"

namespace lorikeet::cuda {
namespace {

constexpr int kGroupBytes = 256;  // of a row's activations in one group

// Rows of one activation group, as a block has them.
template <int kRows>
struct Stage {
  int8_t x[kRows][kGroupBytes];
  float scale[kRows];
};

template <Format kFormat, int kBlocks>
struct Tile {
  using Pack = Packed<kFormat>;
  static constexpr int kRows = 8 * kBlocks;
  using Rows = Stage<kRows>;

  const QuantizedProduct& p;
  int tile, row0, groups;
  float part[kBlocks][4], y[kBlocks][4];

  static __device__ int lane() { return threadIdx.x % 32; }
  static __device__ int pair() { return lane() % 4 * 2; }
  // Eight rows of the same 32 bytes would meet in half of the banks: every other two rows have theirs
  // exchanged.
  static __device__ int swizzled(int row, int byte) { return byte ^ (row >> 1 & 1) << 5; }

  __device__ int64_t at(int row) const { return row0 + row; }

  __device__ void fill(Rows& to, int group) const {
    const int chunks = min(kChunksOfGroup, p.chunks - group * kChunksOfGroup);
    const int64_t stride = int64_t{p.chunks} * 64;
    for (int i = threadIdx.x; i < kRows * chunks * 4; i += blockDim.x) {
      const int row = i / (chunks * 4), byte = i % (chunks * 4) * 16;
      const bool there = at(row) < p.rows;
      const int8_t* const from = p.x + (there ? at(row) : 0) * stride + group * kGroupBytes + byte;
      copy_async(&to.x[row][swizzled(row, byte)], from, there);
    }
    commit_copies();
    for (int row = threadIdx.x; row < kRows; row += blockDim.x)
      to.scale[row] = at(row) < p.rows ? p.x_scale[int64_t{group} * p.scale_stride + at(row)] : 0.0f;
  }

  __device__ void multiply_chunk(const Rows& rows, const GroupWeights<kFormat>& weights, int c) {
    int sum[kBlocks][4];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      uint32_t a[4];
      operand<kFormat>(a, weights.words[c], half);
#pragma unroll
      for (int block = 0; block < kBlocks; ++block) {
        if (half == 0 || Pack::kGroups == 2)
          sum[block][0] = sum[block][1] = sum[block][2] = sum[block][3] = 0;
        const int row = block * 8 + lane() / 4;
        const uint2 b =
            *reinterpret_cast<const uint2*>(&rows.x[row][swizzled(row, c * 64 + half * 32 + lane() % 4 * 8)]);
        multiply(sum[block], a, b.x, b.y);
      }
      if (half == 1 || Pack::kGroups == 2)
        add(sum, weights.scales(c * Pack::kGroups + (Pack::kGroups == 2 ? half : 0)));
    }
  }

  __device__ void add(const int (&sum)[kBlocks][4], const TwoScales& scale) {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        part[block][i] =
            __fmaf_rn(__int2float_rn(sum[block][i]), i < 2 ? scale.low : scale.high, part[block][i]);
      }
    }
  }

  __device__ void multiply_group(const Rows& rows, const GroupWeights<kFormat>& weights, int group) {
#pragma unroll
    for (auto& block : part) block[0] = block[1] = block[2] = block[3] = 0.0f;
#pragma unroll
    for (int c = 0; c < kChunksOfGroup; ++c) {
      if (group * kChunksOfGroup + c < p.chunks) multiply_chunk(rows, weights, c);
    }
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        y[block][i] = __fmaf_rn(part[block][i], rows.scale[block * 8 + pair() + i % 2], y[block][i]);
      }
    }
  }

  // Warps beyond the outputs take part in the copies alone.
  __device__ void run(Rows (&stages)[2]) {
    const bool works = tile * 16 < p.n;
    GroupWeights<kFormat> weights;
    fill(stages[0], 0);
#pragma unroll
    for (auto& block : y) block[0] = block[1] = block[2] = block[3] = 0.0f;
    for (int group = 0; group < groups; ++group) {
      if (works) weights.load(p, tile, group, lane());
      wait_for_copies();
      __syncthreads();  // the stage is there, and nobody reads the other one any more
      if (group + 1 < groups) fill(stages[(group + 1) % 2], group + 1);
      if (works) multiply_group(stages[group % 2], weights, group);
    }
    if (works) store();
  }

  __device__ void store() const {
#pragma unroll
    for (int block = 0; block < kBlocks; ++block) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const int64_t row = at(block * 8 + pair() + i % 2);
        const int n = tile * 16 + lane() / 4 + (i < 2 ? 0 : 8);
        if (row >= p.rows || n >= p.n) continue;
        const float value = p.bias != nullptr ? __fadd_rn(y[block][i], p.bias[n]) : y[block][i];
        float& to = p.y[row * p.y_stride + n];
        to = p.add != 0 ? __fadd_rn(to, value) : value;
      }
    }
  }
};

template <Format kFormat, int kBlocks>
__device__ void tile_product(QuantizedProduct& p) {
  __shared__ __align__(16) Stage<8 * kBlocks> stages[2];
  const bool mixed = p.items != nullptr;
  if (mixed && !take_item(p)) return;
  Tile<kFormat, kBlocks> tile{p,
                              static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32),
                              mixed ? 0 : static_cast<int>(blockIdx.y * 8 * kBlocks),
                              activation_groups(p),
                              {},
                              {}};
  tile.run(stages);
}

}  // namespace

// Grid: blocks of 16 outputs a warp, of which there are `warps` at most; blocks of 8 kBlocks rows, or of
// experts items of no more rows than that.
#define LORIKEET_TILES(name, format, blocks, warps)                                     \
  extern "C" __global__ void __launch_bounds__(32 * (warps)) name(QuantizedProduct p) { \
    tile_product<format, blocks>(p);                                                    \
  }
LORIKEET_TILES(product_int8_rows32, Format::int8, 4, kMostTileWarps32)
LORIKEET_TILES(product_int8_rows64, Format::int8, 8, kTileWarps64)
LORIKEET_TILES(product_int4_rows32, Format::int4, 4, kMostTileWarps32)
LORIKEET_TILES(product_int4_rows64, Format::int4, 8, kTileWarps64)
LORIKEET_TILES(product_nf4_rows32, Format::nf4, 4, kMostTileWarps32)
LORIKEET_TILES(product_nf4_rows64, Format::nf4, 8, kTileWarps64)

}  // namespace lorikeet::cuda
