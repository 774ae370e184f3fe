// Dense products of long, aligned rows of weights (dense_is_long): those of dense.cuh to the bit, since each
// output's sum is made by the lanes in the same order, with fewer reads. A warp has kOutputs outputs of kRows
// rows, so that its registers hold what 8 inputs a lane of each need; the block's rows of activations pass
// through shared memory, kSteps times 256 inputs ahead, and each weight is read once by the block.
#pragma once

#include "backend/cuda/kernels/async_copy.cuh"
#include "backend/cuda/kernels/dense.cuh"

namespace lorikeet::cuda {

constexpr int kStepInputs = 32 * kDenseInputs;  // of a warp

// A lane's eight inputs are two words of 16 bytes, and all first words lie before all second ones, so that no
// two lanes meet in a bank.
template <int kRows, int kSteps>
using DenseStage = float4[kRows][kSteps][2][32];

template <class T, int kOutputs, int kRows, int kSteps>
struct DenseRows {
  using Stage = DenseStage<kRows, kSteps>;
  static constexpr int kSpan = kSteps * kStepInputs;

  const DenseProduct& p;
  int row0, rows, first;  // first: of the warp's outputs
  float sum[kOutputs][kRows];

  static __device__ int lane() { return threadIdx.x % 32; }

  __device__ void fill(Stage& to, int64_t begin) const {
    constexpr int kWords = kSpan / 4;  // of a row
    for (int i = threadIdx.x; i < rows * kWords; i += kDenseThreads) {
      const int row = i / kWords, word = i % kWords;
      const int64_t input = begin + word * 4;
      const bool there = input < p.k;
      const float* const from = p.x + (row0 + row) * p.x_stride + (there ? input : 0);
      copy_async(&to[row][word / 64][word % 2][word % 64 / 2], from, there);
    }
    commit_copies();
  }

  __device__ void multiply_step(const Stage& x, int step, int64_t begin) {
    const int64_t input = begin + step * kStepInputs + lane() * kDenseInputs;
    if (input >= p.k) return;
    float weight[kOutputs][kDenseInputs];
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
      const int64_t n = min(first + o, p.n - 1);  // the last one's sums, once more, are left by nobody
      load_whole(weight[o], static_cast<const T*>(p.w) + n * p.k + input);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      if (r >= rows) continue;
      float value[kDenseInputs];
      load_whole(value, &x[r][step][0][lane()], &x[r][step][1][lane()]);
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) {
#pragma unroll
        for (int j = 0; j < kDenseInputs; ++j) sum[o][r] = __fmaf_rn(weight[o][j], value[j], sum[o][r]);
      }
    }
  }

  __device__ void run(Stage (&stages)[2]) {
#pragma unroll
    for (int o = 0; o < kOutputs; ++o) {
#pragma unroll
      for (int r = 0; r < kRows; ++r) sum[o][r] = 0.0f;
    }
    fill(stages[0], 0);
    int at = 0;
    for (int64_t begin = 0; begin < p.k; begin += kSpan, at ^= 1) {
      wait_for_copies();
      __syncthreads();  // the stage is there, and nobody reads the other one any more
      if (begin + kSpan < p.k) fill(stages[at ^ 1], begin + kSpan);
#pragma unroll 1
      for (int step = 0; step < kSteps && first < p.n; ++step) multiply_step(stages[at], step, begin);
    }
    store();
  }

  // Lanes of kOutputs outputs of a row side by side.
  __device__ void store() const {
    constexpr int kTogether = 32 / kOutputs;  // rows
    float own[(kRows + kTogether - 1) / kTogether];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
#pragma unroll
      for (int o = 0; o < kOutputs; ++o) {
        const float all = warp_sum(sum[o][r]);
        if (lane() == r % kTogether * kOutputs + o) own[r / kTogether] = all;
      }
    }
    const int n = first + lane() % kOutputs;
    if (n >= p.n) return;
    const float factor = p.factor != nullptr ? __fmul_rn(p.scale, p.factor[n]) : p.scale;
    const int column = p.index != nullptr ? p.index[n] : n;
#pragma unroll
    for (int i = 0; i < (kRows + kTogether - 1) / kTogether; ++i) {
      const int row = i * kTogether + lane() / kOutputs;
      if (row >= rows) continue;
      float value = __fmul_rn(own[i], factor);
      if (p.bias != nullptr) value = __fadd_rn(value, p.bias[n]);
      float& to = p.y[(row0 + row) * p.y_stride + column];
      to = p.add != 0 ? __fadd_rn(to, value) : value;
    }
  }
};

// A block takes rows from kRows blockIdx.x and outputs from kDenseWarps kOutputs blockIdx.y on: blocks that
// run together have their weights in common.
template <class T, int kOutputs, int kRows, int kSteps>
__device__ void dense_rows(const DenseProduct& p, DenseStage<kRows, kSteps> (&stages)[2]) {
  const int row0 = blockIdx.x * kRows;
  const int first = (blockIdx.y * kDenseWarps + threadIdx.x / 32) * kOutputs;
  DenseRows<T, kOutputs, kRows, kSteps> block{p, row0, min(kRows, p.rows - row0), first, {}};
  block.run(stages);
}

}  // namespace lorikeet::cuda
