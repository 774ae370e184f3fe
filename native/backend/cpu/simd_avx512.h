// AVX-512 (F, BW, VL, DQ) as the kernels see it. The same names as simd_avx2.h and simd_portable.h; a kernel
// is a template over one of the three, so code of different instruction sets never shares a symbol.
#pragma once

// GCC 12's own AVX-512 header initialises "undefined" vectors with themselves and then warns about it (GCC
// bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif

#include <immintrin.h>

#include <cstdint>

#include "backend/cpu/elements.h"

namespace lorikeet::cpu {

struct Avx512 {
  using F = __m512;
  static constexpr int W = 16;     // float32 lanes
  static constexpr int kRows = 6;  // rows x tile of a product: 6 x 4 accumulators, 4 weights, 1 activation
  static constexpr int kShrinkRows = 4;  // rows x ranks of a shrink: 4 x 4 accumulators
  static constexpr int kHeads = 8;       // queries that share a key vector

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }  // a b + c
  // Both return b when either is NaN.
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F round(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // 2^n for integral n in [-126, 128]; 128 gives infinity.
  static F pow2(F n) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23));
  }
  // value, or 0 where x < limit.
  static F zero_below(F value, F x, F limit) {
    return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, limit, _CMP_NLT_UQ), value);
  }
  static float sum(F a) { return _mm512_reduce_add_ps(a); }
  static float max_lane(F a) { return _mm512_reduce_max_ps(a); }

  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static F load(const F16* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F load(const BF16* p) { return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
  static F load(const I8* p) { return widen_bytes(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  // The first n lanes, 0 < n < W; the others are 0 and their memory is not touched.
  static F load_partial(const float* p, int n) { return _mm512_maskz_loadu_ps(mask(n), p); }
  static F load_partial(const F16* p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask(n), p)); }
  static F load_partial(const BF16* p, int n) { return widen(_mm256_maskz_loadu_epi16(mask(n), p)); }
  static F load_partial(const I8* p, int n) { return widen_bytes(_mm_maskz_loadu_epi8(mask(n), p)); }

  static void store(float* p, F a) { _mm512_storeu_ps(p, a); }
  static void store(F16* p, F a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_f16(a)); }
  static void store(BF16* p, F a) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), to_bf16(a)); }
  static void store_partial(float* p, F a, int n) { _mm512_mask_storeu_ps(p, mask(n), a); }
  static void store_partial(F16* p, F a, int n) { _mm256_mask_storeu_epi16(p, mask(n), to_f16(a)); }
  static void store_partial(BF16* p, F a, int n) { _mm256_mask_storeu_epi16(p, mask(n), to_bf16(a)); }

  // A packed group of 2 W values (packed.h) as two vectors.
  static void load_pair(const float* p, F& low, F& high) {
    low = load(p);
    high = load(p + W);
  }
  static void load_pair(const F16* p, F& low, F& high) {
    low = load(p);
    high = load(p + W);
  }
  static void load_pair(const I8* p, F& low, F& high) {
    low = load(p);
    high = load(p + W);
  }
  static void load_pair(const BF16* p, F& low, F& high) {
    const __m512i words = _mm512_loadu_si512(p);
    low = _mm512_castsi512_ps(_mm512_slli_epi32(words, 16));
    high = _mm512_castsi512_ps(_mm512_and_si512(words, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }

  // Codes of W outputs as integers.
  using I = __m512i;
  static I load_codes(const uint8_t* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static I load_words(const uint8_t* p) { return _mm512_loadu_si512(p); }
  template <int kCount>
  static I shift_right_by(I a) {
    return _mm512_srli_epi32(a, kCount);
  }
  static I shift_left(I a, int n) { return _mm512_sll_epi32(a, _mm_cvtsi32_si128(n)); }
  static I shift_right(I a, int n) { return _mm512_srl_epi32(a, _mm_cvtsi32_si128(n)); }
  static I bits_of(I a, int32_t mask) { return _mm512_and_si512(a, _mm512_set1_epi32(mask)); }
  static I either(I a, I b) { return _mm512_or_si512(a, b); }
  static F to_float(I a) { return _mm512_cvtepi32_ps(a); }
  static F as_float(I a) { return _mm512_castsi512_ps(a); }
  // table [16]
  static F look_up(const float* table, I index) {
    return _mm512_permutexvar_ps(index, _mm512_loadu_ps(table));
  }
  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

 private:
  static __mmask16 mask(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static F widen(__m256i halves) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
  }
  static F widen_bytes(__m128i bytes) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes)); }
  static __m256i to_f16(F a) { return _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // Round to nearest even; NaN stays NaN.
  static __m256i to_bf16(F a) {
    const __m512i bits = _mm512_castps_si512(a);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16));
  }
};

}  // namespace lorikeet::cpu
