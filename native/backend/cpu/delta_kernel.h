// One token through one head of a gated delta net (backend/interface/ops.h, DeltaNetDesc).
#pragma once

#include "backend/cpu/kernels.h"
#include "backend/cpu/row_kernel.h"

namespace lorikeet::cpu {

template <class S>
struct DeltaKernels {
  using F = typename S::F;

  // x *= factor / |x|, in Transformers' way with x = 0.
  static void unit_row(float* x, float factor, int64_t n) {
    F squares = S::zero();
    int64_t i = 0;
    for (; i + S::W <= n; i += S::W) squares = square(S::load(x + i), squares);
    if (i < n) squares = square(S::load_partial(x + i, static_cast<int>(n - i)), squares);
    RowKernels<S>::scale_row(x, x, factor / __builtin_sqrtf(S::sum(squares) + 1e-6f), n);
  }

  // Columns of the state are independent, so several vectors of them go through it side by side; each passes
  // its keys twice, in ascending order, and stays in the nearest cache in between.
  static void delta_step(const DeltaStep& p) {
    int j = 0;
    for (; j + 4 * S::W <= p.value_dim; j += 4 * S::W) columns<4>(p, j, Whole{});
    for (; j + S::W <= p.value_dim; j += S::W) columns<1>(p, j, Whole{});
    if (j < p.value_dim) columns<1>(p, j, Partial{p.value_dim - j});
  }

 private:
  struct Whole {
    F load(const float* p) const { return S::load(p); }
    void store(float* p, F a) const { S::store(p, a); }
  };
  struct Partial {
    int n;
    F load(const float* p) const { return S::load_partial(p, n); }
    void store(float* p, F a) const { S::store_partial(p, a, n); }
  };

  static F square(F x, F sum) { return S::fma(x, x, sum); }

  template <int C, class Lanes>
  static void columns(const DeltaStep& p, int first, const Lanes lanes) {
    const F decay = S::set1(p.decay), beta = S::set1(p.beta);
    F sum[C], delta[C];
    for (int c = 0; c < C; ++c) sum[c] = S::zero();
    for (int i = 0; i < p.key_dim; ++i) {
      const float* const row = p.state + int64_t{i} * p.value_dim + first;
      const F k = S::set1(p.k[i]);
      for (int c = 0; c < C; ++c) sum[c] = S::fma(k, S::mul(decay, lanes.load(row + c * S::W)), sum[c]);
    }
    for (int c = 0; c < C; ++c) {
      delta[c] = S::mul(beta, S::sub(lanes.load(p.v + first + c * S::W), sum[c]));
      sum[c] = S::zero();
    }
    for (int i = 0; i < p.key_dim; ++i) {
      float* const row = p.state + int64_t{i} * p.value_dim + first;
      const F k = S::set1(p.k[i]), q = S::set1(p.q[i]);
      for (int c = 0; c < C; ++c) {
        const F value = S::fma(k, delta[c], S::mul(decay, lanes.load(row + c * S::W)));
        lanes.store(row + c * S::W, value);
        sum[c] = S::fma(q, value, sum[c]);
      }
    }
    for (int c = 0; c < C; ++c) lanes.store(p.o + first + c * S::W, sum[c]);
  }
};

}  // namespace lorikeet::cpu
