// The product in integers of weights in a checkpoint's own codes of four bits, and the activations that it
// takes (backend/shared/coded_integers.h), over one instruction set's dot product Q (dot_*.h); included by
// quantized_*.cc only.
//
// A step's weights are loaded and unpacked once for up to Q::kRowsInt4 rows. A run's sum starts at -zero * X
// where its groups share the zero. Otherwise zero times X is taken from it as a float, exactly: both are
// below 2^24.
#pragma once

#include <cstring>

#include "backend/cpu/quantized_kernels.h"
#include "backend/shared/coded_integers.h"
#include "backend/shared/quantization.h"

namespace lorikeet::cpu {

template <class Q>
struct CodedProductKernels {
  using F = typename Q::F;
  using I = typename Q::I;
  using B = typename Q::B;
  static constexpr int W = Q::W;
  static constexpr int kQuads = 4 * W;  // bytes of a vector: four inputs of W outputs, twice
  static constexpr int kRows = Q::kRowsInt4;
  static constexpr int64_t kStepBytes = kCodedStep / 8 * 2 * kQuads;

  static void product(const CodedProduct& p) {
    if (p.offset.at != nullptr) {
      rows_of<Shift::offsets>(p);
    } else if (p.zeros != nullptr) {
      rows_of<Shift::zeros>(p);
    } else {
      rows_of<Shift::none>(p);
    }
  }

  static void quantize_ordered_row(const QuantizeOrderedRow& p) {
    int8_t* q = p.q;
    float* scale = p.scale;
    int32_t* sum = p.sum;
    *sum = 0;
    for (int64_t begin = 0; begin < p.k; begin += kActivationGroup) {
      const int64_t count = p.k - begin < kActivationGroup ? p.k - begin : kActivationGroup;
      const float* x = p.x + begin;
      float ordered[kActivationGroup];
      if (p.order != nullptr || count < kActivationGroup) {
        for (int64_t i = 0; i < count; ++i) ordered[i] = p.order == nullptr ? x[i] : p.x[p.order[begin + i]];
        for (int64_t i = count; i < kActivationGroup; ++i) ordered[i] = 0;
        x = ordered;
      }
      const ActivationScale factors = activation_scale(Q::largest_magnitude(x, kActivationGroup));
      *scale++ = factors.scale;
      for (int64_t i = 0; i < count; i += kCodedStep, q += kCodedStep, ++sum) {
        int32_t own = 0;
        if (factors.inverse == 0) {
          std::memset(q, 0, kCodedStep);
        } else {
          own = Q::quantize(q, x + i, factors.inverse, kCodedStep);
        }
        sum[1] = sum[0] + own;
      }
    }
  }

 private:
  // What is added to the sum of code times activation, beside a zero that all groups share.
  enum class Shift { none, zeros, offsets };

  template <Shift kShift>
  static void rows_of(const CodedProduct& p) {
    const int blocks = (p.rows + kRows - 1) / kRows;
    NextWeight next{p.next_weight, 0};
    if (blocks > 1 && next.at != nullptr)
      next.lines = static_cast<int>((kStepBytes / 64 + blocks - 1) / blocks);
    int row = 0;
    for (int block = blocks; block > 0; --block) {
      const int rows = (p.rows - row + block - 1) / block;
      row_block<kShift>(p, next, row, rows);
      row += rows;
    }
  }

  template <Shift kShift>
  static void row_block(const CodedProduct& p, NextWeight& next, int row, int rows) {
    switch (rows) {
      case 1:
        return block<kShift, 1>(p, next, row);
      case 2:
        return block<kShift, 2>(p, next, row);
      case 3:
        if constexpr (kRows >= 3) return block<kShift, 3>(p, next, row);
        break;
      case 4:
        if constexpr (kRows >= 4) return block<kShift, 4>(p, next, row);
        break;
      case 5:
        if constexpr (kRows >= 5) return block<kShift, 5>(p, next, row);
        break;
      case 6:
        if constexpr (kRows >= 6) return block<kShift, 6>(p, next, row);
        break;
      case 7:
        if constexpr (kRows >= 7) return block<kShift, 7>(p, next, row);
        break;
      case 8:
        if constexpr (kRows >= 8) return block<kShift, 8>(p, next, row);
        break;
      default:
        break;
    }
  }

