// Memory: ld, ldu, st, cvta, isspacep, prefetch.
#include "simulator/machine/access.h"
#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"
#include "simulator/machine/spaces.h"

namespace lorikeet::simulator {

namespace {

// Flags of an access.
constexpr uint8_t kWideAddress = 1;
// Row of the address; the values are in the rows before it.
constexpr size_t kAddressRow = 8;

// T as it lies in memory, R as it stands in the register. Count: elements of the vector.
template <typename T, typename R, Space kSpace>
void load_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const LaneAddresses addresses = addresses_of(warp, instruction.row[kAddressRow],
                                               instruction.flags & kWideAddress, instruction.immediate);
  LanePointers pointers;
  resolver_of(kSpace)(warp, addresses, {static_cast<uint32_t>(instruction.count * sizeof(T))}, mask,
                      pointers);
  for (uint32_t element = 0; element < instruction.count; ++element) {
    Stored<R>* const to = warp.lanes<R>(instruction.row[element]);
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      if (!(mask >> lane & 1)) continue;
      T value;
      std::memcpy(&value, pointers.to[lane] + element * sizeof(T), sizeof(T));
      to[lane] = pack<R>(static_cast<R>(value));
    }
  }
}

template <typename T, Space kSpace>
void store_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const LaneAddresses addresses = addresses_of(warp, instruction.row[kAddressRow],
                                               instruction.flags & kWideAddress, instruction.immediate);
  LanePointers pointers;
  resolver_of(kSpace)(warp, addresses, {static_cast<uint32_t>(instruction.count * sizeof(T)), true}, mask,
                      pointers);
  for (uint32_t element = 0; element < instruction.count; ++element) {
    const Stored<T>* const from = warp.lanes<T>(instruction.row[element]);
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      if (!(mask >> lane & 1)) continue;
      const T value = unpack<T>(from[lane]);
      std::memcpy(pointers.to[lane] + element * sizeof(T), &value, sizeof(T));
    }
  }
}

// By size and sign of what is loaded, and the size of the register.
template <typename T, Space kSpace>
Handler load_into(uint32_t register_bytes) {
  using R16 = std::conditional_t<std::is_signed_v<T>, int16_t, uint16_t>;
  using R32 = std::conditional_t<std::is_signed_v<T>, int32_t, uint32_t>;
  using R64 = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
  if (register_bytes < sizeof(T)) return nullptr;
  if constexpr (sizeof(T) <= 2) {
    if (register_bytes == 2) return load_lanes<T, R16, kSpace>;
  }
  if constexpr (sizeof(T) <= 4) {
    if (register_bytes == 4) return load_lanes<T, R32, kSpace>;
  }
  return register_bytes == 8 ? Handler{load_lanes<T, R64, kSpace>} : nullptr;
}

template <Space kSpace>
Handler load_handler(Type type, uint32_t register_bytes) {
  switch (type) {
    case Type::s8:
      return load_into<int8_t, kSpace>(register_bytes);
    case Type::s16:
      return load_into<int16_t, kSpace>(register_bytes);
    case Type::s32:
      return load_into<int32_t, kSpace>(register_bytes);
    default:
      break;
  }
  switch (bytes_of(type)) {
    case 1:
      return load_into<uint8_t, kSpace>(register_bytes);
    case 2:
      return load_into<uint16_t, kSpace>(register_bytes);
    case 4:
      return load_into<uint32_t, kSpace>(register_bytes);
    case 8:
      return load_into<uint64_t, kSpace>(register_bytes);
    default:
      return nullptr;
  }
}

template <Space kSpace>
Handler store_handler(Type type) {
  switch (bytes_of(type)) {
    case 1:
      return store_lanes<uint8_t, kSpace>;
    case 2:
      return store_lanes<uint16_t, kSpace>;
    case 4:
      return store_lanes<uint32_t, kSpace>;
    case 8:
      return store_lanes<uint64_t, kSpace>;
    default:
      return nullptr;
  }
}

enum class Way : uint8_t { load, store };

template <Way kWay, Space kSpace>
Handler handler_in(Type type, uint32_t register_bytes) {
  if constexpr (kWay == Way::load) return load_handler<kSpace>(type, register_bytes);
  return store_handler<kSpace>(type);
}

template <Way kWay>
Handler handler_for(Space space, Type type, uint32_t register_bytes) {
  switch (space) {
    case Space::constant:
    case Space::global:
      return handler_in<kWay, Space::global>(type, register_bytes);
    case Space::shared:
      return handler_in<kWay, Space::shared>(type, register_bytes);
    case Space::local:
      return handler_in<kWay, Space::local>(type, register_bytes);
    case Space::param:
      return handler_in<kWay, Space::param>(type, register_bytes);
    case Space::generic:
      return handler_in<kWay, Space::generic>(type, register_bytes);
  }
  return nullptr;
}

// Hints that change nothing: caches, and the order of what is weak anyway.
void take_hints(Decoding& d) {
  d.take_all("L1::");
  d.take_all("L2::");
  for (const std::string_view hint : {"ca", "cg", "cs", "lu", "cv", "wb", "wt", "nc", "volatile", "weak",
                                      "relaxed", "acquire", "release", "gpu", "cta", "sys", "mmio"}) {
    d.take(hint);
  }
}

uint8_t take_vector(Decoding& d) {
  const std::string_view vector = d.take_one({"v2", "v4", "v8"});
  return vector == "v8" ? 8 : vector == "v4" ? 4 : vector == "v2" ? 2 : 1;
}

Operand const& element_of(const Decoding& d, const Operand& values, uint8_t count, uint8_t i) {
  if (count == 1) return values;
  d.require(values.kind == OperandKind::vector && values.parts.size() == count, "a vector of another length");
  return values.parts[i];
}

