// atom and red: one lane after the other, from the lowest.
#include "simulator/machine/access.h"
#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"
#include "simulator/machine/spaces.h"

namespace lorikeet::simulator {

namespace {

constexpr uint8_t kWideAddress = 1, kWantsOld = 2;

// Rows: old value, operand, second operand (cas), address.
template <auto F, typename T, Space kSpace>
void atomic_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const LaneAddresses addresses =
      addresses_of(warp, instruction.row[3], instruction.flags & kWideAddress, instruction.immediate);
  LanePointers pointers;
  const Access access{sizeof(T), true, true};
  resolver_of(kSpace)(warp, addresses, access, mask, pointers);
  const auto *b = warp.lanes<T>(instruction.row[1]), *c = warp.lanes<T>(instruction.row[2]);
  Stored<T> old[Warp::kLanes];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    T value;
    std::memcpy(&value, pointers.to[lane], sizeof(T));
    old[lane] = pack<T>(value);
    const T after = F(value, unpack<T>(b[lane]), unpack<T>(c[lane]));
    std::memcpy(pointers.to[lane], &after, sizeof(T));
  }
  if (instruction.flags & kWantsOld) warp.store(warp.lanes<T>(instruction.row[0]), old, mask);
}

template <auto F, typename T>
Handler in_space(Space space) {
  if (space == Space::global) return atomic_lanes<F, T, Space::global>;
  if (space == Space::shared) return atomic_lanes<F, T, Space::shared>;
  return space == Space::generic ? Handler{atomic_lanes<F, T, Space::generic>} : nullptr;
}

constexpr auto kAdd = []<typename T>(T a, T b, T) {
  if constexpr (std::is_same_v<T, Half>) {
    return to_half(to_float(a) + to_float(b));
  } else if constexpr (std::is_same_v<T, Brain>) {
    return to_brain(to_float(a) + to_float(b));
  } else {
    return static_cast<T>(a + b);
  }
};
constexpr auto kMinimum = [](auto a, auto b, auto) { return b < a ? b : a; };
constexpr auto kMaximum = [](auto a, auto b, auto) { return a < b ? b : a; };
constexpr auto kIncrement = [](uint32_t a, uint32_t b, uint32_t) { return a >= b ? 0 : a + 1; };
constexpr auto kDecrement = [](uint32_t a, uint32_t b, uint32_t) { return a == 0 || a > b ? b : a - 1; };
constexpr auto kAnd = [](auto a, auto b, auto) { return a & b; };
constexpr auto kOr = [](auto a, auto b, auto) { return a | b; };
constexpr auto kXor = [](auto a, auto b, auto) { return a ^ b; };
constexpr auto kExchange = [](auto, auto b, auto) { return b; };
constexpr auto kCompareAndSwap = [](auto a, auto b, auto c) { return a == b ? c : a; };

template <auto F>
constexpr auto kPair = [](uint32_t a, uint32_t b, uint32_t) {
  constexpr auto low = [](uint32_t x) { return static_cast<uint16_t>(x); };
  constexpr auto high = [](uint32_t x) { return static_cast<uint16_t>(x >> 16); };
  return uint32_t{F(low(a), low(b))} | uint32_t{F(high(a), high(b))} << 16;
};
constexpr auto kAddHalves = [](uint16_t a, uint16_t b) { return kAdd(Half{a}, Half{b}, Half{}).bits; };
constexpr auto kAddBrains = [](uint16_t a, uint16_t b) { return kAdd(Brain{a}, Brain{b}, Brain{}).bits; };

Handler add_handler(Type type, Space space) {
  switch (type) {
    case Type::u32:
    case Type::s32:
      return in_space<kAdd, uint32_t>(space);
    case Type::u64:
    case Type::s64:
      return in_space<kAdd, uint64_t>(space);
    case Type::f32:
      return in_space<kAdd, float>(space);
    case Type::f64:
      return in_space<kAdd, double>(space);
    case Type::f16:
      return in_space<kAdd, Half>(space);
    case Type::bf16:
      return in_space<kAdd, Brain>(space);
    case Type::f16x2:
      return in_space<kPair<kAddHalves>, uint32_t>(space);
    case Type::bf16x2:
      return in_space<kPair<kAddBrains>, uint32_t>(space);
    default:
      return nullptr;
  }
}

template <auto F>
Handler ordered_handler(Type type, Space space) {
  switch (type) {
    case Type::u32:
      return in_space<F, uint32_t>(space);
    case Type::s32:
      return in_space<F, int32_t>(space);
    case Type::u64:
      return in_space<F, uint64_t>(space);
    case Type::s64:
      return in_space<F, int64_t>(space);
    default:
      return nullptr;
  }
}

template <auto F>
Handler bits_handler(Type type, Space space) {
  if (bytes_of(type) == 8) return in_space<F, uint64_t>(space);
  return bytes_of(type) == 4 ? in_space<F, uint32_t>(space) : nullptr;
}

Handler atomic_handler(std::string_view op, Type type, Space space) {
  if (op == "add") return add_handler(type, space);
  if (op == "min") return ordered_handler<kMinimum>(type, space);
  if (op == "max") return ordered_handler<kMaximum>(type, space);
  if (op == "inc") return type == Type::u32 ? in_space<kIncrement, uint32_t>(space) : nullptr;
  if (op == "dec") return type == Type::u32 ? in_space<kDecrement, uint32_t>(space) : nullptr;
  if (op == "and") return bits_handler<kAnd>(type, space);
  if (op == "or") return bits_handler<kOr>(type, space);
  if (op == "xor") return bits_handler<kXor>(type, space);
  if (op == "exch") return bits_handler<kExchange>(type, space);
  if (op == "cas") return bits_handler<kCompareAndSwap>(type, space);
  return nullptr;
}

void atomic(Decoding& d, bool wants_old) {
  const Space space = take_space(d);
  for (const std::string_view order :
       {"relaxed", "acquire", "release", "acq_rel", "gpu", "cta", "sys", "noftz"}) {
    d.take(order);
  }
  d.take_all("L2::");
  const std::string_view op =
      d.take_one({"add", "min", "max", "inc", "dec", "and", "or", "xor", "exch", "cas"});
  const Type type = d.take_type();
  const size_t first = wants_old ? 1 : 0;
  Instruction instruction = d.make(d.known(atomic_handler(op, type, space)));
  if (wants_old) instruction.row[0] = d.result(0, type);
  const Decoding::Address address = d.address(first);
  instruction.row[1] = d.source(first + 1, type);
  instruction.row[2] = op == "cas" ? d.source(first + 2, type) : instruction.row[1];
  instruction.row[3] = address.row;
  instruction.flags = static_cast<uint8_t>((address.wide ? kWideAddress : 0) | (wants_old ? kWantsOld : 0));
  instruction.immediate = address.offset;
  d.emit(instruction);
}

}  // namespace

void add_atomic_decoders(Decoders& decoders) {
  decoders["atom"] = [](Decoding& d) { atomic(d, true); };
  decoders["red"] = [](Decoding& d) { atomic(d, false); };
}

}  // namespace lorikeet::simulator