  template <Shift kShift, int MR>
  static void block(const CodedProduct& p, NextWeight& next, int row) {
    float* const out = p.acc + row * p.acc_stride;
    const int8_t* const x = p.x + row * p.x_stride;
    const float* x_scale = p.x_scale + row * p.x_scale_stride + p.begin / kActivationGroup;
    const int32_t* const x_sum = p.x_sum + row * p.x_sum_stride;
    int64_t group = p.begin / p.group;
    int64_t group_end = (group + 1) * p.group;
    for (int64_t k = p.begin; k < p.end; ++x_scale) {
      const int64_t end = k + kActivationGroup < p.end ? k + kActivationGroup : p.end;
      const bool first = k == 0;
      F part[MR][2];
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) part[r][0] = part[r][1] = Q::zero();
      while (k < end) {
        const int64_t run_end = group_end < end ? group_end : end;
        int32_t x_total[MR];
#pragma GCC unroll 8
        for (int r = 0; r < MR; ++r) {
          const int32_t* const sums = x_sum + r * p.x_sum_stride;
          x_total[r] = sums[run_end / kCodedStep] - sums[k / kCodedStep];
        }
        I sum[MR][2];
#pragma GCC unroll 8
        for (int r = 0; r < MR; ++r) sum[r][0] = sum[r][1] = Q::set1(-p.zero * x_total[r]);
        for (; k < run_end; k += kCodedStep) {
          const uint8_t* const w = p.codes + k / kCodedStep * kStepBytes;
          if (MR > 2 && next.lines == 0) prefetch(w);
          next.ask();
          p.ahead->ask();
          add_step<MR>(sum, x + k, p.x_stride, w);
        }
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) finish_run<kShift, MR>(part, sum, x_total, p, group, v);
        if (k == group_end) {
          ++group;
          group_end += p.group;
        }
      }
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
        const F scale = Q::set1(x_scale[r * p.x_scale_stride]);
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) {
          float* const to = out + r * p.acc_stride + v * W;
          Q::store(to, Q::fma(part[r][v], scale, first ? Q::zero() : Q::load(to)));
        }
      }
    }
  }

  // Outputs [v * W, (v + 1) * W) of a run's sums, with their group's numbers.
  template <Shift kShift, int MR>
  static void finish_run(F (&part)[MR][2], const I (&sum)[MR][2], const int32_t (&x_total)[MR],
                         const CodedProduct& p, int64_t group, int v) {
    const int64_t at = group * 2 * W + v * W;
    const F scale = load(p.scale, at);
    if constexpr (kShift == Shift::zeros) {
      const F zero = Q::load_bytes(p.zeros + at);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
        const F shift = Q::set1(static_cast<float>(-x_total[r]));
        part[r][v] = Q::fma(Q::fma(zero, shift, Q::to_float(sum[r][v])), scale, part[r][v]);
      }
    } else {
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) part[r][v] = Q::fma(Q::to_float(sum[r][v]), scale, part[r][v]);
    }
    if constexpr (kShift == Shift::offsets) {
      const F offset = load(p.offset, at);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r)
        part[r][v] = Q::fma(Q::set1(static_cast<float>(x_total[r])), offset, part[r][v]);
    }
  }

  template <int MR>
  static void add_step(I (&sum)[MR][2], const int8_t* x, int64_t x_stride, const uint8_t* w) {
    if constexpr (Q::kWideSums) {
      add_pairs<MR>(sum, x, x_stride, w);
    } else {
      I narrow[MR][2];
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) narrow[r][0] = narrow[r][1] = Q::start4(0);
      add_pairs<MR>(narrow, x, x_stride, w);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 2
        for (int v = 0; v < 2; ++v) sum[r][v] = Q::plus(sum[r][v], Q::finish4(narrow[r][v], 0));
      }
    }
  }

  template <int MR>
  static void add_pairs(I (&sum)[MR][2], const int8_t* x, int64_t x_stride, const uint8_t* w) {
#pragma GCC unroll 8
    for (int pair = 0; pair < kCodedStep / 8; ++pair) {
      const B low = Q::load(w + pair * 2 * kQuads), high = Q::load(w + pair * 2 * kQuads + kQuads);
      add_quad<MR>(sum, x + pair * 8, x_stride, Q::low_nibbles(low), Q::low_nibbles(high));
      add_quad<MR>(sum, x + pair * 8 + 4, x_stride, Q::high_nibbles(low), Q::high_nibbles(high));
    }
  }

  template <int MR>
  static void add_quad(I (&sum)[MR][2], const int8_t* x, int64_t x_stride, B low, B high) {
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      const B value = Q::load_quad(x + r * x_stride);
      sum[r][0] = Q::dot4(sum[r][0], low, value);
      sum[r][1] = Q::dot4(sum[r][1], high, value);
    }
  }

  static F load(const CodedNumbers& numbers, int64_t at) {
    if (numbers.type == 0) return Q::load(static_cast<const float*>(numbers.at) + at);
    const auto* const halves = static_cast<const uint8_t*>(numbers.at) + 2 * at;
    return numbers.type == 1 ? Q::load_f16(halves) : Q::load_scales(halves);
  }

  // As far ahead as the product with int4 looks (quantized_kernel.h).
  static void prefetch(const uint8_t* w) {
    constexpr int64_t kAhead = 4096;
#pragma GCC unroll 16
    for (int64_t offset = 0; offset < kStepBytes; offset += 64) __builtin_prefetch(w + kAhead + offset);
  }
};

}  // namespace lorikeet::cpu
