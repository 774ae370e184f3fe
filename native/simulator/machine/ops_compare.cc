// Choices: setp, set, selp, slct.
#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"

namespace lorikeet::simulator {

namespace {

// `...u` of floats also holds where one is not a number.
enum class Relation : uint8_t { eq, ne, lt, le, gt, ge, equ, neu, ltu, leu, gtu, geu, num, nan };
enum class Combine : uint8_t { none, and_, or_, xor_ };

template <Relation kRelation, typename T>
bool holds(T a, T b) {
  switch (kRelation) {
    case Relation::eq:
      return a == b;
    case Relation::ne:
      return a < b || a > b;
    case Relation::lt:
      return a < b;
    case Relation::le:
      return a <= b;
    case Relation::gt:
      return a > b;
    case Relation::ge:
      return a >= b;
    case Relation::equ:
      return !(a < b || a > b);
    case Relation::neu:
      return !(a == b);
    case Relation::ltu:
      return !(a >= b);
    case Relation::leu:
      return !(a > b);
    case Relation::gtu:
      return !(a <= b);
    case Relation::geu:
      return !(a < b);
    case Relation::num:
      return a == a && b == b;
    case Relation::nan:
      return !(a == a && b == b);
  }
  return false;
}

template <typename T>
auto comparable(Stored<T> stored) {
  if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, Brain>) {
    return to_float(unpack<T>(stored));
  } else {
    return unpack<T>(stored);
  }
}

// Rows: result, second result, a, b, the third operand of a combination. Flags: the combination.
template <Relation kRelation, typename T>
void compare_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto *a = warp.lanes<T>(instruction.row[2]), *b = warp.lanes<T>(instruction.row[3]);
  LaneMask met = 0;
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    met |= LaneMask{holds<kRelation>(comparable<T>(a[lane]), comparable<T>(b[lane]))} << lane;
  }
  LaneMask other = ~met;
  const auto combine = static_cast<Combine>(instruction.flags);
  if (combine != Combine::none) {
    const LaneMask third = warp.predicate(instruction.row[4]);
    const auto apply = [&](LaneMask value) {
      return combine == Combine::and_  ? value & third
             : combine == Combine::or_ ? value | third
                                       : value ^ third;
    };
    met = apply(met);
    other = apply(other);
  }
  LaneMask& second = warp.predicate(instruction.row[1]);
  second = (second & ~mask) | (other & mask);
  LaneMask& first = warp.predicate(instruction.row[0]);
  first = (first & ~mask) | (met & mask);
}

template <typename T, size_t... kIndex>
Handler compare_handler(Relation relation, std::index_sequence<kIndex...>) {
  constexpr Handler handlers[] = {compare_lanes<static_cast<Relation>(kIndex), T>...};
  return handlers[static_cast<size_t>(relation)];
}

template <typename T>
Handler integer_compare(Relation relation) {
  if (relation > Relation::ge) return nullptr;
  return compare_handler<T>(relation, std::make_index_sequence<6>());
}

template <typename T>
Handler float_compare(Relation relation) {
  return compare_handler<T>(relation, std::make_index_sequence<14>());
}

Handler compare_handler(Type type, Relation relation) {
  switch (type) {
    case Type::b16:
    case Type::u16:
      return integer_compare<uint16_t>(relation);
    case Type::s16:
      return integer_compare<int16_t>(relation);
    case Type::b32:
    case Type::u32:
      return integer_compare<uint32_t>(relation);
    case Type::s32:
      return integer_compare<int32_t>(relation);
    case Type::b64:
    case Type::u64:
      return integer_compare<uint64_t>(relation);
    case Type::s64:
      return integer_compare<int64_t>(relation);
    case Type::f16:
      return float_compare<Half>(relation);
    case Type::bf16:
      return float_compare<Brain>(relation);
    case Type::f32:
      return float_compare<float>(relation);
    case Type::f64:
      return float_compare<double>(relation);
    default:
      return nullptr;
  }
}

Relation take_relation(Decoding& d) {
  constexpr std::pair<std::string_view, Relation> names[] = {
      {"eq", Relation::eq},   {"ne", Relation::ne},   {"lt", Relation::lt},   {"le", Relation::le},
      {"gt", Relation::gt},   {"ge", Relation::ge},   {"equ", Relation::equ}, {"neu", Relation::neu},
      {"ltu", Relation::ltu}, {"leu", Relation::leu}, {"gtu", Relation::gtu}, {"geu", Relation::geu},
      {"num", Relation::num}, {"nan", Relation::nan}, {"lo", Relation::lt},   {"ls", Relation::le},
      {"hi", Relation::gt},   {"hs", Relation::ge},
  };
  for (const auto& [name, relation] : names) {
    if (d.take(name)) return relation;
  }
  d.fail("no comparison that is known");
}

