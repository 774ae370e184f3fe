// Dot products of bytes with AVX2. The same names as dot_avx512.h and dot_portable.h.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "backend/shared/quantization.h"

namespace lorikeet::cpu {

struct DotAvx2 {
  using F = __m256;
  using I = __m256i;
  using B = __m256i;
  static constexpr int W = 8;
  static constexpr int kRows = 4;
  static constexpr int kRowsInt4 = kRows;

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static I set1(int32_t x) { return _mm256_set1_epi32(x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }  // a b + c
  static F to_float(I a) { return _mm256_cvtepi32_ps(a); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F a) { _mm256_storeu_ps(p, a); }
  static B load(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static B load_quad(const int8_t* p) {
    int32_t word;
    std::memcpy(&word, p, 4);
    return _mm256_set1_epi32(word);
  }
  static B low_nibbles(B a) { return _mm256_and_si256(a, _mm256_set1_epi8(15)); }
  static B high_nibbles(B a) { return _mm256_and_si256(_mm256_srli_epi16(a, 4), _mm256_set1_epi8(15)); }
  // The same sixteen bytes in each 16-byte lane, so that a shuffle inside lanes looks them up.
  static B load_table(const uint8_t* p) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static B look_up(B table, B index) { return _mm256_shuffle_epi8(table, index); }
  static constexpr bool kWideSums = false;  // dot4 adds in 16 bits, for as long as a group of int4
  static I plus(I a, I b) { return _mm256_add_epi32(a, b); }
  static F load_f16(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static F load_bytes(const uint8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static F load_scales(const uint8_t* p) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }

  // maddubs adds two products of an unsigned and a signed byte in 16 bits, saturating: 255 * 127 * 2 would
  // not fit, |w| <= 127 does. So weights of eight bits lose their zero point again, and sums theirs.
  struct W8 {
    B magnitude;
    B sign;
  };
  static W8 weights8(B w) {
    const B q = _mm256_xor_si256(w, _mm256_set1_epi8(static_cast<char>(0x80)));
    return {_mm256_abs_epi8(q), q};
  }
  static I start8(int32_t) { return _mm256_setzero_si256(); }
  static I dot8(I sum, W8 w, B x) {
    const __m256i pairs = _mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(x, w.sign));
    sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
    return chained(sum);
  }
  // w < 16: a whole group's pairs of products add up in 16 bits.
  static_assert(group_size(Quantization::int4) / 4 * 2 * 15 * 127 <= INT16_MAX);
  static I start4(int32_t) { return _mm256_setzero_si256(); }
  static I dot4(I sum, B w, B x) {
    sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w, x));
    return chained(sum);
  }
  static I finish4(I sum, int32_t offset) {
    return _mm256_add_epi32(_mm256_madd_epi16(sum, _mm256_set1_epi16(1)), set1(offset));
  }

  // GCC would turn a chain of integer additions into a tree, for which a product's sums lack the registers.
  static I chained(I sum) {
    asm("" : "+x"(sum));
    return sum;
  }

  static uint32_t largest_magnitude(const float* x, int count) {
    __m256i largest = _mm256_setzero_si256();
    for (int i = 0; i < count; i += W) {
      const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      largest = _mm256_max_epu32(largest, _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff)));
    }
    __m128i half = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_max_epu32(half, _mm_shuffle_epi32(half, 0xb1));
    return static_cast<uint32_t>(_mm_cvtsi128_si32(half));
  }
  // Returns the sum of q.
  static int32_t quantize(int8_t* q, const float* x, float inverse, int count) {
    __m256i sum = _mm256_setzero_si256();
    for (int i = 0; i < count; i += W) {
      const __m256i value =
          _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(inverse)));
      sum = _mm256_add_epi32(sum, value);
      const __m128i halves =
          _mm_packs_epi32(_mm256_castsi256_si128(value), _mm256_extracti128_si256(value, 1));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(q + i), _mm_packs_epi16(halves, halves));
    }
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
    return _mm_cvtsi128_si32(half);
  }
};

}  // namespace lorikeet::cpu
