// Activations of rows, plain or gated. One struct per ActivationKind, in its order in kernel_table.h.
#pragma once

#include <type_traits>

#include "backend/cpu/kernels.h"
#include "backend/cpu/math_kernel.h"

namespace lorikeet::cpu {

struct Silu {
  template <class S>
  static typename S::F plain(typename S::F x, const ActivationRow&) {
    return S::div(x, S::add(S::set1(1.0f), exp<S>(S::sub(S::zero(), x))));
  }
};

// relu(x) - |x| erfc(|x| / sqrt 2) / 2: no cancellation where x is far below zero.
struct Gelu {
  template <class S>
  static typename S::F plain(typename S::F x, const ActivationRow&) {
    const auto size = S::max(S::sub(S::zero(), x), x);
    const auto half = S::mul(S::set1(0.5f), size);
    const auto tail = erfc<S>(S::mul(size, S::set1(0.70710678118654752f)));
    return S::sub(S::max(S::zero(), x), S::mul(half, tail));
  }
};

// 0.5 x (1 + tanh(u)) = x / (1 + e^(-2 u)), u = sqrt(2 / pi) (x + 0.044715 x^3)
struct GeluTanh {
  template <class S>
  static typename S::F plain(typename S::F x, const ActivationRow&) {
    const auto square = S::mul(x, x);
    const auto inner = S::fma(S::mul(S::set1(0.044715f), square), x, x);
    const auto grown = exp<S>(S::mul(S::set1(-1.59576912160573071f), inner));
    return S::div(x, S::add(S::set1(1.0f), grown));
  }
};

struct Relu {
  template <class S>
  static typename S::F plain(typename S::F x, const ActivationRow&) {
    return S::max(S::zero(), x);
  }
};

struct ReluSquared {
  template <class S>
  static typename S::F plain(typename S::F x, const ActivationRow&) {
    const auto value = S::max(S::zero(), x);
    return S::mul(value, value);
  }
};

struct Sigmoid {
  template <class S>
  static typename S::F plain(typename S::F x, const ActivationRow&) {
    return S::div(S::set1(1.0f), S::add(S::set1(1.0f), exp<S>(S::sub(S::zero(), x))));
  }
};

struct ClampedSwiglu {
  template <class S>
  static typename S::F gated(typename S::F gate, typename S::F up, const ActivationRow& p) {
    const auto limit = S::set1(p.limit);
    const auto g = S::min(limit, gate);
    const auto u = S::max(S::set1(-p.limit), S::min(limit, up));
    const auto grown = exp<S>(S::mul(S::set1(-p.alpha), g));
    return S::mul(S::div(g, S::add(S::set1(1.0f), grown)), S::add(u, S::set1(1.0f)));
  }
};

struct Xielu {
  template <class S>
  static typename S::F plain(typename S::F x, const ActivationRow& p) {
    const auto above = S::max(S::zero(), x);
    const auto below = S::min(S::zero(), x);
    const auto curve = S::sub(S::sub(exp<S>(S::min(S::set1(p.epsilon), below)), S::set1(1.0f)), below);
    // At x > 0 the lower curve is a constant, e^eps - 1, which does not belong there.
    const auto lower = S::mul(S::set1(p.alpha_n), S::zero_below(curve, S::sub(S::zero(), x), S::zero()));
    return S::add(S::fma(S::mul(S::set1(p.alpha), above), above, lower), S::mul(S::set1(p.beta), x));
  }
};

template <class S, class Function>
void activation_row(const ActivationRow& p) {
  int64_t i = 0;
  for (; i + S::W <= p.n; i += S::W) S::store(p.y + i, Function::template plain<S>(S::load(p.x + i), p));
  const int left = static_cast<int>(p.n - i);
  if (left == 0) return;
  S::store_partial(p.y + i, Function::template plain<S>(S::load_partial(p.x + i, left), p), left);
}

template <class S, class Function>
typename S::F gated(typename S::F gate, typename S::F up, const ActivationRow& p) {
  if constexpr (std::is_same_v<Function, ClampedSwiglu>) {
    return Function::template gated<S>(gate, up, p);
  } else {
    return S::mul(Function::template plain<S>(gate, p), up);
  }
}

template <class S, class Function>
void glu_row(const ActivationRow& p) {
  int64_t i = 0;
  for (; i + S::W <= p.n; i += S::W) {
    S::store(p.y + i, gated<S, Function>(S::load(p.x + i), S::load(p.up + i), p));
  }
  const int left = static_cast<int>(p.n - i);
  if (left == 0) return;
  const auto value = gated<S, Function>(S::load_partial(p.x + i, left), S::load_partial(p.up + i, left), p);
  S::store_partial(p.y + i, value, left);
}

}  // namespace lorikeet::cpu
