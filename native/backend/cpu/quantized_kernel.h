// The products of quantized_kernels.h over one instruction set's dot product Q (dot_*.h); included by
// quantized_*.cc only.
//
// A block's weights are loaded and unpacked once for up to Q::kRows rows. Stored weights are unsigned (q +
// zero point): the dot product takes unsigned times signed bytes, and the sum starts at -zero_point * sum(x).
#pragma once

#include <array>
#include <cstring>

#include "backend/cpu/coded_product_kernel.h"
#include "backend/cpu/quantized_kernels.h"
#include "backend/shared/nf4.h"
#include "backend/shared/quantization.h"

namespace lorikeet::cpu {

// kNf4Integers plus the zero point.
constexpr std::array<uint8_t, 16> kNf4Unsigned = [] {
  std::array<uint8_t, 16> table{};
  for (size_t code = 0; code < table.size(); ++code) {
    table[code] = static_cast<uint8_t>(kNf4Integers[code] + zero_point(Quantization::nf4));
  }
  return table;
}();

template <class Q>
struct QuantizedProductKernels {
  using F = typename Q::F;
  using I = typename Q::I;
  using B = typename Q::B;
  static constexpr int W = Q::W;
  static constexpr int kQuads = 4 * W;  // bytes of a vector: four inputs of W outputs

  template <Quantization kKind>
  static constexpr int kRows = kKind == Quantization::int4 ? Q::kRowsInt4 : Q::kRows;

  template <Quantization kKind>
  static void product(const QuantizedProduct& p) {
    const int blocks = (p.rows + kRows<kKind> - 1) / kRows<kKind>;
    NextWeight next{p.next_weight, 0};
    if (blocks > 1 && next.at != nullptr) next.lines = (kGroupBytes<kKind> / 64 + blocks - 1) / blocks;
    int row = 0;
    for (int block = blocks; block > 0; --block) {
      const int rows = (p.rows - row + block - 1) / block;
      row_block<kKind>(p, next, row, rows);
      row += rows;
    }
  }

  static void quantize_row(const QuantizeRow& p) {
    float* scale = p.scale;
    int32_t* offset = p.offset;
    for (int64_t k = 0; k < p.k; k += kActivationGroup) {
      const int64_t left = p.k - k;
      const float* x = p.x + k;
      float padded[kActivationGroup];
      if (left < kActivationGroup) {
        std::memset(padded, 0, sizeof padded);
        std::memcpy(padded, x, static_cast<size_t>(left) * sizeof(float));
        x = padded;
      }
      const ActivationScale factors = activation_scale(Q::largest_magnitude(x, kActivationGroup));
      *scale++ = factors.scale;
      for (int i = 0; i < kActivationGroup && i < left; i += p.group) {
        int8_t* const q = p.q + k + i;
        int32_t sum = 0;
        if (factors.inverse == 0) {
          std::memset(q, 0, static_cast<size_t>(p.group));
        } else {
          sum = Q::quantize(q, x + i, factors.inverse, p.group);
        }
        *offset++ = -p.zero_point * sum;
      }
    }
  }

  static float quantize_vector(int8_t* q, const float* x, int n) {
    const int whole = n / W * W;
    float tail[W] = {};
    std::memcpy(tail, x + whole, static_cast<size_t>(n - whole) * sizeof(float));
    const uint32_t of_tail = Q::largest_magnitude(tail, W);
    const uint32_t of_whole = Q::largest_magnitude(x, whole);
    const ActivationScale factors = activation_scale(of_whole > of_tail ? of_whole : of_tail);
    if (factors.inverse == 0) {
      std::memset(q, 0, static_cast<size_t>(n));
    } else {
      Q::quantize(q, x, factors.inverse, whole);
      if (whole < n) Q::quantize(q + whole, tail, factors.inverse, W);
    }
    return factors.scale;
  }

