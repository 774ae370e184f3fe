// The arithmetic of attention over one KV page or one run of positions; attention.cc says how they are put
// together.
//
// Batch invariance: a score is one chain along head_dim, an output element one chain along ascending
// positions, and a sum of exponentials has one chain per lane (position modulo W, counted from the start of
// the split).
#pragma once

#include <type_traits>

#include "backend/cpu/elements.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/math_kernel.h"

namespace lorikeet::cpu {

template <class S, class T>
struct AttentionKernels {
  using F = typename S::F;
  static constexpr int W = S::W;

  static void key_product(const KeyProduct& p) {
    int query = 0;
    for (; query + S::kHeads <= p.queries; query += S::kHeads) keys<S::kHeads>(p, query);
    if (query + 4 <= p.queries) {
      keys<4>(p, query);
      query += 4;
    }
    if (query + 2 <= p.queries) {
      keys<2>(p, query);
      query += 2;
    }
    if (query < p.queries) {
      keys<1>(p, query);
      if (++query < p.queries) keys<1>(p, query);
    }
  }

  static void value_product(const ValueProduct& p) {
    int d = 0;
    for (; d + 4 * W <= p.d; d += 4 * W) values_all<4>(p, d);
    for (; d + W <= p.d; d += W) values_all<1>(p, d);
    if (d < p.d) {
      for (int query = 0; query < p.queries; ++query) values_tail(p, query, d);
    }
  }

 private:
  template <int MR>
  static void keys(const KeyProduct& p, int query) {
    const T* const k = static_cast<const T*>(p.k);
    int n = 0;
    for (; n + W <= p.n; n += W) {
      keys_vector<MR>(
          p, query, n, [&](int64_t d) { return S::load(k + d * p.k_stride + n); },
          [&](float* scores, F acc) {
            S::store(scores, scaled(acc, [&] { return S::load(p.k_scale + n); }));
          });
    }
    const int left = p.n - n;
    if (left == 0) return;
    keys_vector<MR>(
        p, query, n, [&](int64_t d) { return S::load_partial(k + d * p.k_stride + n, left); },
        [&](float* scores, F acc) {
          S::store_partial(scores, scaled(acc, [&] { return S::load_partial(p.k_scale + n, left); }), left);
        });
  }

  template <class Load>
  static F scaled(F acc, Load load_scale) {
    if constexpr (std::is_same_v<T, I8>) return S::mul(acc, load_scale());
    return acc;
  }

  template <int MR, class Load, class Store>
  static void keys_vector(const KeyProduct& p, int query, int n, Load load, Store store) {
    F acc[MR];
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) acc[r] = S::zero();
    const float* const q = p.q + static_cast<int64_t>(query) * p.d;
    for (int d = 0; d < p.d; ++d) {
      const F key = load(d);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) acc[r] = S::fma(S::set1(q[r * p.d + d]), key, acc[r]);
    }
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) store(p.scores + (query + r) * p.score_stride + n, acc[r]);
  }

  template <int NV>
  static void values_all(const ValueProduct& p, int d) {
    constexpr int kBlock = S::kRows >= 4 ? 4 : 2;
    int query = 0;
    for (; query + kBlock <= p.queries; query += kBlock) values<kBlock, NV>(p, query, d);
    for (; query < p.queries; ++query) values<1, NV>(p, query, d);
  }

  template <int MR, int NV>
  static void values(const ValueProduct& p, int query, int d) {
    F acc[MR][NV];
    float* const o = p.o + static_cast<int64_t>(query) * p.d + d;
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) acc[r][v] = S::load(o + static_cast<int64_t>(r) * p.d + v * W);
    }
    const T* value = static_cast<const T*>(p.v) + d;
    const float* const weights = p.p + query * p.p_stride;
    for (int n = 0; n < p.n; ++n, value += p.d) {
      F vector[NV];
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) vector[v] = S::load(value + v * W);
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
        const F weight = S::set1(weights[r * p.p_stride + n]);
#pragma GCC unroll 8
        for (int v = 0; v < NV; ++v) acc[r][v] = S::fma(weight, vector[v], acc[r][v]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 8
      for (int v = 0; v < NV; ++v) S::store(o + static_cast<int64_t>(r) * p.d + v * W, acc[r][v]);
    }
  }

  static void values_tail(const ValueProduct& p, int query, int d) {
    const int left = p.d - d;
    float* const o = p.o + static_cast<int64_t>(query) * p.d + d;
    const T* value = static_cast<const T*>(p.v) + d;
    F acc = S::load_partial(o, left);
    for (int n = 0; n < p.n; ++n, value += p.d) {
      acc = S::fma(S::set1(p.p[query * p.p_stride + n]), S::load_partial(value, left), acc);
    }
    S::store_partial(o, acc, left);
  }
};

