// cvt: between integers, between floats, from one to the other, and packing into small floats.
#include <limits>
#include <utility>

#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"

namespace lorikeet::simulator {

namespace {

struct Modes {
  std::string_view rounding;  // rn, rz, rm, rp: to a float; rni, rzi, rmi, rpi: to a whole number
  bool ftz, sat, relu, satfinite;
};

// ---- integers ----
template <typename D, bool kSaturate>
constexpr auto kInteger = []<typename A>(A a) {
  if constexpr (kSaturate) {
    if (std::cmp_less(a, std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
    if (std::cmp_greater(a, std::numeric_limits<D>::max())) return std::numeric_limits<D>::max();
  }
  return static_cast<D>(a);
};

template <typename D, bool kSaturate>
Handler integer_from(Type from) {
  switch (from) {
    case Type::u8:
    case Type::b8:
      return lanes1<kInteger<D, kSaturate>, D, uint8_t>;
    case Type::s8:
      return lanes1<kInteger<D, kSaturate>, D, int8_t>;
    case Type::u16:
    case Type::b16:
      return lanes1<kInteger<D, kSaturate>, D, uint16_t>;
    case Type::s16:
      return lanes1<kInteger<D, kSaturate>, D, int16_t>;
    case Type::u32:
    case Type::b32:
      return lanes1<kInteger<D, kSaturate>, D, uint32_t>;
    case Type::s32:
      return lanes1<kInteger<D, kSaturate>, D, int32_t>;
    case Type::u64:
    case Type::b64:
      return lanes1<kInteger<D, kSaturate>, D, uint64_t>;
    case Type::s64:
      return lanes1<kInteger<D, kSaturate>, D, int64_t>;
    default:
      return nullptr;
  }
}

// ---- floats to integers: NaN becomes 0, what is too large the largest ----
enum class Whole : uint8_t { nearest, zero, down, up };

template <Whole kWhole, typename F>
F whole(F value) {
  if constexpr (kWhole == Whole::nearest) return std::nearbyint(value);
  if constexpr (kWhole == Whole::zero) return std::trunc(value);
  if constexpr (kWhole == Whole::down) return std::floor(value);
  return std::ceil(value);
}

template <typename D, Whole kWhole, bool kFlush>
constexpr auto kToInteger = [](auto a) -> D {
  double value = 0;
  if constexpr (std::is_same_v<decltype(a), double>) {
    value = a;
  } else if constexpr (std::is_same_v<decltype(a), float>) {
    value = static_cast<double>(kFlush ? flush(a) : a);
  } else {
    value = static_cast<double>(to_float(a));
  }
  value = whole<kWhole>(value);
  constexpr double least = static_cast<double>(std::numeric_limits<D>::min());
  constexpr double above = -2.0 * static_cast<double>(std::numeric_limits<std::make_signed_t<D>>::min());
  constexpr double limit = std::is_signed_v<D> ? above / 2 : above;
  if (!(value > least)) return std::isnan(value) ? D{0} : std::numeric_limits<D>::min();
  return value >= limit ? std::numeric_limits<D>::max() : static_cast<D>(value);
};

template <typename D, Whole kWhole>
Handler to_integer(Type from, bool ftz) {
  switch (from) {
    case Type::f32:
      return ftz ? lanes1<kToInteger<D, kWhole, true>, D, float>
                 : lanes1<kToInteger<D, kWhole, false>, D, float>;
    case Type::f64:
      return lanes1<kToInteger<D, kWhole, false>, D, double>;
    case Type::f16:
      return lanes1<kToInteger<D, kWhole, false>, D, Half>;
    case Type::bf16:
      return lanes1<kToInteger<D, kWhole, false>, D, Brain>;
    default:
      return nullptr;
  }
}

template <typename D>
Handler into_integer(Type from, const Modes& modes) {
  if (!is_float(from)) return modes.sat ? integer_from<D, true>(from) : integer_from<D, false>(from);
  if (modes.rounding == "rni") return to_integer<D, Whole::nearest>(from, modes.ftz);
  if (modes.rounding == "rzi") return to_integer<D, Whole::zero>(from, modes.ftz);
  if (modes.rounding == "rmi") return to_integer<D, Whole::down>(from, modes.ftz);
  if (modes.rounding == "rpi") return to_integer<D, Whole::up>(from, modes.ftz);
  return nullptr;
}

Handler into_integer(Type to, Type from, const Modes& modes) {
  switch (to) {
    case Type::u8:
    case Type::b8:
      return into_integer<uint8_t>(from, modes);
    case Type::s8:
      return into_integer<int8_t>(from, modes);
    case Type::u16:
    case Type::b16:
      return into_integer<uint16_t>(from, modes);
    case Type::s16:
      return into_integer<int16_t>(from, modes);
    case Type::u32:
    case Type::b32:
      return into_integer<uint32_t>(from, modes);
    case Type::s32:
      return into_integer<int32_t>(from, modes);
    case Type::u64:
    case Type::b64:
      return into_integer<uint64_t>(from, modes);
    case Type::s64:
      return into_integer<int64_t>(from, modes);
    default:
      return nullptr;
  }
}

// ---- into floats ----
// The neighbour of the nearest number that the rounding asks for, where that one is not exact.
template <Rounding kRounding, typename Exact>
float to_single(Exact exact) {
  const auto near = static_cast<float>(exact);
  if constexpr (kRounding == Rounding::nearest) {
    return near;
  } else {
    const auto value = static_cast<long double>(exact), rounded = static_cast<long double>(near);
    const bool down = kRounding == Rounding::down || (kRounding == Rounding::zero && value > 0);
    if (down && rounded > value) return std::nextafter(near, -INFINITY);
    if (!down && rounded < value) return std::nextafter(near, INFINITY);
    return near;
  }
}

template <Rounding kRounding>
constexpr auto kToSingle = [](auto a) {
  if constexpr (std::is_same_v<decltype(a), Half> || std::is_same_v<decltype(a), Brain>) {
    return to_float(a);
  } else {
    return to_single<kRounding>(a);
  }
};
constexpr auto kToDouble = [](auto a) {
  if constexpr (std::is_same_v<decltype(a), Half> || std::is_same_v<decltype(a), Brain>) {
    return static_cast<double>(to_float(a));
  } else {
    return static_cast<double>(a);
  }
};
template <Rounding kRounding>
constexpr auto kToHalf = [](auto a) {
  if constexpr (kRounding == Rounding::nearest && std::is_same_v<decltype(a), float>) {
    return to_half(a);
  } else {
    return to_half(kToDouble(a), kRounding);
  }
};
template <Rounding kRounding>
constexpr auto kToBrain = [](auto a) {
  const float single = kToSingle<Rounding::nearest>(a);
  return kRounding == Rounding::zero ? to_brain_toward_zero(single) : to_brain(single);
};

template <auto F, typename D>
Handler float_from(Type from) {
  switch (from) {
    case Type::u8:
      return lanes1<F, D, uint8_t>;
    case Type::s8:
      return lanes1<F, D, int8_t>;
    case Type::u16:
      return lanes1<F, D, uint16_t>;
    case Type::s16:
      return lanes1<F, D, int16_t>;
    case Type::u32:
      return lanes1<F, D, uint32_t>;
    case Type::s32:
      return lanes1<F, D, int32_t>;
    case Type::u64:
      return lanes1<F, D, uint64_t>;
    case Type::s64:
      return lanes1<F, D, int64_t>;
    case Type::f16:
      return lanes1<F, D, Half>;
    case Type::bf16:
      return lanes1<F, D, Brain>;
    case Type::f32:
      return lanes1<F, D, float>;
    case Type::f64:
      return lanes1<F, D, double>;
    default:
      return nullptr;
  }
}

template <Rounding kRounding>
Handler into_float(Type to, Type from) {
  switch (to) {
    case Type::f16:
      return float_from<kToHalf<kRounding>, Half>(from);
    case Type::bf16:
      return float_from<kToBrain<kRounding>, Brain>(from);
    case Type::f32:
      return float_from<kToSingle<kRounding>, float>(from);
    case Type::f64:
      return float_from<kToDouble, double>(from);
    default:
      return nullptr;
  }
}

Handler into_float(Type to, Type from, const Modes& modes) {
  if (modes.rounding.empty() || modes.rounding == "rn") return into_float<Rounding::nearest>(to, from);
  if (modes.rounding == "rz") return into_float<Rounding::zero>(to, from);
  const bool is_single = to == Type::f32 || to == Type::f16;
  if (is_single && modes.rounding == "rm") return into_float<Rounding::down>(to, from);
  if (is_single && modes.rounding == "rp") return into_float<Rounding::up>(to, from);
  return nullptr;
}

// f32 to f32 and f64 to f64: to whole numbers, flushed or clamped.
template <typename F>
Handler whole_of(std::string_view rounding) {
  constexpr auto near = [](F a) { return whole<Whole::nearest>(a); };
  constexpr auto zero = [](F a) { return whole<Whole::zero>(a); };
  constexpr auto down = [](F a) { return whole<Whole::down>(a); };
  constexpr auto up = [](F a) { return whole<Whole::up>(a); };
  if (rounding == "rni") return lanes1<near, F, F>;
  if (rounding == "rzi") return lanes1<zero, F, F>;
  if (rounding == "rmi") return lanes1<down, F, F>;
  return rounding == "rpi" ? Handler{lanes1<up, F, F>} : nullptr;
}

constexpr auto kFlushed = [](float a) { return flush(a); };
constexpr auto kSaturated = [](float a) { return saturate(a); };
constexpr auto kPositive = [](float a) { return a > 0 || std::isnan(a) ? a : 0.0f; };

// ---- two floats into one register: the first becomes the upper half ----
template <auto F>
constexpr auto kPairOf = [](float high, float low) {
  return static_cast<uint32_t>(F(high)) << 16 | static_cast<uint32_t>(F(low));
};
constexpr auto kHalfBits = [](float a) { return to_half(a).bits; };
constexpr auto kHalfBitsDown = [](float a) { return to_half(static_cast<double>(a), Rounding::zero).bits; };
constexpr auto kBrainBits = [](float a) { return to_brain(a).bits; };
constexpr auto kBrainBitsDown = [](float a) { return to_brain_toward_zero(a).bits; };
constexpr auto kE4m3Pair = [](float high, float low) {
  return static_cast<uint16_t>(to_e4m3(high) << 8 | to_e4m3(low));
};
constexpr auto kE5m2Pair = [](float high, float low) {
  return static_cast<uint16_t>(to_e5m2(high) << 8 | to_e5m2(low));
};

Handler pair_handler(Type to, const Modes& modes) {
  const bool down = modes.rounding == "rz";
  switch (to) {
    case Type::f16x2:
      return down ? lanes2<kPairOf<kHalfBitsDown>, uint32_t, float>
                  : lanes2<kPairOf<kHalfBits>, uint32_t, float>;
    case Type::bf16x2:
      return down ? lanes2<kPairOf<kBrainBitsDown>, uint32_t, float>
                  : lanes2<kPairOf<kBrainBits>, uint32_t, float>;
    case Type::e4m3x2:
      return lanes2<kE4m3Pair, uint16_t, float>;
    case Type::e5m2x2:
      return lanes2<kE5m2Pair, uint16_t, float>;
    default:
      return nullptr;
  }
}

uint16_t changed(Decoding& d, Handler handler, uint16_t row) {
  const uint16_t after = d.scratch(false);
  d.emit(handler, {after, row});
  return after;
}

void convert_pair(Decoding& d, Type to, Type from, const Modes& modes) {
  d.require(from == Type::f32, "pairs are made of f32");
  const bool byte = to == Type::e4m3x2 || to == Type::e5m2x2;
  d.require(!byte || modes.satfinite, "8-bit floats are .satfinite");
  d.require(!modes.satfinite || byte, ".satfinite is for 8-bit floats alone here");
  uint16_t high = d.source(1, from), low = d.source(2, from);
  if (modes.relu) {
    high = changed(d, lanes1<kPositive, float, float>, high);
    low = changed(d, lanes1<kPositive, float, float>, low);
  }
  d.emit(d.known(pair_handler(to, modes)), {d.result(0, byte ? Type::b16 : Type::b32), high, low});
}

// Registers may be wider than the types of cvt.
uint16_t narrowed_source(Decoding& d, Type from) {
  constexpr auto low = [](uint64_t a) { return static_cast<uint32_t>(a); };
  if (bytes_of(from) == 8 || !d.is_wide(d.operand(1))) return d.source(1, from);
  return changed(d, lanes1<low, uint32_t, uint64_t>, d.source(1, Type::b64));
}

Type register_type(const Decoding& d, size_t i, Type fallback) {
  const Operand& operand = d.operand(i);
  return operand.kind == OperandKind::reg ? d.place().function->registers[operand.reg].type : fallback;
}

// A result narrower than its register is extended by its sign.
void widen_result(Decoding& d, Type to, uint16_t row) {
  const Type reg = register_type(d, 0, to);
  Type from = to;
  if (to == Type::b8) from = Type::u8;
  const Modes plain{"", false, false, false, false};
  const Type container = bytes_of(reg) == 2   ? (is_signed(to) ? Type::s16 : Type::u16)
                         : bytes_of(reg) == 4 ? (is_signed(to) ? Type::s32 : Type::u32)
                                              : (is_signed(to) ? Type::s64 : Type::u64);
  d.emit(d.known(into_integer(container, from, plain)), {d.result(0, container), row});
}

Handler handler_of(Type to, Type from, const Modes& modes) {
  if (!is_float(to)) return into_integer(to, from, modes);
  if (to == from && modes.rounding.size() == 3)
    return to == Type::f64 ? whole_of<double>(modes.rounding) : whole_of<float>(modes.rounding);
  return into_float(to, from, modes);
}

void convert_one(Decoding& d, Type to, Type from, const Modes& modes) {
  uint16_t source = narrowed_source(d, from);
  if (modes.ftz && from == Type::f32) source = changed(d, lanes1<kFlushed, float, float>, source);
  if (modes.sat && from == Type::f32 && is_float(to))
    source = changed(d, lanes1<kSaturated, float, float>, source);
  if (modes.relu) source = changed(d, lanes1<kPositive, float, float>, source);
  const Handler handler = d.known(handler_of(to, from, modes));
  if (!is_float(to) && bytes_of(to) < bytes_of(register_type(d, 0, to))) {
    const uint16_t narrow = d.scratch(false);
    d.emit(handler, {narrow, source});
    return widen_result(d, to, narrow);
  }
  d.emit(handler, {d.result(0, to), source});
}

void convert(Decoding& d) {
  const Modes modes{d.take_one({"rni", "rzi", "rmi", "rpi", "rna", "rn", "rz", "rm", "rp"}), d.take("ftz"),
                    d.take("sat"), d.take("relu"), d.take("satfinite")};
  const Type to = d.take_type(), from = d.take_type();
  if (to == Type::tf32) {
    constexpr auto cut = [](float a) { return to_tf32(a); };
    d.require(from == Type::f32 && modes.rounding == "rna", "tf32 is made of f32, by .rna");
    return d.emit(lanes1<cut, uint32_t, float>, {d.result(0, Type::b32), d.source(1, Type::f32)});
  }
  if (d.operand_count() == 3) return convert_pair(d, to, from, modes);
  d.require(!modes.satfinite, ".satfinite of one value");
  convert_one(d, to, from, modes);
}

}  // namespace

void add_convert_decoders(Decoders& decoders) {
  decoders["cvt"] = convert;
}

}  // namespace lorikeet::simulator
