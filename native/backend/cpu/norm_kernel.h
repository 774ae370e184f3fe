// RMSNorm of one row (Zhang and Sennrich 2019).
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

}  // namespace lorikeet::cpu
