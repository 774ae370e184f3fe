// AVX2 with FMA and F16C as the kernels see it; simd_avx512.h says what the names mean.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "backend/cpu/elements.h"

namespace lorikeet::cpu {

struct Avx2 {
  using F = __m256;
  static constexpr int W = 8;
  static constexpr int kRows =
      2;  // 2 x 4 accumulators, 4 weights, a mask and an activation: 14 of 16 registers
  static constexpr int kShrinkRows = 2;
  static constexpr int kHeads = 8;

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F round(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static F pow2(F n) {
    return _mm256_castsi256_ps(
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23));
  }
  static F zero_below(F value, F x, F limit) {
    return _mm256_and_ps(_mm256_cmp_ps(x, limit, _CMP_NLT_UQ), value);
  }
  static float sum(F a) {
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
  }
  static float max_lane(F a) {
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps(two, two, 1)));
  }

  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load(const F16* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F load(const BF16* p) { return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
  static F load(const I8* p) { return widen_bytes(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))); }
  static F load_partial(const float* p, int n) { return _mm256_maskload_ps(p, mask(n)); }
  static F load_partial(const F16* p, int n) { return _mm256_cvtph_ps(load_halves(p, n)); }
  static F load_partial(const BF16* p, int n) { return widen(load_halves(p, n)); }
  static F load_partial(const I8* p, int n) {
    int8_t bytes[W] = {};
    std::memcpy(bytes, p, static_cast<size_t>(n));
    return widen_bytes(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes)));
  }

  static void store(float* p, F a) { _mm256_storeu_ps(p, a); }
  static void store(F16* p, F a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_f16(a)); }
  static void store(BF16* p, F a) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), to_bf16(a)); }
  static void store_partial(float* p, F a, int n) { _mm256_maskstore_ps(p, mask(n), a); }
  static void store_partial(F16* p, F a, int n) { store_halves(p, to_f16(a), n); }
  static void store_partial(BF16* p, F a, int n) { store_halves(p, to_bf16(a), n); }

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
    const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    low = _mm256_castsi256_ps(_mm256_slli_epi32(words, 16));
    high = _mm256_castsi256_ps(_mm256_and_si256(words, _mm256_set1_epi32(static_cast<int>(0xffff0000u))));
  }

  using I = __m256i;
  static I load_codes(const uint8_t* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }
  static I load_words(const uint8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  template <int kCount>
  static I shift_right_by(I a) {
    return _mm256_srli_epi32(a, kCount);
  }
  static I shift_left(I a, int n) { return _mm256_sll_epi32(a, _mm_cvtsi32_si128(n)); }
  static I shift_right(I a, int n) { return _mm256_srl_epi32(a, _mm_cvtsi32_si128(n)); }
  static I bits_of(I a, int32_t mask) { return _mm256_and_si256(a, _mm256_set1_epi32(mask)); }
  static I either(I a, I b) { return _mm256_or_si256(a, b); }
  static F to_float(I a) { return _mm256_cvtepi32_ps(a); }
  static F as_float(I a) { return _mm256_castsi256_ps(a); }
  // The permutation looks at three bits of an index; the fourth chooses between its two halves.
  static F look_up(const float* table, I index) {
    const F low = _mm256_permutevar8x32_ps(load(table), index);
    const F high = _mm256_permutevar8x32_ps(load(table + W), index);
    return _mm256_blendv_ps(low, high, _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
  }
  static void prefetch(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }

 private:
  static __m256i mask(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static __m128i load_halves(const void* p, int n) {
    alignas(16) uint16_t halves[W] = {};
    std::memcpy(halves, p, static_cast<size_t>(n) * 2);
    return _mm_load_si128(reinterpret_cast<const __m128i*>(halves));
  }
  static void store_halves(void* p, __m128i a, int n) {
    alignas(16) uint16_t halves[W];
    _mm_store_si128(reinterpret_cast<__m128i*>(halves), a);
    std::memcpy(p, halves, static_cast<size_t>(n) * 2);
  }
  static F widen(__m128i halves) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
  }
  static F widen_bytes(__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)); }
  static __m128i to_f16(F a) { return _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  static __m128i to_bf16(F a) {
    const __m256i bits = _mm256_castps_si256(a);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256 nan = _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
    const __m256i result = _mm256_srli_epi32(
        _mm256_castps_si256(_mm256_blendv_ps(_mm256_castsi256_ps(rounded), _mm256_castsi256_ps(quiet), nan)),
        16);
    return _mm_packus_epi32(_mm256_castsi256_si128(result), _mm256_extracti128_si256(result, 1));
  }
};

}  // namespace lorikeet::cpu