template <class S>
struct SoftmaxKernels {
  using F = typename S::F;
  static constexpr int W = S::W;

  static void softmax_row(SoftmaxRow& p) {
    const int begin = p.begin / W * W;
    const int end = (p.end + W - 1) / W * W;
    for (int i = begin; i < end; i += W) S::store(p.scores + i, scaled(p, S::load(p.scores + i)));
    if (p.slope != 0.0f) p.coarse ? add_coarse_alibi(p, begin, end) : add_alibi(p, begin, end);
    // Lanes outside of the row's positions hold other rows' scores or nothing: they must weigh exactly 0.
    for (int i = begin; i < p.begin; ++i) p.scores[i] = -__builtin_inff();
    for (int i = p.end; i < end; ++i) p.scores[i] = -__builtin_inff();
    F max = S::load(p.scores + begin);
    for (int i = begin + W; i < end; i += W) max = S::max(max, S::load(p.scores + i));
    p.max = S::max_lane(max);
    const F shift = S::set1(p.max);
    F sum = S::zero();
    for (int i = begin; i < end; i += W) {
      const F weight = exp<S>(S::sub(S::load(p.scores + i), shift));
      S::store(p.scores + i, weight);
      sum = S::add(sum, weight);
    }
    p.sum = S::sum(sum);
  }

  static void scale_weights(const WeightScale& p) {
    for (int query = 0; query < p.queries; ++query) {
      float* const row = p.p + query * p.p_stride;
      int n = 0;
      for (; n + W <= p.n; n += W) S::store(row + n, S::mul(S::load(row + n), S::load(p.scale + n)));
      const int left = p.n - n;
      if (left == 0) continue;
      const F product = S::mul(S::load_partial(row + n, left), S::load_partial(p.scale + n, left));
      S::store_partial(row + n, product, left);
    }
  }

  static void attention_merge(const AttentionMerge& p) {
    const float max = *p.max > p.other_max ? *p.max : p.other_max;
    const float keep = exp_scalar<S>(*p.max - max);
    const float join = exp_scalar<S>(p.other_max - max);
    const F keep_all = S::set1(keep);
    const F join_all = S::set1(join);
    int i = 0;
    for (; i + W <= p.d; i += W) {
      S::store(p.o + i, S::fma(S::load(p.o + i), keep_all, S::mul(S::load(p.other_o + i), join_all)));
    }
    if (i < p.d) {
      const F other = S::mul(S::load_partial(p.other_o + i, p.d - i), join_all);
      S::store_partial(p.o + i, S::fma(S::load_partial(p.o + i, p.d - i), keep_all, other), p.d - i);
    }
    *p.sum = *p.sum * keep + p.other_sum * join;
    *p.max = max;
  }

 private:
  static F scaled(const SoftmaxRow& p, F score) {
    const F value = S::mul(score, S::set1(p.scale));
    if (p.softcap == 0.0f) return value;
    return S::mul(S::set1(p.softcap), tanh<S>(S::div(value, S::set1(p.softcap))));
  }

  static void add_coarse_alibi(const SoftmaxRow& p, int begin, int end) {
    for (int i = begin; i < end; ++i) {
      const float bias = p.slope * static_cast<float>(p.begin_position + i);
      uint32_t bits;
      __builtin_memcpy(&bits, &bias, sizeof bits);
      bits = (bits + 0x7fffu + ((bits >> 16) & 1u)) & 0xffff0000u;  // to the nearest, ties to even
      float rounded;
      __builtin_memcpy(&rounded, &bits, sizeof rounded);
      p.scores[i] += p.scale * rounded;
    }
  }

  static void add_alibi(const SoftmaxRow& p, int begin, int end) {
    float lanes[W];
    for (int i = 0; i < W; ++i) lanes[i] = static_cast<float>(i);
    for (int i = begin; i < end; i += W) {
      const F distance = S::add(S::set1(p.distance + static_cast<float>(i)), S::load(lanes));
      S::store(p.scores + i, S::add(S::load(p.scores + i), S::mul(S::set1(p.slope), distance)));
    }
  }
};

}  // namespace lorikeet::cpu
