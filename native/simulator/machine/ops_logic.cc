// Bits: and, or, xor, not, cnot, lop3, shl, shr, shf, prmt, and mov with packing and unpacking.
#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"

namespace lorikeet::simulator {

namespace {

constexpr auto kAnd = []<typename T>(T a, T b) { return static_cast<T>(a & b); };
constexpr auto kOr = []<typename T>(T a, T b) { return static_cast<T>(a | b); };
constexpr auto kXor = []<typename T>(T a, T b) { return static_cast<T>(a ^ b); };

template <auto F>
void predicates(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const LaneMask value = F(warp.predicate(instruction.row[1]), warp.predicate(instruction.row[2]));
  LaneMask& result = warp.predicate(instruction.row[0]);
  result = (result & ~mask) | (value & mask);
}

template <auto F>
void logic(Decoding& d) {
  const Type type = d.take_type();
  if (type == Type::pred) {
    const uint16_t a = d.source_predicate(d.operand(1)), b = d.source_predicate(d.operand(2));
    return d.emit(predicates<F>, {d.result_predicate(d.operand(0)), a, b});
  }
  d.emit(d.known(bits2<F>(type)), {d.result(0, type), d.source(1, type), d.source(2, type)});
}

void invert(Decoding& d) {
  const Type type = d.take_type();
  if (type == Type::pred) {
    constexpr auto inverse = [](LaneMask a, LaneMask) { return ~a; };
    const uint16_t a = d.source_predicate(d.operand(1));
    return d.emit(predicates<inverse>, {d.result_predicate(d.operand(0)), a, a});
  }
  constexpr auto inverse = []<typename T>(T a) { return static_cast<T>(~a); };
  d.emit(d.known(integer1<inverse>(type)), {d.result(0, type), d.source(1, type)});
}

void logical_not(Decoding& d) {
  constexpr auto is_zero = []<typename T>(T a) { return static_cast<T>(a == 0); };
  const Type type = d.take_type();
  d.emit(d.known(integer1<is_zero>(type)), {d.result(0, type), d.source(1, type)});
}

// Each bit of the result is the bit of the table that the three bits number.
void lop3_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto *a = warp.lanes<uint32_t>(instruction.row[1]), *b = warp.lanes<uint32_t>(instruction.row[2]),
             *c = warp.lanes<uint32_t>(instruction.row[3]);
  uint32_t term[8];
  for (int i = 0; i < 8; ++i) term[i] = instruction.immediate >> i & 1 ? kAllLanes : 0;
  uint32_t out[Warp::kLanes];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    const uint32_t x = a[lane], y = b[lane], z = c[lane];
    const uint32_t low = (~y & ((~z & term[0]) | (z & term[1]))) | (y & ((~z & term[2]) | (z & term[3])));
    const uint32_t high = (~y & ((~z & term[4]) | (z & term[5]))) | (y & ((~z & term[6]) | (z & term[7])));
    out[lane] = (~x & low) | (x & high);
  }
  warp.store(warp.lanes<uint32_t>(instruction.row[0]), out, mask);
}

void lop3(Decoding& d) {
  d.require(d.take_type() == Type::b32, "lop3 is for b32 alone");
  Instruction instruction = d.make(lop3_lanes, {d.result(0, Type::b32), d.source(1, Type::b32),
                                                d.source(2, Type::b32), d.source(3, Type::b32)});
  instruction.immediate = d.integer(4);
  d.emit(instruction);
}

// Shifts by the width or more give zeros, or copies of the sign.
constexpr auto kLeft = []<typename T>(T a, uint32_t by) {
  return static_cast<T>(by >= sizeof(T) * 8 ? T{0} : static_cast<T>(a << by));
};
constexpr auto kRight = []<typename T>(T a, uint32_t by) {
  constexpr uint32_t bits = sizeof(T) * 8;
  if constexpr (std::is_signed_v<T>) return static_cast<T>(a >> (by >= bits ? bits - 1 : by));
  return static_cast<T>(by >= bits ? T{0} : static_cast<T>(a >> by));
};

