// Dot products of bytes in plain C++. The same names as dot_avx512.h and dot_avx2.h.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "backend/shared/dtype.h"

namespace lorikeet::cpu {

struct DotPortable {
  static constexpr int W = 4;
  static constexpr int kRows = 2;
  static constexpr int kRowsInt4 = kRows;
  typedef float F __attribute__((vector_size(16)));
  typedef int32_t I __attribute__((vector_size(16)));
  struct B {
    uint8_t at[4 * W];
  };

  static F zero() { return F{}; }
  static F set1(float x) { return F{x, x, x, x}; }
  static I set1(int32_t x) { return I{x, x, x, x}; }
  static F add(F a, F b) { return a + b; }
  static F mul(F a, F b) { return a * b; }
  static F fma(F a, F b, F c) {  // a b + c
    for (int lane = 0; lane < W; ++lane) c[lane] = std::fma(a[lane], b[lane], c[lane]);
    return c;
  }
  static F to_float(I a) { return __builtin_convertvector(a, F); }
  static F load(const float* p) {
    F value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }
  static void store(float* p, F a) { std::memcpy(p, &a, sizeof a); }
  static B load(const uint8_t* p) {
    B value;
    std::memcpy(&value, p, sizeof value);
    return value;
  }
  static B load_quad(const int8_t* p) {
    B value;
    for (int lane = 0; lane < W; ++lane) std::memcpy(value.at + 4 * lane, p, 4);
    return value;
  }
  static B low_nibbles(B a) {
    for (uint8_t& byte : a.at) byte &= 15;
    return a;
  }
  static B high_nibbles(B a) {
    for (uint8_t& byte : a.at) byte >>= 4;
    return a;
  }
  static B load_table(const uint8_t* p) { return load(p); }
  static B look_up(B table, B index) {
    for (uint8_t& byte : index.at) byte = table.at[byte];
    return index;
  }
  // What dot8 takes for weights: unsigned bytes here.
  using W8 = B;
  static W8 weights8(B w) { return w; }
  // Sums of a group start at `offset`, -zero point times the sum of x, or get it at their end.
  static I start8(int32_t offset) { return set1(offset); }
  static I start4(int32_t offset) { return set1(offset); }
  static I finish4(I sum, int32_t) { return sum; }
  static constexpr bool kWideSums = true;  // dot4 adds in 32 bits
  static I plus(I a, I b) { return a + b; }
  static F load_f16(const void* p) {
    uint16_t bits[W];
    std::memcpy(bits, p, sizeof bits);
    return F{f16_to_f32(bits[0]), f16_to_f32(bits[1]), f16_to_f32(bits[2]), f16_to_f32(bits[3])};
  }
  static F load_bytes(const uint8_t* p) { return __builtin_convertvector(I{p[0], p[1], p[2], p[3]}, F); }
  static F load_scales(const uint8_t* p) {
    F value;
    for (int lane = 0; lane < W; ++lane) {
      uint16_t bits;
      std::memcpy(&bits, p + 2 * lane, 2);
      value[lane] = bf16_to_f32(bits);
    }
    return value;
  }

  static I dot8(I sum, B w, B x) {
    for (int lane = 0; lane < W; ++lane) {
      for (int i = 0; i < 4; ++i) sum[lane] += w.at[4 * lane + i] * static_cast<int8_t>(x.at[4 * lane + i]);
    }
    return sum;
  }
  static I dot4(I sum, B w, B x) { return dot8(sum, w, x); }

  static uint32_t largest_magnitude(const float* x, int count) {
    uint32_t largest = 0;
    for (int i = 0; i < count; ++i) {
      const uint32_t bits = std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu;
      largest = bits > largest ? bits : largest;
    }
    return largest;
  }
  // Returns the sum of q.
  static int32_t quantize(int8_t* q, const float* x, float inverse, int count) {
    int32_t sum = 0;
    for (int i = 0; i < count; ++i) {
      q[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
      sum += q[i];
    }
    return sum;
  }
};

}  // namespace lorikeet::cpu
