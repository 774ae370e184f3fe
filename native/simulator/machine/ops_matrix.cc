// Tensor cores: ldmatrix, and mma.sync of m16n8k8 (tf32), m16n8k16 (f16, bf16, s8, u8) and m16n8k32 (s8, u8).
//
// Fragments lie as the PTX manual says: of lane l with g = l / 4 and t = l % 4, the element pairs or
// quadruples of rows g and g + 8 of A, of column g of B, and columns 2t and 2t + 1 of C. Floats are summed in
// float32 in ascending order of k, from C on; hardware sums groups in a wider form and cuts, so results
// differ in the last bits.
#include "simulator/machine/access.h"
#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"

namespace lorikeet::simulator {

namespace {

void require_all_lanes(LaneMask mask) {
  if (mask == kAllLanes) return;
  throw MachineFault{FaultKind::missing_lanes, mask,
                     "all lanes of a warp take part in it, and " + lanes_text(~mask) + " do not"};
}

// Sets of 8 x 8 elements of 16 bits; lanes 8j to 8j + 7 give the addresses of the rows of matrix j.
template <bool kTransposed, Space kSpace>
void load_matrix(Warp& warp, const Instruction& instruction, LaneMask mask) {
  require_all_lanes(mask);
  const LaneAddresses addresses =
      addresses_of(warp, instruction.row[4], instruction.flags != 0, instruction.immediate);
  const LaneMask reading = instruction.count == 4 ? kAllLanes : (LaneMask{1} << (instruction.count * 8)) - 1;
  LanePointers rows;
  resolver_of(kSpace)(warp, addresses, {16}, reading, rows);
  for (uint32_t matrix = 0; matrix < instruction.count; ++matrix) {
    uint32_t out[Warp::kLanes];
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      if constexpr (kTransposed) {
        uint16_t low = 0, high = 0;
        const uint32_t column = lane / 4 * 2;
        std::memcpy(&low, rows.to[matrix * 8 + lane % 4 * 2] + column, 2);
        std::memcpy(&high, rows.to[matrix * 8 + lane % 4 * 2 + 1] + column, 2);
        out[lane] = low | static_cast<uint32_t>(high) << 16;
      } else {
        std::memcpy(&out[lane], rows.to[matrix * 8 + lane / 4] + lane % 4 * 4, 4);
      }
    }
    warp.store(warp.lanes<uint32_t>(instruction.row[matrix]), out, kAllLanes);
  }
}

void decode_load_matrix(Decoding& d) {
  d.require(d.take("sync") && d.take("aligned") && d.take("m8n8"), "ldmatrix is .sync.aligned.m8n8");
  const std::string_view number = d.take_one({"x1", "x2", "x4"});
  const bool transposed = d.take("trans"), shared = !d.take_one({"shared", "shared::cta"}).empty();
  d.require(!number.empty() && d.take_type() == Type::b16, "ldmatrix is .x1, .x2 or .x4, of b16");
  const auto count = static_cast<uint8_t>(number[1] - '0');
  const Handler handler =
      shared ? (transposed ? load_matrix<true, Space::shared> : load_matrix<false, Space::shared>)
             : (transposed ? load_matrix<true, Space::generic> : load_matrix<false, Space::generic>);
  const Decoding::Address address = d.address(1);
  Instruction instruction = d.make(handler);
  const Operand& results = d.operand(0);
  const bool fits = results.kind == OperandKind::vector ? results.parts.size() == count : count == 1;
  d.require(fits, "ldmatrix into another number of registers");
  for (uint8_t i = 0; i < count; ++i) {
    instruction.row[i] =
        d.result_row(results.kind == OperandKind::vector ? results.parts[i] : results, Type::b32);
  }
  instruction.row[4] = address.row;
  instruction.flags = address.wide;
  instruction.immediate = address.offset;
  instruction.count = count;
  d.emit(instruction);
}

// ---- mma ----
// How elements of one type lie in a register.
struct BrainElement {
  using Sum = float;
  static constexpr uint32_t kPerRegister = 2;
  static float at(uint32_t bits, uint32_t i) {
    return to_float(Brain{static_cast<uint16_t>(bits >> (16 * i))});
  }
};
struct HalfElement {
  using Sum = float;
  static constexpr uint32_t kPerRegister = 2;
  static float at(uint32_t bits, uint32_t i) {
    return to_float(Half{static_cast<uint16_t>(bits >> (16 * i))});
  }
};
struct Tf32Element {
  using Sum = float;
  static constexpr uint32_t kPerRegister = 1;
  static float at(uint32_t bits, uint32_t) { return std::bit_cast<float>(bits & ~0x1fffu); }
};
template <typename Byte>
struct ByteElement {
  using Sum = int32_t;
  static constexpr uint32_t kPerRegister = 4;
  static int32_t at(uint32_t bits, uint32_t i) { return static_cast<Byte>(bits >> (8 * i)); }
};

// [16][K] of A by rows, and [K][8] of B, so that the sums below run along the 8 columns.
template <typename E, typename F, uint32_t kRegistersOfB>
struct Tiles {
  static constexpr uint32_t kDepth = kRegistersOfB * 4 * E::kPerRegister;
  typename E::Sum a[16][kDepth], b[kDepth][8];

