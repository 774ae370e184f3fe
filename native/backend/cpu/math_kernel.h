// Elementary functions on vectors. One definition serves every path, so a value never depends on where it was
// computed.
#pragma once

namespace lorikeet::cpu {

// e^x within 2 ulp (Cephes' polynomial). Below -87.33 it is 0 (no subnormals), above 88.37 infinity; NaN
// stays NaN.
template <class S>
typename S::F exp(typename S::F x) {
  using F = typename S::F;
  const F lowest = S::set1(-87.33f);
  const F clamped = S::min(S::set1(89.0f), S::max(lowest, x));
  const F n = S::round(S::mul(clamped, S::set1(1.44269504088896341f)));
  // ln 2 in two parts: n times the first is exact.
  const F r = S::fma(n, S::set1(2.12194440e-4f), S::fma(n, S::set1(-0.693359375f), clamped));
  F p = S::set1(1.9875691500e-4f);
  p = S::fma(p, r, S::set1(1.3981999507e-3f));
  p = S::fma(p, r, S::set1(8.3334519073e-3f));
  p = S::fma(p, r, S::set1(4.1665795894e-2f));
  p = S::fma(p, r, S::set1(1.6666665459e-1f));
  p = S::fma(p, r, S::set1(5.0000001201e-1f));
  p = S::add(S::fma(p, S::mul(r, r), r), S::set1(1.0f));
  return S::zero_below(S::mul(p, S::pow2(n)), x, lowest);
}

// Absolute error some 1e-7, which is what a soft cap needs.
template <class S>
typename S::F tanh(typename S::F x) {
  const typename S::F one = S::set1(1.0f);
  const typename S::F grown = S::add(exp<S>(S::add(x, x)), one);
  return S::sub(one, S::div(S::set1(2.0f), grown));
}

// erfc of x >= 0, absolute error some 2e-7 (Abramowitz and Stegun 7.1.26); NaN stays NaN.
template <class S>
typename S::F erfc(typename S::F x) {
  using F = typename S::F;
  const F t = S::div(S::set1(1.0f), S::fma(S::set1(0.3275911f), x, S::set1(1.0f)));
  F p = S::set1(1.061405429f);
  p = S::fma(p, t, S::set1(-1.453152027f));
  p = S::fma(p, t, S::set1(1.421413741f));
  p = S::fma(p, t, S::set1(-0.284496736f));
  p = S::fma(p, t, S::set1(0.254829592f));
  return S::mul(S::mul(p, t), exp<S>(S::sub(S::zero(), S::mul(x, x))));
}

template <class S>
float exp_scalar(float x) {
  float lanes[S::W];
  S::store(lanes, exp<S>(S::set1(x)));
  return lanes[0];
}

}  // namespace lorikeet::cpu
