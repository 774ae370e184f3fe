// Matrix products over packed tiles (packed.h) and over adapters.
//
// Batch invariance: an output element is one chain of fused multiply-adds along k (a shrink: one chain per
// lane, lanes summed in a fixed tree). Blocking decides only which chains advance side by side.
#pragma once

#include "backend/cpu/kernels.h"

namespace lorikeet::cpu {

template <class S, class T>
struct LinearKernels {
  using F = typename S::F;
  static constexpr int W = S::W;
  static constexpr int kTile = kTileVectors * W;

  static void tile_product(const TileProduct& p) {
    // Even blocks (7 rows: 4 + 3) keep more chains in flight than full ones and a remainder.
    const int blocks = (p.rows + S::kRows - 1) / S::kRows;
    int row = 0;
    for (int block = blocks; block > 0; --block) {
      const int rows = (p.rows - row + block - 1) / block;
      if (p.groups == 2) {
        block_product<4>(p, row, rows);
      } else {
        block_product<2>(p, row, rows);
      }
      row += rows;
    }
  }

  static void shrink(const Shrink& p) {
    int row = 0;
    for (; row + S::kShrinkRows <= p.rows; row += S::kShrinkRows) shrink_rows<S::kShrinkRows>(p, row);
    for (; row < p.rows; ++row) shrink_rows<1>(p, row);
  }

  static void tile_row_norms(const TileRowNorms& p) {
    if (p.groups == 2) {
      row_norms<4>(p);
    } else {
      row_norms<2>(p);
    }
  }

 private:
  template <int NV>
  static void block_product(const TileProduct& p, int row, int rows) {
    switch (rows) {
      case 1:
        return product<1, NV>(p, row);
      case 2:
        return product<2, NV>(p, row);
      case 3:
        if constexpr (S::kRows >= 3) return product<3, NV>(p, row);
        break;
      case 4:
        if constexpr (S::kRows >= 4) return product<4, NV>(p, row);
        break;
      case 5:
        if constexpr (S::kRows >= 5) return product<5, NV>(p, row);
        break;
      case 6:
        if constexpr (S::kRows >= 6) return product<6, NV>(p, row);
        break;
      default:
        break;
    }
  }

  template <int MR, int NV>
  static void product(const TileProduct& p, int row) {
    F acc[MR][NV];
    float* const out = p.acc + row * kTile;
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[r][v] = p.accumulate ? S::load(out + r * kTile + v * W) : S::zero();
    }
    const T* w = static_cast<const T*>(p.weight);
    const float* const x = p.x + row * p.x_stride;
#pragma GCC unroll 2
    for (int64_t k = 0; k < p.k; ++k, w += NV * W) {
      F weight[NV];
#pragma GCC unroll 8
      for (int g = 0; g < NV / 2; ++g) S::load_pair(w + g * 2 * W, weight[2 * g], weight[2 * g + 1]);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
        const F value = S::set1(x[r * p.x_stride + k]);
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[r][v] = S::fma(value, weight[v], acc[r][v]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) S::store(out + r * kTile + v * W, acc[r][v]);
    }
  }

  template <int MR>
  static void shrink_rows(const Shrink& p, int row) {
    int rank = 0;
    for (; rank + 4 <= p.ranks; rank += 4) shrink_block<MR, 4>(p, row, rank);
    if (rank + 2 <= p.ranks) {
      shrink_block<MR, 2>(p, row, rank);
      rank += 2;
    }
    if (rank < p.ranks) shrink_block<MR, 1>(p, row, rank);
  }

  template <int MR, int NR>
  static void shrink_block(const Shrink& p, int row, int rank) {
    F acc[MR][NR];
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < NR; ++j) acc[r][j] = S::zero();
    }
    const T* const a = static_cast<const T*>(p.a) + rank * p.a_stride;
    const float* const x = p.x + row * p.x_stride;
    const int64_t whole = p.k / (2 * W) * (2 * W);
    for (int64_t k = 0; k < whole; k += 2 * W) {
      F low[NR], high[NR];
#pragma GCC unroll 8
      for (int j = 0; j < NR; ++j) S::load_pair(a + j * p.a_stride + k, low[j], high[j]);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
        advance<NR>(acc[r], S::load(x + r * p.x_stride + k), low);
        advance<NR>(acc[r], S::load(x + r * p.x_stride + k + W), high);
      }
    }
    if (whole < p.k) {
      F low[NR], high[NR];
#pragma GCC unroll 8
      for (int j = 0; j < NR; ++j) S::load_pair(a + j * p.a_stride + whole, low[j], high[j]);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
        const int left = static_cast<int>(p.k - whole);
        const float* const tail = x + r * p.x_stride + whole;
        advance<NR>(acc[r], left >= W ? S::load(tail) : S::load_partial(tail, left), low);
        if (left > W) advance<NR>(acc[r], S::load_partial(tail + W, left - W), high);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 8
      for (int j = 0; j < NR; ++j)
        p.s[(row + r) * p.s_stride + rank + j] = p.factor[rank + j] * S::sum(acc[r][j]);
    }
  }

  template <int NR>
  static void advance(F* acc, F x, const F* a) {
#pragma GCC unroll 8
    for (int j = 0; j < NR; ++j) acc[j] = S::fma(x, a[j], acc[j]);
  }

  template <int NV>
  static void row_norms(const TileRowNorms& p) {
    constexpr int64_t kBlock = 256;  // squares of so many k in float32 before they go into the double
    const T* w = static_cast<const T*>(p.weight);
    for (int64_t begin = 0; begin < p.k; begin += kBlock) {
      const int64_t end = begin + kBlock < p.k ? begin + kBlock : p.k;
      F sum[NV];
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) sum[v] = S::zero();
      for (int64_t k = begin; k < end; ++k, w += NV * W) {
        F value[NV];
#pragma GCC unroll 8
        for (int g = 0; g < NV / 2; ++g) S::load_pair(w + g * 2 * W, value[2 * g], value[2 * g + 1]);
        for (int r = 0; r < p.rank; ++r) {
          const F a = S::set1(p.a[k * p.rank + r]);
#pragma GCC unroll 8
          for (int v = 0; v < NV; ++v) value[v] = S::fma(a, S::load(p.b + r * kTile + v * W), value[v]);
        }
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) sum[v] = S::fma(value[v], value[v], sum[v]);
      }
      float lanes[NV * W];
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) S::store(lanes + v * W, sum[v]);
      for (int n = 0; n < NV * W; ++n) p.sums[n] += static_cast<double>(lanes[n]);
    }
  }
};

template <class S>
struct TileFinishKernel {
  using F = typename S::F;

  static void tile_finish(const TileFinish& p) {
    int n = 0;
    for (; n + S::W <= p.n; n += S::W) {
      const F value = finished(p, n);
      S::store(p.y + n, p.add ? S::add(S::load(p.y + n), value) : value);
    }
    if (n == p.n) return;
    const F value = finished(p, n);
    S::store_partial(p.y + n, p.add ? S::add(S::load_partial(p.y + n, p.n - n), value) : value, p.n - n);
  }

 private:
  static F finished(const TileFinish& p, int n) {
    F value = S::load(p.acc + n);
    if (p.lora_bias != nullptr) value = S::add(value, S::load(p.lora_bias + n));
    if (p.ratio != nullptr) value = S::mul(value, S::load(p.ratio + n));
    if (p.bias != nullptr) value = S::add(value, S::load(p.bias + n));
    return value;
  }
};

}  // namespace lorikeet::cpu