  // A: registers come as (row g, first half of k), (g + 8, first), (g, second), (g + 8, second).
  Tiles(Warp& warp, const uint16_t* a_rows, const uint16_t* b_rows) {
    constexpr uint32_t n = E::kPerRegister;
    for (uint32_t reg = 0; reg < kRegistersOfB; ++reg) {
      const uint32_t *top = warp.lanes<uint32_t>(a_rows[reg * 2]),
                     *bottom = warp.lanes<uint32_t>(a_rows[reg * 2 + 1]),
                     *column = warp.lanes<uint32_t>(b_rows[reg]);
      for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
        const uint32_t group = lane / 4, k = reg * 4 * n + lane % 4 * n;
        for (uint32_t i = 0; i < n; ++i) {
          a[group][k + i] = E::at(top[lane], i);
          a[group + 8][k + i] = E::at(bottom[lane], i);
          b[k + i][group] = F::at(column[lane], i);
        }
      }
    }
  }
};

// Rows: 4 of D, 4 of C, those of A, those of B.
template <typename E, typename F, uint32_t kRegistersOfB>
void multiply_matrices(Warp& warp, const Instruction& instruction, LaneMask mask) {
  require_all_lanes(mask);
  using Sum = typename E::Sum;
  ++warp.counters().matrix_products;
  const Tiles<E, F, kRegistersOfB> tiles(warp, &instruction.row[8], &instruction.row[8 + 2 * kRegistersOfB]);
  Sum sums[16][8];
  for (uint32_t reg = 0; reg < 4; ++reg) {
    const auto* c = warp.lanes<uint32_t>(instruction.row[4 + reg]);
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      sums[lane / 4 + reg / 2 * 8][lane % 4 * 2 + reg % 2] = std::bit_cast<Sum>(c[lane]);
    }
  }
  for (uint32_t row = 0; row < 16; ++row) {
    for (uint32_t k = 0; k < tiles.kDepth; ++k) {
      for (uint32_t column = 0; column < 8; ++column) {
        if constexpr (std::is_same_v<Sum, float>) {
          sums[row][column] += tiles.a[row][k] * tiles.b[k][column];
        } else {
          // Wraps around, as hardware without .satfinite does.
          sums[row][column] =
              static_cast<int32_t>(static_cast<uint32_t>(sums[row][column]) +
                                   static_cast<uint32_t>(tiles.a[row][k] * tiles.b[k][column]));
        }
      }
    }
  }
  for (uint32_t reg = 0; reg < 4; ++reg) {
    auto* d = warp.lanes<uint32_t>(instruction.row[reg]);
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      d[lane] = std::bit_cast<uint32_t>(sums[lane / 4 + reg / 2 * 8][lane % 4 * 2 + reg % 2]);
    }
  }
}