 private:
  static constexpr int kScaleBytes = 2 * W * 2;
  template <Quantization kKind>
  static constexpr int kGroupBytes = kScaleBytes + stored_bits(kKind) * group_size(kKind) / 8 * (2 * W);

  template <Quantization kKind>
  static void row_block(const QuantizedProduct& p, NextWeight& next, int row, int rows) {
    switch (rows) {
      case 1:
        return block<kKind, 1>(p, next, row);
      case 2:
        return block<kKind, 2>(p, next, row);
      case 3:
        if constexpr (kRows<kKind> >= 3) return block<kKind, 3>(p, next, row);
        break;
      case 4:
        if constexpr (kRows<kKind> >= 4) return block<kKind, 4>(p, next, row);
        break;
      case 5:
        if constexpr (kRows<kKind> >= 5) return block<kKind, 5>(p, next, row);
        break;
      case 6:
        if constexpr (kRows<kKind> >= 6) return block<kKind, 6>(p, next, row);
        break;
      case 7:
        if constexpr (kRows<kKind> >= 7) return block<kKind, 7>(p, next, row);
        break;
      case 8:
        if constexpr (kRows<kKind> >= 8) return block<kKind, 8>(p, next, row);
        break;
      default:
        break;
    }
  }

  template <Quantization kKind, int MR>
  static void block(const QuantizedProduct& p, NextWeight& next, int row) {
    constexpr int kGroup = group_size(kKind);
    constexpr int kGroupsPerScale = kActivationGroup / kGroup;
    float* const out = p.acc + row * p.acc_stride;
    const int8_t* x = p.x + row * p.x_stride;
    const float* x_scale = p.x_scale + row * p.x_scale_stride;
    const int32_t* const x_offset = p.x_offset + row * p.group_stride;
    const uint8_t* w = p.weight;
    for (int64_t group = 0; group < p.groups; ++x_scale) {
      const int64_t end = group + kGroupsPerScale < p.groups ? group + kGroupsPerScale : p.groups;
      const bool first = group == 0 && !p.accumulate;
      F part[MR][2];
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) part[r][0] = part[r][1] = Q::zero();
      for (; group < end; ++group, x += kGroup, w += kGroupBytes<kKind>) {
        if constexpr (stored_bits(kKind) == 4 && MR > 2) {
          if (next.lines == 0) prefetch<kGroupBytes<kKind>>(w);
        }
        next.ask();
        p.ahead->ask();
        I sum[MR][2];
        const int32_t* const offset = x_offset + group;
        if constexpr (kKind == Quantization::int4) {
          group_int4<MR, kGroup>(sum, offset, p.group_stride, x, p.x_stride, w + kScaleBytes);
        } else {
#pragma GCC unroll 8
          for (int r = 0; r < MR; ++r) sum[r][0] = sum[r][1] = Q::start8(offset[r * p.group_stride]);
          if constexpr (kKind == Quantization::nf4) {
            group_nf4<MR, kGroup>(sum, x, p.x_stride, w + kScaleBytes);
          } else {
            group_int8<MR, kGroup>(sum, x, p.x_stride, w + kScaleBytes);
          }
        }
        const F low = Q::load_scales(w), high = Q::load_scales(w + 2 * W);
#pragma GCC unroll 8
        for (int r = 0; r < MR; ++r) {
          part[r][0] = Q::fma(Q::to_float(sum[r][0]), low, part[r][0]);
          part[r][1] = Q::fma(Q::to_float(sum[r][1]), high, part[r][1]);
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

  template <int MR, int kGroup>
  static void group_int8(I (&sum)[MR][2], const int8_t* x, int64_t x_stride, const uint8_t* w) {
#pragma GCC unroll 16
    for (int quad = 0; quad < kGroup / 4; ++quad) {
      quad8<MR>(sum, x + quad * 4, x_stride, Q::load(w + quad * 2 * kQuads),
                Q::load(w + quad * 2 * kQuads + kQuads));
    }
  }

  template <int MR, int kGroup>
  static void group_int4(I (&sum)[MR][2], const int32_t* offset, int64_t offset_stride, const int8_t* x,
                         int64_t x_stride, const uint8_t* w) {
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) sum[r][0] = sum[r][1] = Q::start4(offset[r * offset_stride]);
#pragma GCC unroll 8
    for (int pair = 0; pair < kGroup / 8; ++pair) {
      const B low = Q::load(w + pair * 2 * kQuads), high = Q::load(w + pair * 2 * kQuads + kQuads);
      quad4<MR>(sum, x + pair * 8, x_stride, Q::low_nibbles(low), Q::low_nibbles(high));
      quad4<MR>(sum, x + pair * 8 + 4, x_stride, Q::high_nibbles(low), Q::high_nibbles(high));
    }
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 2
      for (int v = 0; v < 2; ++v) sum[r][v] = Q::finish4(sum[r][v], offset[r * offset_stride]);
    }
  }

  // As int4, but the codes stand for the integers of a table.
  template <int MR, int kGroup>
  static void group_nf4(I (&sum)[MR][2], const int8_t* x, int64_t x_stride, const uint8_t* w) {
    const B table = Q::load_table(kNf4Unsigned.data());
#pragma GCC unroll 8
    for (int pair = 0; pair < kGroup / 8; ++pair) {
      const B low = Q::load(w + pair * 2 * kQuads), high = Q::load(w + pair * 2 * kQuads + kQuads);
      quad8<MR>(sum, x + pair * 8, x_stride, Q::look_up(table, Q::low_nibbles(low)),
                Q::look_up(table, Q::low_nibbles(high)));
      quad8<MR>(sum, x + pair * 8 + 4, x_stride, Q::look_up(table, Q::high_nibbles(low)),
                Q::look_up(table, Q::high_nibbles(high)));
    }
  }

  template <int MR>
  static void quad8(I (&sum)[MR][2], const int8_t* x, int64_t x_stride, B low_bytes, B high_bytes) {
    const auto low = Q::weights8(low_bytes), high = Q::weights8(high_bytes);
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      const B value = Q::load_quad(x + r * x_stride);
      sum[r][0] = Q::dot8(sum[r][0], low, value);
      sum[r][1] = Q::dot8(sum[r][1], high, value);
    }
  }

