// Four lanes in plain C++ with the compiler's vector extension; simd_avx512.h says what the names mean. fma
// rounds twice here: the instruction set is part of what fixes a result's bits.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "backend/cpu/elements.h"
#include "backend/shared/dtype.h"

namespace lorikeet::cpu {

struct Portable {
  typedef float F __attribute__((vector_size(16)));
  static constexpr int W = 4;
  static constexpr int kRows = 2;
  static constexpr int kShrinkRows = 2;
  static constexpr int kHeads = 4;

  static F zero() { return F{}; }
  static F set1(float x) { return F{x, x, x, x}; }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F div(F a, F b) { return a / b; }
  static F fma(F a, F b, F c) { return a * b + c; }
  static F min(F a, F b) { return a < b ? a : b; }
  static F max(F a, F b) { return a > b ? a : b; }
  static F round(F a) {
    return F{std::nearbyint(a[0]), std::nearbyint(a[1]), std::nearbyint(a[2]), std::nearbyint(a[3])};
  }
  static F pow2(F n) {
    F result;
    for (int i = 0; i < W; ++i) result[i] = pow2_lane(n[i]);
    return result;
  }
  static F zero_below(F value, F x, F limit) { return x < limit ? F{} : value; }
  static float sum(F a) { return (a[0] + a[2]) + (a[1] + a[3]); }
  static float max_lane(F a) {
    float result = a[0];
    for (int i = 1; i < W; ++i) result = result > a[i] ? result : a[i];
    return result;
  }

  static F load(const float* p) {
    F a;
    std::memcpy(&a, p, sizeof(a));
    return a;
  }
  static F load(const F16* p) {
    return F{f16_to_f32(p[0].bits), f16_to_f32(p[1].bits), f16_to_f32(p[2].bits), f16_to_f32(p[3].bits)};
  }
  static F load(const BF16* p) {
    return F{bf16_to_f32(p[0].bits), bf16_to_f32(p[1].bits), bf16_to_f32(p[2].bits), bf16_to_f32(p[3].bits)};
  }
  static F load(const I8* p) {
    return F{static_cast<float>(p[0].bits), static_cast<float>(p[1].bits), static_cast<float>(p[2].bits),
             static_cast<float>(p[3].bits)};
  }
  template <class T>
  static F load_partial(const T* p, int n) {
    T lanes[W] = {};
    std::memcpy(lanes, p, static_cast<size_t>(n) * sizeof(T));
    return load(lanes);
  }
  static void store(float* p, F a) { std::memcpy(p, &a, sizeof(a)); }
  static void store(F16* p, F a) {
    for (int i = 0; i < W; ++i) p[i].bits = f32_to_f16(a[i]);
  }
  static void store(BF16* p, F a) {
    for (int i = 0; i < W; ++i) p[i].bits = f32_to_bf16(a[i]);
  }
  template <class T>
  static void store_partial(T* p, F a, int n) {
    T lanes[W];
    store(lanes, a);
    std::memcpy(p, lanes, static_cast<size_t>(n) * sizeof(T));
  }

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
    typedef uint32_t U __attribute__((vector_size(16)));
    U words;
    std::memcpy(&words, p, sizeof(words));
    const U shifted = words << 16;
    const U masked = words & 0xffff0000u;
    std::memcpy(&low, &shifted, sizeof(low));
    std::memcpy(&high, &masked, sizeof(high));
  }

  typedef int32_t I __attribute__((vector_size(16)));
  static I load_codes(const uint8_t* p) { return I{p[0], p[1], p[2], p[3]}; }
  static I load_words(const uint8_t* p) {
    I words;
    std::memcpy(&words, p, sizeof words);
    return words;
  }
  // The sign comes in from above: what is kept of codes lies below it.
  template <int kCount>
  static I shift_right_by(I a) {
    return a >> kCount;
  }
  static I shift_left(I a, int n) { return a << n; }
  static I shift_right(I a, int n) { return a >> n; }
  static I bits_of(I a, int32_t mask) { return a & mask; }
  static I either(I a, I b) { return a | b; }
  static F to_float(I a) { return __builtin_convertvector(a, F); }
  static F as_float(I a) { return reinterpret_cast<F>(a); }
  static F look_up(const float* table, I index) {
    return F{table[index[0]], table[index[1]], table[index[2]], table[index[3]]};
  }
  static void prefetch(const void* p) { __builtin_prefetch(p); }

 private:
  // A NaN becomes any power: its caller multiplies it with a NaN.
  static float pow2_lane(float n) {
    const int exponent = n >= -126.0f && n <= 128.0f ? static_cast<int>(n) : 0;
    return bf16_to_f32(static_cast<uint16_t>((exponent + 127) << 7));
  }
};

}  // namespace lorikeet::cpu