template <typename E>
Handler by_depth(uint32_t registers_of_b) {
  return registers_of_b == 2 ? Handler{multiply_matrices<E, E, 2>} : Handler{multiply_matrices<E, E, 1>};
}

template <typename A>
Handler byte_product(Type b, uint32_t registers_of_b) {
  using Signed = ByteElement<int8_t>;
  using Plain = ByteElement<uint8_t>;
  const bool deep = registers_of_b == 2;
  if (b == Type::s8) return deep ? multiply_matrices<A, Signed, 2> : multiply_matrices<A, Signed, 1>;
  if (b == Type::u8) return deep ? multiply_matrices<A, Plain, 2> : multiply_matrices<A, Plain, 1>;
  return nullptr;
}

struct Product {
  Type d, a, b, c;
  uint32_t registers_of_b;
};

Handler product_handler(const Product& product) {
  if (product.d != product.c) return nullptr;
  if (product.d == Type::s32) {
    if (product.a == Type::s8) return byte_product<ByteElement<int8_t>>(product.b, product.registers_of_b);
    return product.a == Type::u8 ? byte_product<ByteElement<uint8_t>>(product.b, product.registers_of_b)
                                 : nullptr;
  }
  if (product.d != Type::f32 || product.a != product.b) return nullptr;
  switch (product.a) {
    case Type::bf16:
      return by_depth<BrainElement>(product.registers_of_b);
    case Type::f16:
      return by_depth<HalfElement>(product.registers_of_b);
    case Type::tf32:
      return by_depth<Tf32Element>(product.registers_of_b);
    default:
      return nullptr;
  }
}

uint32_t depth_of(std::string_view shape) {
  if (shape == "m16n8k4") return 4;
  if (shape == "m16n8k8") return 8;
  if (shape == "m16n8k16") return 16;
  return shape == "m16n8k32" ? 32 : 0;
}

void decode_multiply(Decoding& d) {
  d.require(d.take("sync") && d.take("aligned") && d.take("row") && d.take("col"),
            "mma is .sync.aligned, .row.col");
  const uint32_t depth = depth_of(d.take_one({"m16n8k4", "m16n8k8", "m16n8k16", "m16n8k32"}));
  Product product{};
  product.d = d.take_type();
  product.a = d.take_type();
  product.b = d.take_type();
  product.c = d.take_type();
  const uint32_t bytes = product.a == Type::tf32 ? 4 : bytes_of(product.a);
  product.registers_of_b = depth * bytes / 16;
  d.require(product.registers_of_b == 1 || product.registers_of_b == 2, "mma of this shape and these types");
  Instruction instruction = d.make(d.known(product_handler(product)));
  const auto fill = [&](size_t operand, size_t first, size_t count, bool result) {
    const Operand& vector = d.operand(operand);
    const bool whole = vector.kind == OperandKind::vector && vector.parts.size() == count;
    d.require(whole || (count == 1 && vector.kind == OperandKind::reg),
              "mma with another number of registers");
    for (size_t i = 0; i < count; ++i) {
      const Operand& part = whole ? vector.parts[i] : vector;
      instruction.row[first + i] = result ? d.result_row(part, Type::b32) : d.source_row(part, Type::b32);
    }
  };
  fill(0, 0, 4, true);
  fill(3, 4, 4, false);
  fill(1, 8, size_t{2} * product.registers_of_b, false);
  fill(2, 8 + size_t{2} * product.registers_of_b, product.registers_of_b, false);
  d.emit(instruction);
}

}  // namespace

void add_matrix_decoders(Decoders& decoders) {
  decoders["ldmatrix"] = decode_load_matrix;
  decoders["mma"] = decode_multiply;
}

}  // namespace lorikeet::simulator
