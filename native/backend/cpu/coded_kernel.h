// Coded weights (backend/interface/coded_weights.h) as float32, a block of 2 W outputs at a time. Every
// instruction set computes the same value: its operations are those of the definition, none of them fused.
#pragma once

#include <utility>

#include "backend/cpu/elements.h"
#include "backend/cpu/kernels.h"

namespace lorikeet::cpu {

template <class S>
struct IntegerCode {
  static typename S::F value(typename S::I code, const float*) { return S::to_float(code); }
};
template <class S>
struct TableCode {
  static typename S::F value(typename S::I code, const float* table) { return S::look_up(table, code); }
};
// A sign, and a magnitude whose fields begin where float32's do but for the exponent's bias.
template <class S, int kShift>
typename S::F narrow_float(typename S::I code, float factor) {
  const auto sign = S::shift_left(S::bits_of(code, 0x80), 24);
  const auto magnitude = S::shift_left(S::bits_of(code, 0x7f), kShift);
  return S::mul(S::as_float(S::either(sign, magnitude)), S::set1(factor));
}
template <class S>
struct E4M3Code {
  static typename S::F value(typename S::I code, const float*) { return narrow_float<S, 20>(code, 0x1p120f); }
};
template <class S>
struct E5M2Code {
  static typename S::F value(typename S::I code, const float*) { return narrow_float<S, 21>(code, 0x1p112f); }
};

template <class S>
struct CodedKernels {
  using F = typename S::F;
  using I = typename S::I;
  static constexpr int W = S::W;
  static constexpr int kWidth = 2 * W;

  template <class Code>
  static void decode(const DecodeCodes& p) {
    for (int64_t k = p.begin; k < p.end;) {
      const bool listed = p.group_of_input != nullptr;
      const int64_t group = listed ? p.group_of_input[k] : k / p.group;
      const int64_t group_end = listed ? k + 1 : (group + 1) * p.group;
      const int64_t end = group_end < p.end ? group_end : p.end;
      const Numbers numbers[2] = {numbers_of(p, group, 0), numbers_of(p, group, W)};
      while (k < end) {
        if (p.low_bits == 4 && p.high == nullptr && k % 8 == 0 && k + 8 <= end) {
          decode_words<Code>(p, k, numbers);
          k += 8;
        } else {
          for (int v = 0; v < 2; ++v) store<Code>(p, k, v, code_at(p, k, v), numbers[v]);
          ++k;
        }
      }
    }
  }

 private:
  struct Numbers {
    F scale, zero, offset;
  };

  static F load(const CodedNumbers& numbers, int64_t at) {
    switch (numbers.type) {
      case 0:
        return S::load(static_cast<const float*>(numbers.at) + at);
      case 1:
        return S::load(static_cast<const F16*>(numbers.at) + at);
      case 2:
        return S::load(static_cast<const BF16*>(numbers.at) + at);
      default:
        return S::load(static_cast<const I8*>(numbers.at) + at);
    }
  }

  static F load_scaled(const CodedNumbers& numbers, const CodedNumbers& factor, int64_t at,
                       int64_t factor_at) {
    const F own = load(numbers, at);
    return factor.at == nullptr ? own : S::mul(own, load(factor, factor_at));
  }

  static Numbers numbers_of(const DecodeCodes& p, int64_t group, int64_t first) {
    const int64_t at = group * kWidth + first;
    const int64_t factor_at = p.factor_groups == 0 ? 0 : group / p.factor_groups * kWidth + first;
    return {load_scaled(p.scale, p.scale_factor, at, factor_at),
            p.zeros == nullptr ? S::set1(p.zero) : S::to_float(S::load_codes(p.zeros + at)),
            p.offset.at == nullptr ? S::zero() : load_scaled(p.offset, p.offset_factor, at, factor_at)};
  }

  static I plane(const uint8_t* codes, int bits, int64_t k, int64_t first) {
    if (bits == 4) {
      const I words = S::load_words(codes + (k / 8 * kWidth + first) * 4);
      return S::bits_of(S::shift_right(words, shift_of_code(static_cast<int>(k % 8))), 15);
    }
    const int64_t bit = k * bits;
    const I bytes = S::load_codes(codes + bit / 8 * kWidth + first);
    return S::bits_of(S::shift_right(bytes, static_cast<int>(bit % 8)), (1 << bits) - 1);
  }

  static I code_at(const DecodeCodes& p, int64_t k, int v) {
    const I low = plane(p.low, p.low_bits, k, v * W);
    if (p.high == nullptr) return low;
    return S::either(low, S::shift_left(plane(p.high, p.high_bits, k, v * W), p.low_bits));
  }

  // Of the eight in a word.
  static constexpr int shift_of_code(int i) { return 8 * (i % 4) + 4 * (i / 4); }

  // Inputs [k, k + 8) of 4 bits: those of a word.
  template <class Code>
  static void decode_words(const DecodeCodes& p, int64_t k, const Numbers (&numbers)[2]) {
#pragma GCC unroll 2
    for (int v = 0; v < 2; ++v) {
      const I words = S::load_words(p.low + (k / 8 * kWidth + v * W) * 4);
      [&]<int... i>(std::integer_sequence<int, i...>) {
        (store<Code>(p, k + i, v, S::bits_of(S::template shift_right_by<shift_of_code(i)>(words), 15),
                     numbers[v]),
         ...);
      }
      (std::make_integer_sequence<int, 8>());
    }
  }

  template <class Code>
  static void store(const DecodeCodes& p, int64_t k, int v, I code, const Numbers& numbers) {
    F value = S::mul(S::sub(Code::value(code, p.table), numbers.zero), numbers.scale);
    if (p.offset.at != nullptr) value = S::add(value, numbers.offset);
    const int64_t row = p.place == nullptr ? k - p.begin : p.place[k];
    S::store(p.to + row * p.to_stride + v * W, value);
  }
};

}  // namespace lorikeet::cpu
