// Dot products of bytes with AVX-512 BW, and with VNNI where the including file may use it. The two are
// compiled under different flags and must not share a symbol.
#pragma once

// GCC 12's own AVX-512 header initialises "undefined" vectors with themselves and then warns about it (GCC
// bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>

#include <cstdint>
#include <cstring>

namespace lorikeet::cpu {

// The template argument only keeps the two users' symbols apart.
template <class Tag>
struct Dot512 {
  using F = __m512;
  using I = __m512i;
  using B = __m512i;
  static constexpr int W = 16;
  static constexpr int kRows = 6;      // x 2: 12 integer and 12 float sums, 4 weights, 1 activation
  static constexpr int kRowsInt4 = 8;  // float sums in the first-level cache cost less than more unpacking

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static I set1(int32_t x) { return _mm512_set1_epi32(x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }  // a b + c
  static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F a) { _mm512_storeu_ps(p, a); }
  static B load(const uint8_t* p) { return _mm512_loadu_si512(p); }
  static B load_quad(const int8_t* p) {
    int32_t word;
    std::memcpy(&word, p, 4);
    return _mm512_set1_epi32(word);
  }
  static B low_nibbles(B a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }
  static B high_nibbles(B a) { return _mm512_and_si512(_mm512_srli_epi16(a, 4), _mm512_set1_epi8(15)); }
  // The same sixteen bytes in each 16-byte lane, so that a shuffle inside lanes looks them up.
  static B load_table(const uint8_t* p) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static B look_up(B table, B index) { return _mm512_shuffle_epi8(table, index); }
  // What dot8 takes for weights: unsigned bytes here.
  using W8 = B;
  static W8 weights8(B w) { return w; }
  // Sums of a group start at `offset`, -zero point times the sum of x, or get it at their end.
  static I start8(int32_t offset) { return set1(offset); }
  static I start4(int32_t offset) { return set1(offset); }
  static I finish4(I sum, int32_t) { return sum; }
  static constexpr bool kWideSums = true;  // dot4 adds in 32 bits
  static I plus(I a, I b) { return _mm512_add_epi32(a, b); }
  static F load_f16(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  static F load_bytes(const uint8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static F load_scales(const uint8_t* p) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }

  static uint32_t largest_magnitude(const float* x, int count) {
    __m512i largest = _mm512_setzero_si512();
    for (int i = 0; i < count; i += W) {
      largest = _mm512_max_epu32(largest,
                                 _mm512_and_si512(_mm512_loadu_si512(x + i), _mm512_set1_epi32(0x7fffffff)));
    }
    return _mm512_reduce_max_epu32(largest);
  }
  // Returns the sum of q.
  static int32_t quantize(int8_t* q, const float* x, float inverse, int count) {
    __m512i sum = _mm512_setzero_si512();
    for (int i = 0; i < count; i += W) {
      const __m512i value =
          _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(x + i), _mm512_set1_ps(inverse)));
      sum = _mm512_add_epi32(sum, value);
      _mm_storeu_si128(reinterpret_cast<__m128i*>(q + i), _mm512_cvtepi32_epi8(value));
    }
    return _mm512_reduce_add_epi32(sum);
  }
};

struct DotAvx512 : Dot512<struct Avx512Tag> {
  // Unsigned times signed bytes: even and odd bytes as 16-bit numbers, whose products nothing saturates.
  static I dot8(I sum, B w, B x) {
    const __m512i even = _mm512_madd_epi16(_mm512_and_si512(w, _mm512_set1_epi16(255)),
                                           _mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8));
    const __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(w, 8), _mm512_srai_epi16(x, 8));
    return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
  }
  // w < 16: pairs of products fit 16 bits.
  static I dot4(I sum, B w, B x) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(w, x), _mm512_set1_epi16(1)));
  }
};

#if defined(__AVX512VNNI__)
struct DotAvx512Vnni : Dot512<struct Avx512VnniTag> {
  static I dot8(I sum, B w, B x) { return _mm512_dpbusd_epi32(sum, w, x); }
  static I dot4(I sum, B w, B x) { return _mm512_dpbusd_epi32(sum, w, x); }
};
#endif

}  // namespace lorikeet::cpu