// Wide types of a narrower register are wrong; narrower ones are extended.
uint32_t register_bytes(const Decoding& d, const Operand& operand, Type type) {
  if (operand.kind != OperandKind::reg) return std::max(bytes_of(type), 2u);
  return bytes_of(d.place().function->registers[operand.reg].type);
}

void load(Decoding& d) {
  take_hints(d);
  const Space named = take_space(d);
  const uint8_t count = take_vector(d);
  const Type type = d.take_type();
  const uint32_t bytes = register_bytes(d, element_of(d, d.operand(0), count, 0), type);
  const Decoding::Address address = d.address(1);
  const Space space = address.fixed && named == Space::param ? *address.fixed : named;
  d.require(bytes_of(type) * count <= 32, "a vector of more than 32 bytes");
  Instruction instruction = d.make(d.known(handler_for<Way::load>(space, type, bytes)));
  const Type container = bytes == 8 ? Type::b64 : bytes == 4 ? Type::b32 : Type::b16;
  for (uint8_t i = 0; i < count; ++i) {
    instruction.row[i] = d.result_row(element_of(d, d.operand(0), count, i), container);
  }
  instruction.row[kAddressRow] = address.row;
  instruction.flags = address.wide ? kWideAddress : 0;
  instruction.immediate = address.offset;
  instruction.count = count;
  d.emit(instruction);
}

void store(Decoding& d) {
  take_hints(d);
  const Space named = take_space(d);
  const uint8_t count = take_vector(d);
  const Type type = d.take_type();
  const Decoding::Address address = d.address(0);
  const Space space = address.fixed && named == Space::param ? *address.fixed : named;
  d.require(space != Space::param && space != Space::constant, "a store to what is only read");
  d.require(bytes_of(type) * count <= 32, "a vector of more than 32 bytes");
  Instruction instruction = d.make(d.known(handler_for<Way::store>(space, type, 0)));
  for (uint8_t i = 0; i < count; ++i) {
    const Operand& value = element_of(d, d.operand(1), count, i);
    instruction.row[i] = d.source_row(value, type);
  }
  instruction.row[kAddressRow] = address.row;
  instruction.flags = address.wide ? kWideAddress : 0;
  instruction.immediate = address.offset;
  instruction.count = count;
  d.emit(instruction);
}

uint64_t window_of(Space space) {
  switch (space) {
    case Space::shared:
      return kSharedWindow;
    case Space::local:
      return kLocalWindow;
    case Space::param:
      return kParamWindow;
    default:
      return 0;
  }
}

// Between an address of a space and a generic one: the window's begin more or less.
void convert_address(Decoding& d) {
  const bool to_space = d.take("to");
  const Space space = take_space(d);
  const Type type = d.take_type();
  d.require(bytes_of(type) == 8, "addresses have 64 bits");
  const Operand& source = d.operand(1);
  // Of a variable the address is known here.
  const Space real =
      source.kind == OperandKind::variable && space == Space::param ? d.space_of(source) : space;
  const Handler add = [](Warp& warp, const Instruction& instruction, LaneMask mask) {
    const uint64_t* from = warp.lanes<uint64_t>(instruction.row[1]);
    uint64_t out[Warp::kLanes];
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      out[lane] = from[lane] + static_cast<uint64_t>(instruction.immediate);
    }
    warp.store(warp.lanes<uint64_t>(instruction.row[0]), out, mask);
  };
  Instruction instruction = d.make(add, {d.result(0, type), d.source(1, type)});
  const uint64_t window = window_of(real);
  instruction.immediate = static_cast<int64_t>(to_space ? 0 - window : window);
  d.emit(instruction);
}

void is_in_space(Decoding& d) {
  const Space space = take_space(d);
  const Handler test = [](Warp& warp, const Instruction& instruction, LaneMask mask) {
    const uint64_t* address = warp.lanes<uint64_t>(instruction.row[1]);
    const auto window = static_cast<uint64_t>(instruction.immediate);
    LaneMask inside = 0;
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      const bool global = address[lane] < kSharedWindow || address[lane] >= kGlobalWindow;
      inside |= LaneMask{window == 0 ? global : address[lane] - window < kWindowBytes} << lane;
    }
    LaneMask& result = warp.predicate(instruction.row[0]);
    result = (result & ~mask) | (inside & mask);
  };
  Instruction instruction = d.make(test, {d.result_predicate(d.operand(0)), d.source(1, Type::b64)});
  instruction.immediate = static_cast<int64_t>(window_of(space));
  d.emit(instruction);
}

// A hint; what it points to may be anything.
void prefetch(Decoding& d) {
  take_hints(d);
  take_space(d);
  for (const std::string_view level : {"L1", "L2", "tensormap"}) d.take(level);
  d.address(0);
}

}  // namespace

Space take_space(Decoding& d) {
  d.take_one({"param::entry", "param::func"});
  const std::string_view name = d.take_one({"global", "shared", "shared::cta", "local", "const", "param"});
  if (name == "global") return Space::global;
  if (name == "shared" || name == "shared::cta") return Space::shared;
  if (name == "local") return Space::local;
  if (name == "const") return Space::constant;
  return name == "param" ? Space::param : Space::generic;
}

void add_memory_decoders(Decoders& decoders) {
  decoders["ld"] = load;
  decoders["ldu"] = load;
  decoders["st"] = store;
  decoders["cvta"] = convert_address;
  decoders["isspacep"] = is_in_space;
  decoders["prefetch"] = prefetch;
  decoders["prefetchu"] = prefetch;
}

}  // namespace lorikeet::simulator