template <auto F>
Handler shift_handler(Type type) {
  switch (type) {
    case Type::u16:
    case Type::b16:
      return lanes2<F, uint16_t, uint16_t, uint32_t>;
    case Type::s16:
      return lanes2<F, int16_t, int16_t, uint32_t>;
    case Type::u32:
    case Type::b32:
      return lanes2<F, uint32_t, uint32_t, uint32_t>;
    case Type::s32:
      return lanes2<F, int32_t, int32_t, uint32_t>;
    case Type::u64:
    case Type::b64:
      return lanes2<F, uint64_t, uint64_t, uint32_t>;
    case Type::s64:
      return lanes2<F, int64_t, int64_t, uint32_t>;
    default:
      return nullptr;
  }
}

template <auto F>
void shift(Decoding& d) {
  const Type type = d.take_type();
  d.emit(d.known(shift_handler<F>(type)), {d.result(0, type), d.source(1, type), d.source(2, Type::u32)});
}

template <bool kToLeft, bool kWraps>
constexpr auto kFunnel = [](uint32_t low, uint32_t high, uint32_t by) {
  const uint64_t both = uint64_t{high} << 32 | low;
  const uint32_t n = kWraps ? by & 31 : (by < 32 ? by : 32);
  return static_cast<uint32_t>(kToLeft ? (both << n) >> 32 : both >> n);
};

void funnel_shift(Decoding& d) {
  const std::string_view way = d.take_one({"l", "r"}), over = d.take_one({"wrap", "clamp"});
  d.require(!way.empty() && !over.empty() && d.take_type() == Type::b32,
            "shf is .l or .r, .wrap or .clamp, of b32");
  const bool left = way == "l", wraps = over == "wrap";
  const Handler handler = left ? (wraps ? lanes3<kFunnel<true, true>, uint32_t, uint32_t>
                                        : lanes3<kFunnel<true, false>, uint32_t, uint32_t>)
                               : (wraps ? lanes3<kFunnel<false, true>, uint32_t, uint32_t>
                                        : lanes3<kFunnel<false, false>, uint32_t, uint32_t>);
  d.emit(handler,
         {d.result(0, Type::b32), d.source(1, Type::b32), d.source(2, Type::b32), d.source(3, Type::b32)});
}

constexpr auto kPermute = [](uint32_t a, uint32_t b, uint32_t selector) {
  const uint64_t bytes = uint64_t{b} << 32 | a;
  uint32_t result = 0;
  for (uint32_t i = 0; i < 4; ++i) {
    const uint32_t choice = selector >> (4 * i) & 15;
    uint32_t byte = static_cast<uint32_t>(bytes >> (8 * (choice & 7))) & 0xff;
    if (choice & 8) byte = byte & 0x80 ? 0xff : 0;  // the sign, copied
    result |= byte << (8 * i);
  }
  return result;
};

void permute(Decoding& d) {
  d.require(d.take_type() == Type::b32, "prmt is for b32 alone");
  d.emit(lanes3<kPermute, uint32_t, uint32_t>,
         {d.result(0, Type::b32), d.source(1, Type::b32), d.source(2, Type::b32), d.source(3, Type::b32)});
}

template <typename T>
void copy_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  warp.store(warp.lanes<T>(instruction.row[0]), warp.lanes<T>(instruction.row[1]), mask);
}

// {a, b} -> one of twice their size, and of four.
template <typename Whole, typename Part>
void pack_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  Stored<Whole> out[Warp::kLanes] = {};
  for (uint32_t part = 0; part < instruction.count; ++part) {
    const auto* from = warp.lanes<Part>(instruction.row[1 + part]);
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      out[lane] |= static_cast<Stored<Whole>>(unpack<Part>(from[lane])) << (part * sizeof(Part) * 8);
    }
  }
  warp.store(warp.lanes<Whole>(instruction.row[0]), out, mask);
}

