// Tokens through one head of a gated delta net (backend/interface/ops.h, DeltaNetDesc).
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

  // Columns of the state are independent, so a few vectors of them go through all tokens side by side and
  // stay in the nearest cache meanwhile. The pass over their keys that changes them for a token also sums up
  // what the next token reads of them, in the order of a pass of its own.
  static void delta_steps(const DeltaSteps& p) {
    int j = 0;
    for (; j + kColumns * S::W <= p.value_dim; j += kColumns * S::W) columns<kColumns>(p, j, Whole{});
    for (; j + S::W <= p.value_dim; j += S::W) columns<1>(p, j, Whole{});
    if (j < p.value_dim) columns<1>(p, j, Partial{p.value_dim - j});
  }

 private:
  static constexpr int kColumns = S::W >= 16 ? 4 : 2;  // as the registers allow

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

  // sums [C] of what the token reads of the state
  template <int C, class Lanes>
  static void read(const DeltaSteps& p, int token, int first, const Lanes lanes, F* sums) {
    const F decay = S::set1(p.decay[token]);
    const float* const k = p.k + int64_t{token} * p.key_dim;
    for (int i = 0; i < p.key_dim; ++i) {
      const float* const row = p.state + int64_t{i} * p.value_dim + first;
      const F key = S::set1(k[i]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) sums[c] = S::fma(key, S::mul(decay, lanes.load(row + c * S::W)), sums[c]);
    }
  }

  // Changes the state for the token, and leaves in `sums` what the next one, where there is one, reads of it.
  template <int C, bool kNext, class Lanes>
  static void step(const DeltaSteps& p, int token, int first, const Lanes lanes, F* sums) {
    const F decay = S::set1(p.decay[token]), beta = S::set1(p.beta[token]);
    const F next_decay = kNext ? S::set1(p.decay[token + 1]) : decay;
    const float* const k = p.k + int64_t{token} * p.key_dim;
    const float* const q = p.q + int64_t{token} * p.key_dim;
    const float* const next_k = kNext ? k + p.key_dim : k;
    const float* const v = p.v + int64_t{token} * p.value_dim + first;
    F delta[C], out[C], next[C];
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      delta[c] = S::mul(beta, S::sub(lanes.load(v + c * S::W), sums[c]));
      out[c] = next[c] = S::zero();
    }
    for (int i = 0; i < p.key_dim; ++i) {
      float* const row = p.state + int64_t{i} * p.value_dim + first;
      const F key = S::set1(k[i]), query = S::set1(q[i]), next_key = S::set1(next_k[i]);
#pragma GCC unroll 4
      for (int c = 0; c < C; ++c) {
        const F value = S::fma(key, delta[c], S::mul(decay, lanes.load(row + c * S::W)));
        lanes.store(row + c * S::W, value);
        out[c] = S::fma(query, value, out[c]);
        if constexpr (kNext) next[c] = S::fma(next_key, S::mul(next_decay, value), next[c]);
      }
    }
    float* const o = p.o + int64_t{token} * p.value_dim + first;
#pragma GCC unroll 4
    for (int c = 0; c < C; ++c) {
      lanes.store(o + c * S::W, out[c]);
      sums[c] = next[c];
    }
  }

  template <int C, class Lanes>
  static void columns(const DeltaSteps& p, int first, const Lanes lanes) {
    F sums[C];
    for (int c = 0; c < C; ++c) sums[c] = S::zero();
    read<C>(p, 0, first, lanes, sums);
    for (int token = 0; token + 1 < p.tokens; ++token) step<C, true>(p, token, first, lanes, sums);
    step<C, false>(p, p.tokens - 1, first, lanes, sums);
  }
};

}  // namespace lorikeet::cpu
