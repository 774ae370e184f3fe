// Floats: add, sub, mul, fma, div, min, max, abs, neg, copysign, sqrt, rcp, rsqrt, sin, cos, lg2, ex2, tanh.
//
// What PTX calls approximate is computed here in double and rounded once: nearer to the truth than hardware,
// whose error is up to 2 units in the last place for rcp, rsqrt, ex2 and lg2, and 2^-11 for tanh.
#include <algorithm>

#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"
#include "simulator/machine/rounded.h"

namespace lorikeet::simulator {

namespace {

constexpr auto kAdd = [](auto a, auto b) { return a + b; };
constexpr auto kSubtract = [](auto a, auto b) { return a - b; };
constexpr auto kMultiply = [](auto a, auto b) { return a * b; };
constexpr auto kDivide = [](auto a, auto b) { return a / b; };
constexpr auto kFusedAdd = [](auto a, auto b, auto c) { return std::fma(a, b, c); };
// A number wins over what is none; -0 is less than +0.
constexpr auto kMinimum = []<typename T>(T a, T b) {
  return std::isnan(a) ? b : std::isnan(b) ? a : a < b || (a == b && std::signbit(a)) ? a : b;
};
constexpr auto kMaximum = []<typename T>(T a, T b) {
  return std::isnan(a) ? b : std::isnan(b) ? a : a > b || (a == b && !std::signbit(a)) ? a : b;
};
constexpr auto kMinimumNan = []<typename T>(T a, T b) {
  return std::isnan(a) || std::isnan(b)
             ? std::bit_cast<T>(std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>(
                   sizeof(T) == 4 ? 0x7fffffffu : ~uint64_t{0} >> 1))
             : kMinimum(a, b);
};
constexpr auto kMaximumNan = []<typename T>(T a, T b) {
  return std::isnan(a) || std::isnan(b) ? kMinimumNan(a, b) : kMaximum(a, b);
};

// ---- of f32, with .ftz and .sat ----
template <auto F, bool kFlush, bool kSaturate>
constexpr auto kFloat = [](auto... operands) {
  float result = kFlush ? flush(F(flush(operands)...)) : F(operands...);
  return kSaturate ? saturate(result) : result;
};

template <auto F, int kOperands, bool kFlush, bool kSaturate>
constexpr Handler float_lanes() {
  if constexpr (kOperands == 1) return lanes1<kFloat<F, kFlush, kSaturate>, float, float>;
  if constexpr (kOperands == 2) return lanes2<kFloat<F, kFlush, kSaturate>, float, float>;
  if constexpr (kOperands == 3) return lanes3<kFloat<F, kFlush, kSaturate>, float, float>;
}

template <auto F, int kOperands>
Handler float_handler(bool ftz, bool sat) {
  return ftz ? (sat ? float_lanes<F, kOperands, true, true>() : float_lanes<F, kOperands, true, false>())
             : (sat ? float_lanes<F, kOperands, false, true>() : float_lanes<F, kOperands, false, false>());
}

// ---- of f16 and bf16: in float or double, rounded once ----
template <typename T>
T round_small(double value) {
  if constexpr (std::is_same_v<T, Half>) return to_half(value);
  // Round to odd on the way, so that the second rounding sees what the first lost.
  float near = static_cast<float>(value);
  const double lost = value - static_cast<double>(near);
  if (lost != 0 && !(std::bit_cast<uint32_t>(near) & 1))
    near = std::nextafter(near, lost > 0 ? INFINITY : -INFINITY);
  if constexpr (std::is_same_v<T, Brain>) return to_brain(near);
}

template <auto F>
constexpr auto kSmall = []<typename... T>(T... operands) {
  using First = std::tuple_element_t<0, std::tuple<T...>>;
  return round_small<First>(F(static_cast<double>(to_float(operands))...));
};

template <auto F, typename T>
constexpr auto kPairs = [](auto... operands) {
  const auto half = [&](int shift) {
    return uint32_t{F(T{static_cast<uint16_t>(operands >> shift)}...).bits} << shift;
  };
  return half(0) | half(16);
};

template <auto F, int kOperands, typename T>
Handler small_lanes(bool pairs) {
  if constexpr (kOperands == 1)
    return pairs ? lanes1<kPairs<kSmall<F>, T>, uint32_t, uint32_t> : lanes1<kSmall<F>, T, T>;
  if constexpr (kOperands == 2)
    return pairs ? lanes2<kPairs<kSmall<F>, T>, uint32_t, uint32_t> : lanes2<kSmall<F>, T, T>;
  if constexpr (kOperands == 3)
    return pairs ? lanes3<kPairs<kSmall<F>, T>, uint32_t, uint32_t> : lanes3<kSmall<F>, T, T>;
}

struct FloatModes {
  bool ftz, sat;
};

template <auto F, int kOperands>
Handler handler_of(Type type, const FloatModes& modes) {
  switch (type) {
    case Type::f32:
      return float_handler<F, kOperands>(modes.ftz, modes.sat);
    case Type::f64:
      if constexpr (kOperands == 1) return lanes1<F, double, double>;
      if constexpr (kOperands == 2) return lanes2<F, double, double>;
      if constexpr (kOperands == 3) return lanes3<F, double, double>;
      return nullptr;
    case Type::f16:
    case Type::f16x2:
      return small_lanes<F, kOperands, Half>(type == Type::f16x2);
    case Type::bf16:
    case Type::bf16x2:
      return small_lanes<F, kOperands, Brain>(type == Type::bf16x2);
    default:
      return nullptr;
  }
}

void emit(Decoding& d, Handler handler, Type type) {
  Instruction instruction = d.make(d.known(handler), {d.result(0, type)});
  for (size_t i = 1; i < d.operand_count(); ++i) instruction.row[i] = d.source(i, type);
  d.emit(instruction);
}

template <auto F, int kOperands>
void arithmetic(Decoding& d, RoundedOp rounded) {
  const FloatModes modes{d.take("ftz"), d.take("sat")};
  const std::string_view rounding = d.take_one({"rz", "rm", "rp", "rn"}, "rn");
  const Type type = d.take_type();
  const bool small = type != Type::f32 && type != Type::f64;
  d.require(!small || (!modes.sat && rounding == "rn"), "small floats are rounded to nearest, without .sat");
  d.require(d.operand_count() == kOperands + 1, "another number of operands is needed");
  if (rounding == "rn") return emit(d, handler_of<F, kOperands>(type, modes), type);
  d.require(type == Type::f32, "only f32 has other roundings here");
  emit(d, rounded_handler(rounded, rounding, modes.ftz, modes.sat), type);
}

template <auto F, auto kWithNan>
void extreme(Decoding& d) {
  const FloatModes modes{d.take("ftz"), false};
  const bool nan = d.take("NaN");
  const Type type = d.take_type();
  emit(d, nan ? handler_of<kWithNan, 2>(type, modes) : handler_of<F, 2>(type, modes), type);
}

void divide(Decoding& d) {
  const std::string_view approximate = d.take_one({"approx", "full"});
  if (approximate.empty()) return arithmetic<kDivide, 2>(d, RoundedOp::divide);
  const FloatModes modes{d.take("ftz"), false};
  const Type type = d.take_type();
  d.require(type == Type::f32, "approximate divisions are of f32");
  emit(d, float_handler<kDivide, 2>(modes.ftz, false), type);
}

// The sign alone: exact for all, and for NaN.
template <bool kNegates>
constexpr auto kSign = []<typename T>(T bits) {
  constexpr T sign = static_cast<T>(T{1} << (sizeof(T) * 8 - 1));
  return static_cast<T>(kNegates ? bits ^ sign : bits & ~sign);
};
template <bool kNegates>
constexpr auto kSigns = [](uint32_t bits) { return kNegates ? bits ^ 0x80008000u : bits & 0x7fff7fffu; };

template <bool kNegates>
void sign(Decoding& d) {
  const bool ftz = d.take("ftz");
  const Type type = d.take_type();
  constexpr auto flushed = [](float value) {
    return std::bit_cast<float>(kSign<kNegates>(std::bit_cast<uint32_t>(flush(value))));
  };
  const Handler handler = type == Type::f64          ? lanes1<kSign<kNegates>, uint64_t, uint64_t>
                          : type == Type::f32 && ftz ? lanes1<flushed, float, float>
                          : type == Type::f32        ? lanes1<kSign<kNegates>, uint32_t, uint32_t>
                          : type == Type::f16x2 || type == Type::bf16x2
                              ? lanes1<kSigns<kNegates>, uint32_t, uint32_t>
                              : lanes1<kSign<kNegates>, uint16_t, uint16_t>;
  emit(d, handler, type);
}

void copy_sign(Decoding& d) {
  constexpr auto take_sign = [](auto a, auto b) { return std::copysign(b, a); };
  const Type type = d.take_type();
  emit(d, type == Type::f64 ? lanes2<take_sign, double, double> : lanes2<take_sign, float, float>, type);
}

// ---- functions ----
constexpr auto kRoot = [](auto a) { return std::sqrt(a); };
template <auto F>
constexpr auto kByDouble = []<typename T>(T a) { return static_cast<T>(F(static_cast<double>(a))); };
constexpr auto kReciprocal = [](double a) { return 1.0 / a; };
constexpr auto kReciprocalRoot = [](double a) { return 1.0 / std::sqrt(a); };
constexpr auto kSine = [](double a) { return std::sin(a); };
constexpr auto kCosine = [](double a) { return std::cos(a); };
constexpr auto kLog2 = [](double a) { return std::log2(a); };
constexpr auto kExp2 = [](double a) { return std::exp2(a); };
constexpr auto kTanh = [](double a) { return std::tanh(a); };

template <auto F>
void function(Decoding& d) {
  d.take_one({"approx", "rn", "rz", "rm", "rp"});
  const FloatModes modes{d.take("ftz"), false};
  const Type type = d.take_type();
  emit(d, handler_of<kByDouble<F>, 1>(type, modes), type);
}

void root(Decoding& d) {
  const std::string_view rounding = d.take_one({"approx", "rn", "rz", "rm", "rp"});
  d.require(rounding == "approx" || rounding == "rn", "sqrt is .approx or .rn");
  const FloatModes modes{d.take("ftz"), false};
  const Type type = d.take_type();
  emit(d, handler_of<kRoot, 1>(type, modes), type);
}

}  // namespace

// add, sub, mul, mad, div, min, max, abs and neg come here where their type is a float.
void decode_float_arithmetic(Decoding& d) {
  const std::string_view opcode = d.statement().opcode;
  if (opcode == "add") return arithmetic<kAdd, 2>(d, RoundedOp::add);
  if (opcode == "sub") return arithmetic<kSubtract, 2>(d, RoundedOp::subtract);
  if (opcode == "mul") return arithmetic<kMultiply, 2>(d, RoundedOp::multiply);
  if (opcode == "mad" || opcode == "fma") return arithmetic<kFusedAdd, 3>(d, RoundedOp::fused);
  if (opcode == "div") return divide(d);
  if (opcode == "min") return extreme<kMinimum, kMinimumNan>(d);
  if (opcode == "max") return extreme<kMaximum, kMaximumNan>(d);
  if (opcode == "abs") return sign<false>(d);
  if (opcode == "neg") return sign<true>(d);
  d.fail("these types do not go with '" + std::string(opcode) + "'");
}

void add_float_decoders(Decoders& decoders) {
  decoders["fma"] = decode_float_arithmetic;
  decoders["copysign"] = copy_sign;
  decoders["sqrt"] = root;
  decoders["rcp"] = function<kReciprocal>;
  decoders["rsqrt"] = function<kReciprocalRoot>;
  decoders["sin"] = function<kSine>;
  decoders["cos"] = function<kCosine>;
  decoders["lg2"] = function<kLog2>;
  decoders["ex2"] = function<kExp2>;
  decoders["tanh"] = function<kTanh>;
}

}  // namespace lorikeet::simulator