// Rows: the source first.
template <typename Whole, typename Part>
void unpack_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  Stored<Whole> from[Warp::kLanes];
  std::copy_n(warp.lanes<Whole>(instruction.row[0]), Warp::kLanes, from);
  for (uint32_t part = 0; part < instruction.count; ++part) {
    Stored<Part> out[Warp::kLanes];
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      out[lane] = static_cast<Part>(from[lane] >> (part * sizeof(Part) * 8));
    }
    warp.store(warp.lanes<Part>(instruction.row[1 + part]), out, mask);
  }
}

Type part_type(const Decoding& d, Type whole, size_t parts) {
  const size_t bytes = bytes_of(whole) / std::max<size_t>(parts, 1);
  d.require(bytes * parts == bytes_of(whole) && (bytes == 2 || bytes == 4),
            "mov of a vector that does not fit");
  return bytes == 2 ? Type::b16 : Type::b32;
}

void move_packed(Decoding& d, Type type) {
  const Operand& vector = d.operand(1);
  const Type part = part_type(d, type, vector.parts.size());
  const Handler handler = bytes_of(type) == 4 ? pack_lanes<uint32_t, uint16_t>
                          : part == Type::b32 ? pack_lanes<uint64_t, uint32_t>
                                              : pack_lanes<uint64_t, uint16_t>;
  Instruction instruction = d.make(handler, {d.result(0, type)});
  instruction.count = static_cast<uint8_t>(vector.parts.size());
  for (size_t i = 0; i < vector.parts.size(); ++i)
    instruction.row[1 + i] = d.source_row(vector.parts[i], part);
  d.emit(instruction);
}

void move_unpacked(Decoding& d, Type type) {
  const Operand& vector = d.operand(0);
  const Type part = part_type(d, type, vector.parts.size());
  const Handler handler = bytes_of(type) == 4 ? unpack_lanes<uint32_t, uint16_t>
                          : part == Type::b32 ? unpack_lanes<uint64_t, uint32_t>
                                              : unpack_lanes<uint64_t, uint16_t>;
  Instruction instruction = d.make(handler, {d.source(1, type)});
  instruction.count = static_cast<uint8_t>(vector.parts.size());
  for (size_t i = 0; i < vector.parts.size(); ++i)
    instruction.row[1 + i] = d.result_row(vector.parts[i], part);
  d.emit(instruction);
}

void move(Decoding& d) {
  const Type type = d.take_type();
  if (type == Type::pred) {
    const uint16_t source = d.source_predicate(d.operand(1));
    return d.emit(predicates<kAnd>, {d.result_predicate(d.operand(0)), source, source});
  }
  if (d.operand(1).kind == OperandKind::vector) return move_packed(d, type);
  if (d.operand(0).kind == OperandKind::vector) return move_unpacked(d, type);
  d.require(bytes_of(type) >= 2 && bytes_of(type) <= 8, "mov of this type");
  // The address of a parameter is generic in no case, so it stays an offset; cvta makes it one.
  d.emit(bytes_of(type) == 8 ? copy_lanes<uint64_t> : copy_lanes<uint32_t>,
         {d.result(0, type), d.source(1, type)});
}

}  // namespace

void add_logic_decoders(Decoders& decoders) {
  decoders["and"] = logic<kAnd>;
  decoders["or"] = logic<kOr>;
  decoders["xor"] = logic<kXor>;
  decoders["not"] = invert;
  decoders["cnot"] = logical_not;
  decoders["lop3"] = lop3;
  decoders["shl"] = shift<kLeft>;
  decoders["shr"] = shift<kRight>;
  decoders["shf"] = funnel_shift;
  decoders["prmt"] = permute;
  decoders["mov"] = move;
}

}  // namespace lorikeet::simulator
