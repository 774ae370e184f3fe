// RMSNorm (Zhang and Sennrich 2019) and LayerNorm (Ba et al. 2016) of one row.
#pragma once

#include "backend/cpu/kernels.h"

namespace lorikeet::cpu {

template <class S>
struct NormKernel {
  using F = typename S::F;

  static void norm_row(const NormRow& p) {
    const float* const x = p.residual != nullptr ? p.residual : p.x;
    const float squares = sum_of_squares(p);
    const F factor = S::set1(1.0f / __builtin_sqrtf(squares / static_cast<float>(p.n) + p.epsilon));
    int64_t i = 0;
    for (; i + S::W <= p.n; i += S::W) {
      S::store(p.y + i, S::mul(S::mul(S::load(x + i), factor), S::load(p.gain + i)));
    }
    const int left = static_cast<int>(p.n - i);
    if (left == 0) return;
    const F scaled = S::mul(S::load_partial(x + i, left), factor);
    S::store_partial(p.y + i, S::mul(scaled, S::load_partial(p.gain + i, left)), left);
  }

 private:
  // Adds x to the residual on the way. Four chains, so that the additions do not wait for one another.
  static float sum_of_squares(const NormRow& p) {
    F sum[4] = {S::zero(), S::zero(), S::zero(), S::zero()};
    int64_t i = 0;
    int chain = 0;
    for (; i + 4 * S::W <= p.n; i += 4 * S::W) {
#pragma GCC unroll 4
      for (int c = 0; c < 4; ++c) sum[c] = square(p, i + c * S::W, sum[c]);
    }
    for (; i + S::W <= p.n; i += S::W, ++chain) sum[chain] = square(p, i, sum[chain]);
    const int left = static_cast<int>(p.n - i);
    if (left > 0) {
      F value = S::load_partial(p.x + i, left);
      if (p.residual != nullptr) {
        value = S::add(S::load_partial(p.residual + i, left), value);
        S::store_partial(p.residual + i, value, left);
      }
      sum[3] = S::fma(value, value, sum[3]);
    }
    return S::sum(S::add(S::add(sum[0], sum[1]), S::add(sum[2], sum[3])));
  }

  static F square(const NormRow& p, int64_t i, F sum) {
    F value = S::load(p.x + i);
    if (p.residual != nullptr) {
      value = S::add(S::load(p.residual + i), value);
      S::store(p.residual + i, value);
    }
    return S::fma(value, value, sum);
  }
};

template <class S>
struct LayerNormKernel {
  using F = typename S::F;

  static void layer_norm_row(const NormRow& p) {
    if (p.residual != nullptr) add_to_residual(p);
    const float* const x = p.residual != nullptr ? p.residual : p.x;
    const auto n = static_cast<float>(p.n);
    const float mean = sum_of(x, p.n, 0.0f, [](F value) { return value; }) / n;
    const F center = S::set1(mean);
    const float squares = sum_of(x, p.n, mean, [&](F value) {
      const F distance = S::sub(value, center);
      return S::mul(distance, distance);
    });
    write(p, x, center, S::set1(1.0f / __builtin_sqrtf(squares / n + p.epsilon)));
  }

 private:
  static void add_to_residual(const NormRow& p) {
    int64_t i = 0;
    for (; i + S::W <= p.n; i += S::W) {
      S::store(p.residual + i, S::add(S::load(p.residual + i), S::load(p.x + i)));
    }
    const int left = static_cast<int>(p.n - i);
    if (left == 0) return;
    const F value = S::add(S::load_partial(p.residual + i, left), S::load_partial(p.x + i, left));
    S::store_partial(p.residual + i, value, left);
  }

  // Two chains along x; lanes beyond the row hold `beyond`, which map takes to 0.
  template <class Map>
  static float sum_of(const float* x, int64_t n, float beyond, Map map) {
    F sum[2] = {S::zero(), S::zero()};
    int64_t i = 0;
    int chain = 0;
    for (; i + S::W <= n; i += S::W, chain ^= 1) sum[chain] = S::add(sum[chain], map(S::load(x + i)));
    if (i < n) {
      float lanes[S::W];
      for (int lane = 0; lane < S::W; ++lane) lanes[lane] = i + lane < n ? x[i + lane] : beyond;
      sum[chain] = S::add(sum[chain], map(S::load(lanes)));
    }
    return S::sum(S::add(sum[0], sum[1]));
  }

  static void write(const NormRow& p, const float* x, F center, F factor) {
    int64_t i = 0;
    for (; i + S::W <= p.n; i += S::W) {
      const F scaled = S::mul(S::mul(S::sub(S::load(x + i), center), factor), S::load(p.gain + i));
      S::store(p.y + i, p.bias == nullptr ? scaled : S::add(scaled, S::load(p.bias + i)));
    }
    const int left = static_cast<int>(p.n - i);
    if (left == 0) return;
    const F distance = S::sub(S::load_partial(x + i, left), center);
    const F scaled = S::mul(S::mul(distance, factor), S::load_partial(p.gain + i, left));
    S::store_partial(p.y + i, p.bias == nullptr ? scaled : S::add(scaled, S::load_partial(p.bias + i, left)),
                     left);
  }
};

}  // namespace lorikeet::cpu
