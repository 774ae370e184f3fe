#pragma once
#include <bit>
#include <cmath>
#include <cstdint>

namespace lorikeet::simulator {

// The small floats of the hardware, bit for bit. Loops over lanes call these: no branches where a choice will
// do.

// As kernels hold them; a type of its own chooses what an opcode does.
struct Half {
  uint16_t bits;
};
struct Brain {
  uint16_t bits;
};

inline float to_float(Half value) {
  const uint32_t sign = static_cast<uint32_t>(value.bits & 0x8000u) << 16;
  const uint32_t exponent = value.bits >> 10 & 31, fraction = value.bits & 1023u;
  if (exponent == 0) {
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
  }
  const uint32_t bits =
      exponent == 31 ? 0x7f800000u | fraction << 13 : (exponent + 112) << 23 | fraction << 13;
  return std::bit_cast<float>(sign | bits);
}

inline float to_float(Brain value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

enum class Rounding : uint8_t { nearest, zero, down, up };

// `value` cut to a float of `mantissa` bits behind the point and exponents from `least`: its bits without the
// sign. Nothing is lost on the way from double; what is too large becomes more than `largest`.
struct SmallFormat {
  int mantissa, least;
  uint32_t infinity, nan;
};

inline uint32_t round_magnitude(double magnitude, const SmallFormat& format, Rounding rounding) {
  if (std::isnan(magnitude)) return format.nan;
  if (std::isinf(magnitude)) return format.infinity;
  int exponent = 0;
  std::frexp(magnitude, &exponent);
  exponent = std::max(exponent - 1, format.least);
  const double steps = std::ldexp(magnitude, format.mantissa - exponent);
  const double whole = std::floor(steps), rest = steps - whole;
  auto count = static_cast<uint64_t>(whole);
  if (rounding == Rounding::nearest) count += rest > 0.5 || (rest == 0.5 && (count & 1));
  if (rounding == Rounding::up) count += rest > 0;
  // A carry into the exponent is right by itself, as the fields lie side by side.
  const uint64_t implied = uint64_t{1} << format.mantissa;
  const uint64_t base = static_cast<uint64_t>(exponent - format.least + 1) << format.mantissa;
  const uint64_t bits = count >= implied ? base + count - implied : count;
  return bits >= format.infinity ? (rounding == Rounding::zero ? format.infinity - 1 : format.infinity)
                                 : static_cast<uint32_t>(bits);
}

inline Half to_half(double value, Rounding rounding = Rounding::nearest) {
  constexpr SmallFormat format{10, -14, 0x7c00, 0x7fff};
  if (std::isnan(value)) return {0x7fff};
  const uint32_t bits = round_magnitude(std::abs(value), format, rounding);
  return {static_cast<uint16_t>(bits | (std::signbit(value) ? 0x8000u : 0u))};
}

inline Half to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value), sign = bits >> 16 & 0x8000u,
                 magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {0x7fff};
  // Below 2^-14 one step is 2^-24: adding 0.5 leaves the rounded number of steps in the last bits.
  const float small = std::bit_cast<float>(magnitude) + 0.5f;
  const uint32_t subnormal = std::bit_cast<uint32_t>(small) - 0x3f000000u;
  const uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13;
  const uint32_t finite = magnitude < 0x38800000u ? subnormal : normal;
  return {static_cast<uint16_t>(sign | (magnitude >= 0x477ff000u ? 0x7c00u : finite))};
}

inline Brain to_brain(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded)};
}

inline Brain to_brain_toward_zero(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return {static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : bits >> 16)};
}

// 8-bit floats that keep to their largest value instead of overflowing (.satfinite): bits.
inline uint8_t to_e4m3(float value) {
  if (std::isnan(value)) return 0x7f;
  constexpr SmallFormat format{3, -6, 0x7f, 0x7f};
  const uint32_t bits = round_magnitude(std::abs(value), format, Rounding::nearest);
  return static_cast<uint8_t>((bits > 0x7e ? 0x7e : bits) | (std::signbit(value) ? 0x80 : 0));
}

inline uint8_t to_e5m2(float value) {
  if (std::isnan(value)) return 0x7f;
  constexpr SmallFormat format{2, -14, 0x7c, 0x7f};
  const uint32_t bits = round_magnitude(std::abs(value), format, Rounding::nearest);
  return static_cast<uint8_t>((bits > 0x7b ? 0x7b : bits) | (std::signbit(value) ? 0x80 : 0));
}

// tf32: ten bits behind the point, in the upper bits of a float. Rounded half away from zero (cvt.rna).
inline uint32_t to_tf32(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
}

// .ftz: what is too small for a normal number is a zero of its sign.
inline float flush(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  return std::bit_cast<float>((bits & 0x7f800000u) == 0 ? bits & 0x80000000u : bits);
}

// .sat: into [0, 1]; NaN becomes 0.
inline float saturate(float value) {
  return value > 0.0f ? (value < 1.0f ? value : 1.0f) : 0.0f;
}

}  // namespace lorikeet::simulator