  template <int MR>
  static void quad4(I (&sum)[MR][2], const int8_t* x, int64_t x_stride, B low, B high) {
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
      const B value = Q::load_quad(x + r * x_stride);
      sum[r][0] = Q::dot4(sum[r][0], low, value);
      sum[r][1] = Q::dot4(sum[r][1], high, value);
    }
  }

  // Measured on Zen 4, int4: three rows and more take so long over a group that the hardware's own prefetch
  // falls asleep (16 rows 13 % slower); at one or two rows, and in int8, ours only competes with it.
  template <int kBytes>
  static void prefetch(const uint8_t* w) {
    constexpr int kAhead = 4096;
#pragma GCC unroll 16
    for (int offset = 0; offset < kBytes; offset += 64) __builtin_prefetch(w + kAhead + offset);
  }
};

template <class Q>
constexpr QuantizedKernels make_quantized_kernels() {
  using Kernels = QuantizedProductKernels<Q>;
  return QuantizedKernels{.lanes = Q::W,
                          .rows = Q::kRows,
                          .product8 = Kernels::template product<Quantization::int8>,
                          .product4 = Kernels::template product<Quantization::int4>,
                          .product_nf4 = Kernels::template product<Quantization::nf4>,
                          .product_coded = CodedProductKernels<Q>::product,
                          .quantize_row = Kernels::quantize_row,
                          .quantize_ordered_row = CodedProductKernels<Q>::quantize_ordered_row,
                          .quantize_vector = Kernels::quantize_vector};
}

}  // namespace lorikeet::cpu