Combine take_combination(Decoding& d) {
  const std::string_view name = d.take_one({"and", "or", "xor"});
  return name == "and"   ? Combine::and_
         : name == "or"  ? Combine::or_
         : name == "xor" ? Combine::xor_
                         : Combine::none;
}

// Into predicates first and second.
Instruction comparison(Decoding& d, uint16_t first, uint16_t second, Relation relation, Combine combine) {
  d.take("ftz");  // see the limits in README.md: subnormals are compared as they are
  const Type type = d.take_type();
  Instruction instruction =
      d.make(d.known(compare_handler(type, relation)), {first, second, d.source(1, type), d.source(2, type)});
  if (combine != Combine::none) instruction.row[4] = d.source_predicate(d.operand(3));
  instruction.flags = static_cast<uint8_t>(combine);
  return instruction;
}

void set_predicate(Decoding& d) {
  const Relation relation = take_relation(d);
  const Combine combine = take_combination(d);
  const Operand& result = d.operand(0);
  const uint16_t first = d.result_predicate(result);
  const uint16_t second = d.result_predicate(result.parts.empty() ? Operand{} : result.parts[0]);
  d.emit(comparison(d, first, second, relation, combine));
}

// set: all ones or 1.0 where the relation holds, else zero.
void set(Decoding& d) {
  const Relation relation = take_relation(d);
  const Combine combine = take_combination(d);
  const Type type = d.take_type();
  d.require(bytes_of(type) == 4, "set into this type");
  const uint16_t met = d.result_predicate(Operand{}), other = d.result_predicate(Operand{});
  d.emit(comparison(d, met, other, relation, combine));
  const Handler spread = [](Warp& warp, const Instruction& instruction, LaneMask mask) {
    uint32_t out[Warp::kLanes];
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      out[lane] =
          warp.predicate(instruction.row[1]) >> lane & 1 ? static_cast<uint32_t>(instruction.immediate) : 0;
    }
    warp.store(warp.lanes<uint32_t>(instruction.row[0]), out, mask);
  };
  Instruction instruction = d.make(spread, {d.result(0, type), met});
  instruction.immediate = type == Type::f32 ? 0x3f800000 : 0xffffffff;
  d.emit(instruction);
}

template <typename T>
void select_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto *a = warp.lanes<T>(instruction.row[1]), *b = warp.lanes<T>(instruction.row[2]);
  const LaneMask chosen = warp.predicate(instruction.row[3]);
  Stored<T> out[Warp::kLanes];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) out[lane] = chosen >> lane & 1 ? a[lane] : b[lane];
  warp.store(warp.lanes<T>(instruction.row[0]), out, mask);
}

void select(Decoding& d) {
  const Type type = d.take_type();
  const uint16_t chosen = d.source_predicate(d.operand(3));
  d.emit(bytes_of(type) == 8 ? select_lanes<uint64_t> : select_lanes<uint32_t>,
         {d.result(0, type), d.source(1, type), d.source(2, type), chosen});
}

// slct: the first where the third is not negative.
void select_by_sign(Decoding& d) {
  d.take("ftz");
  const Type type = d.take_type(), sign = d.take_type();
  constexpr auto by_integer = [](auto a, auto b, int32_t c) { return c >= 0 ? a : b; };
  constexpr auto by_float = [](auto a, auto b, float c) { return c >= 0 ? a : b; };
  d.require(sign == Type::s32 || sign == Type::f32, "slct by this type");
  const bool wide = bytes_of(type) == 8, integer = sign == Type::s32;
  const Handler handler = wide ? (integer ? lanes3<by_integer, uint64_t, uint64_t, uint64_t, int32_t>
                                          : lanes3<by_float, uint64_t, uint64_t, uint64_t, float>)
                               : (integer ? lanes3<by_integer, uint32_t, uint32_t, uint32_t, int32_t>
                                          : lanes3<by_float, uint32_t, uint32_t, uint32_t, float>);
  d.emit(handler, {d.result(0, type), d.source(1, type), d.source(2, type), d.source(3, sign)});
}

}  // namespace

void add_compare_decoders(Decoders& decoders) {
  decoders["setp"] = set_predicate;
  decoders["set"] = set;
  decoders["selp"] = select;
  decoders["slct"] = select_by_sign;
}

}  // namespace lorikeet::simulator
