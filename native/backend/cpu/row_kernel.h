// Element-wise work on rows: rotation, scaling, soft caps, conversion.
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/math_kernel.h"

namespace lorikeet::cpu {

template <class S>
struct RowKernels {
  using F = typename S::F;

  static void soft_cap_row(float* y, float cap, int64_t n) {
    const F limit = S::set1(cap);
    int64_t i = 0;
    for (; i + S::W <= n; i += S::W) S::store(y + i, capped(S::load(y + i), limit));
    const int left = static_cast<int>(n - i);
    if (left > 0) S::store_partial(y + i, capped(S::load_partial(y + i, left), limit), left);
  }

  // Scalar: few models rotate so, and a pair needs no other lane.
  static void rotate_pairs(float* x, const float* cos, const float* sin, int n) {
    for (int i = 0; i < n; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = a * cos[i] - b * sin[i];
      x[2 * i + 1] = b * cos[i] + a * sin[i];
    }
  }

  static void rotate_row(float* low, float* high, const float* cos, const float* sin, int n) {
    int i = 0;
    for (; i + S::W <= n; i += S::W) {
      const F a = S::load(low + i), b = S::load(high + i), c = S::load(cos + i), s = S::load(sin + i);
      S::store(low + i, S::sub(S::mul(a, c), S::mul(b, s)));
      S::store(high + i, S::add(S::mul(b, c), S::mul(a, s)));
    }
    const int left = n - i;
    if (left == 0) return;
    const F a = S::load_partial(low + i, left), b = S::load_partial(high + i, left);
    const F c = S::load_partial(cos + i, left), s = S::load_partial(sin + i, left);
    S::store_partial(low + i, S::sub(S::mul(a, c), S::mul(b, s)), left);
    S::store_partial(high + i, S::add(S::mul(b, c), S::mul(a, s)), left);
  }

  static void scale_row(float* y, const float* x, float factor, int64_t n) {
    const F scale = S::set1(factor);
    int64_t i = 0;
    for (; i + S::W <= n; i += S::W) S::store(y + i, S::mul(S::load(x + i), scale));
    const int left = static_cast<int>(n - i);
    if (left > 0) S::store_partial(y + i, S::mul(S::load_partial(x + i, left), scale), left);
  }

  static void multiply_row(float* y, const float* x, int64_t n) {
    int64_t i = 0;
    for (; i + S::W <= n; i += S::W) S::store(y + i, S::mul(S::load(y + i), S::load(x + i)));
    const int left = static_cast<int>(n - i);
    if (left > 0)
      S::store_partial(y + i, S::mul(S::load_partial(y + i, left), S::load_partial(x + i, left)), left);
  }

  static void multiply_add(float* y, const float* a, const float* b, int64_t n) {
    int64_t i = 0;
    for (; i + S::W <= n; i += S::W) S::store(y + i, S::fma(S::load(a + i), S::load(b + i), S::load(y + i)));
    const int left = static_cast<int>(n - i);
    if (left == 0) return;
    const F sum =
        S::fma(S::load_partial(a + i, left), S::load_partial(b + i, left), S::load_partial(y + i, left));
    S::store_partial(y + i, sum, left);
  }

  static void add_scaled(float* y, const float* x, float a, int64_t n) {
    const F factor = S::set1(a);
    int64_t i = 0;
    for (; i + S::W <= n; i += S::W) S::store(y + i, S::fma(factor, S::load(x + i), S::load(y + i)));
    const int left = static_cast<int>(n - i);
    if (left == 0) return;
    S::store_partial(y + i, S::fma(factor, S::load_partial(x + i, left), S::load_partial(y + i, left)), left);
  }

  template <class T>
  static void load_row(float* to, const void* from, int64_t n) {
    const T* const source = static_cast<const T*>(from);
    int64_t i = 0;
    for (; i + S::W <= n; i += S::W) S::store(to + i, S::load(source + i));
    const int left = static_cast<int>(n - i);
    if (left > 0) S::store_partial(to + i, S::load_partial(source + i, left), left);
  }

  template <class T>
  static void store_row(void* to, const float* from, int64_t n) {
    T* const target = static_cast<T*>(to);
    int64_t i = 0;
    for (; i + S::W <= n; i += S::W) S::store(target + i, S::load(from + i));
    const int left = static_cast<int>(n - i);
    if (left > 0) S::store_partial(target + i, S::load_partial(from + i, left), left);
  }

 private:
  static F capped(F x, F cap) { return S::mul(cap, tanh<S>(S::div(x, cap))); }
};

}  // namespace lorikeet::cpu
