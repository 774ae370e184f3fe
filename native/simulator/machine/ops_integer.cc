// Integer arithmetic: add, sub, mul, mad, div, rem, min, max, abs, neg, sad, popc, clz, bfind, brev, bfe,
// bfi, dp4a.
#include <bit>
#include <limits>

#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"

namespace lorikeet::simulator {

namespace {

template <typename T>
using Unsigned = std::make_unsigned_t<T>;

// Wraps around; in 64 bits, as 16-bit products would otherwise be signed.
template <typename T>
constexpr uint64_t wide(T value) {
  return static_cast<uint64_t>(value);
}

constexpr auto kAdd = []<typename T>(T a, T b) { return static_cast<T>(wide(a) + wide(b)); };
constexpr auto kSubtract = []<typename T>(T a, T b) { return static_cast<T>(wide(a) - wide(b)); };
constexpr auto kMultiply = []<typename T>(T a, T b) { return static_cast<T>(wide(a) * wide(b)); };
constexpr auto kMultiplyAdd = []<typename T>(T a, T b, T c) {
  return static_cast<T>(wide(a) * wide(b) + wide(c));
};
constexpr auto kMinimum = []<typename T>(T a, T b) { return b < a ? b : a; };
constexpr auto kMaximum = []<typename T>(T a, T b) { return a < b ? b : a; };
constexpr auto kNegate = []<typename T>(T a) { return static_cast<T>(0 - wide(a)); };
constexpr auto kAbsolute = []<typename T>(T a) { return a < 0 ? static_cast<T>(0 - wide(a)) : a; };

template <typename T>
T high_product(T a, T b) {
  if constexpr (sizeof(T) == 8) {
    using Product = std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>;
    return static_cast<T>((static_cast<Product>(a) * static_cast<Product>(b)) >> 64);
  } else {
    using Product = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
    return static_cast<T>((static_cast<Product>(a) * static_cast<Product>(b)) >> (sizeof(T) * 8));
  }
}

constexpr auto kHigh = []<typename T>(T a, T b) { return high_product(a, b); };
constexpr auto kHighAdd = []<typename T>(T a, T b, T c) {
  return static_cast<T>(wide(high_product(a, b)) + wide(c));
};

// What hardware gives for a division by zero is all ones; for the one that overflows, the least number
// itself.
constexpr auto kDivide = []<typename T>(T a, T b) -> T {
  if (b == 0) return static_cast<T>(~T{0});
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return static_cast<T>(0 - wide(a));
  }
  return static_cast<T>(a / b);
};
constexpr auto kRemainder = []<typename T>(T a, T b) -> T {
  if (b == 0) return a;
  if constexpr (std::is_signed_v<T>) {
    if (b == -1) return 0;
  }
  return static_cast<T>(a % b);
};
constexpr auto kSumOfDifference = []<typename T>(T a, T b, T c) {
  return static_cast<T>(wide(c) + (a < b ? wide(b) - wide(a) : wide(a) - wide(b)));
};

template <auto F>
void two_of_type(Decoding& d) {
  const Type type = d.take_type();
  d.emit(d.known(integer2<F>(type)), {d.result(0, type), d.source(1, type), d.source(2, type)});
}

// Floats of these opcodes are decoded elsewhere.
bool is_float_statement(const Decoding& d) {
  for (const std::string_view modifier : d.statement().modifiers) {
    const auto type = type_of(modifier);
    if (type && is_float(*type)) return true;
  }
  return false;
}

template <auto F>
void arithmetic(Decoding& d) {
  if (is_float_statement(d)) return decode_float_arithmetic(d);
  if (!d.take("sat")) return two_of_type<F>(d);
  constexpr auto clamp = [](int32_t a, int32_t b) {
    const int64_t sum = F(int64_t{a}, int64_t{b});
    constexpr int64_t least = std::numeric_limits<int32_t>::min(), most = std::numeric_limits<int32_t>::max();
    return static_cast<int32_t>(sum < least ? least : sum > most ? most : sum);
  };
  d.require(d.take_type() == Type::s32, ".sat is for s32 alone");
  d.emit(lanes2<clamp, int32_t, int32_t>,
         {d.result(0, Type::s32), d.source(1, Type::s32), d.source(2, Type::s32)});
}

Type doubled(Type type) {
  switch (type) {
    case Type::u16:
      return Type::u32;
    case Type::s16:
      return Type::s32;
    case Type::u32:
      return Type::u64;
    default:
      return Type::s64;
  }
}

constexpr auto kWideProduct = []<typename T>(T a, T b) {
  using Product = std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>;
  return static_cast<uint64_t>(static_cast<Product>(a) * static_cast<Product>(b));
};

template <bool kWithAddend>
Handler wide_product(Type type) {
  if constexpr (kWithAddend) {
    constexpr auto add = [](auto a, auto b, auto c) {
      return static_cast<decltype(c)>(kWideProduct(a, b) + wide(c));
    };
    switch (type) {
      case Type::u16:
        return lanes3<add, uint32_t, uint16_t, uint16_t, uint32_t>;
      case Type::s16:
        return lanes3<add, uint32_t, int16_t, int16_t, uint32_t>;
      case Type::u32:
        return lanes3<add, uint64_t, uint32_t, uint32_t, uint64_t>;
      case Type::s32:
        return lanes3<add, uint64_t, int32_t, int32_t, uint64_t>;
      default:
        return nullptr;
    }
  } else {
    constexpr auto narrow = [](auto a, auto b) { return static_cast<uint32_t>(kWideProduct(a, b)); };
    switch (type) {
      case Type::u16:
        return lanes2<narrow, uint32_t, uint16_t>;
      case Type::s16:
        return lanes2<narrow, uint32_t, int16_t>;
      case Type::u32:
        return lanes2<kWideProduct, uint64_t, uint32_t>;
      case Type::s32:
        return lanes2<kWideProduct, uint64_t, int32_t>;
      default:
        return nullptr;
    }
  }
}

void multiply(Decoding& d) {
  if (is_float_statement(d)) return decode_float_arithmetic(d);
  const std::string_view part = d.take_one({"lo", "hi", "wide"});
  const Type type = d.take_type();
  d.require(!part.empty(), "mul of integers is .lo, .hi or .wide");
  const Type result = part == "wide" ? doubled(type) : type;
  const Handler handler = part == "wide" ? wide_product<false>(type)
                          : part == "hi" ? integer2<kHigh>(type)
                                         : integer2<kMultiply>(type);
  d.emit(d.known(handler), {d.result(0, result), d.source(1, type), d.source(2, type)});
}

void multiply_add(Decoding& d) {
  if (is_float_statement(d)) return decode_float_arithmetic(d);
  const std::string_view part = d.take_one({"lo", "hi", "wide"});
  const Type type = d.take_type();
  d.require(!part.empty(), "mad of integers is .lo, .hi or .wide");
  const Type result = part == "wide" ? doubled(type) : type;
  const Handler handler = part == "wide" ? wide_product<true>(type)
                          : part == "hi" ? integer3<kHighAdd>(type)
                                         : integer3<kMultiplyAdd>(type);
  d.emit(d.known(handler), {d.result(0, result), d.source(1, type), d.source(2, type), d.source(3, result)});
}

template <auto F>
void one_of_type(Decoding& d) {
  if (is_float_statement(d)) return decode_float_arithmetic(d);
  const Type type = d.take_type();
  d.emit(d.known(integer1<F>(type)), {d.result(0, type), d.source(1, type)});
}

void sad(Decoding& d) {
  const Type type = d.take_type();
  d.emit(d.known(integer3<kSumOfDifference>(type)),
         {d.result(0, type), d.source(1, type), d.source(2, type), d.source(3, type)});
}

// popc, clz: of 32 or 64 bits, the result always of 32.
template <auto F>
void count_bits(Decoding& d) {
  const Type type = d.take_type();
  const Handler handler = bytes_of(type) == 8   ? lanes1<F, uint32_t, uint64_t>
                          : bytes_of(type) == 4 ? lanes1<F, uint32_t, uint32_t>
                                                : nullptr;
  d.emit(d.known(handler), {d.result(0, Type::u32), d.source(1, type)});
}

constexpr auto kOnes = [](auto a) { return static_cast<uint32_t>(std::popcount(a)); };
constexpr auto kLeadingZeros = [](auto a) { return static_cast<uint32_t>(std::countl_zero(a)); };

// The place of the highest bit that differs from the sign, or how far it lies below the top.
template <bool kAsShift>
constexpr auto kFind = []<typename T>(T a) {
  const auto bits = static_cast<Unsigned<T>>(std::is_signed_v<T> && a < 0 ? ~a : a);
  const auto zeros = static_cast<uint32_t>(std::countl_zero(bits));
  if (bits == 0) return ~0u;
  return kAsShift ? zeros : static_cast<uint32_t>(sizeof(T) * 8 - 1) - zeros;
};

template <bool kAsShift>
Handler find_handler(Type type) {
  switch (type) {
    case Type::u32:
      return lanes1<kFind<kAsShift>, uint32_t, uint32_t>;
    case Type::s32:
      return lanes1<kFind<kAsShift>, uint32_t, int32_t>;
    case Type::u64:
      return lanes1<kFind<kAsShift>, uint32_t, uint64_t>;
    case Type::s64:
      return lanes1<kFind<kAsShift>, uint32_t, int64_t>;
    default:
      return nullptr;
  }
}

void bfind(Decoding& d) {
  const bool as_shift = d.take("shiftamt");
  const Type type = d.take_type();
  d.emit(d.known(as_shift ? find_handler<true>(type) : find_handler<false>(type)),
         {d.result(0, Type::u32), d.source(1, type)});
}

constexpr auto kReverse = []<typename T>(T a) {
  Unsigned<T> bits = static_cast<Unsigned<T>>(a), reversed = 0;
  for (size_t i = 0; i < sizeof(T) * 8; ++i, bits >>= 1)
    reversed = static_cast<Unsigned<T>>(reversed << 1 | (bits & 1));
  return static_cast<T>(reversed);
};

// bfe: bits [position, position + length) of a, the sign bit above them if signed.
constexpr auto kExtract = []<typename T>(T a, uint32_t position, uint32_t length) -> T {
  constexpr uint32_t bits = sizeof(T) * 8;
  position &= 0xff;
  length &= 0xff;
  const auto value = static_cast<Unsigned<T>>(a);
  const uint32_t last = std::min(position + length - 1, bits - 1);
  const bool sign = std::is_signed_v<T> && length != 0 && (value >> last & 1);
  Unsigned<T> field = position >= bits ? Unsigned<T>{0} : value >> position;
  if (position >= bits && sign) field = ~Unsigned<T>{0};
  if (length >= bits)
    return static_cast<T>(sign && position > 0 && position < bits ? field | ~(~Unsigned<T>{0} >> position)
                                                                  : field);
  const Unsigned<T> keep = (Unsigned<T>{1} << length) - 1;
  return static_cast<T>((field & keep) | (sign ? ~keep : Unsigned<T>{0}));
};

void bfe(Decoding& d) {
  const Type type = d.take_type();
  Handler handler = nullptr;
  if (type == Type::u32) handler = lanes3<kExtract, uint32_t, uint32_t, uint32_t, uint32_t>;
  if (type == Type::s32) handler = lanes3<kExtract, int32_t, int32_t, uint32_t, uint32_t>;
  if (type == Type::u64) handler = lanes3<kExtract, uint64_t, uint64_t, uint32_t, uint32_t>;
  if (type == Type::s64) handler = lanes3<kExtract, int64_t, int64_t, uint32_t, uint32_t>;
  d.emit(d.known(handler),
         {d.result(0, type), d.source(1, type), d.source(2, Type::u32), d.source(3, Type::u32)});
}

// bfi: the low bits of a in place of [position, position + length) of b.
constexpr auto kInsert = []<typename T>(T a, T b, uint32_t position, uint32_t length) -> T {
  constexpr uint32_t bits = sizeof(T) * 8;
  position &= 0xff;
  length &= 0xff;
  if (position >= bits) return b;
  const T keep = length >= bits ? ~T{0} : static_cast<T>((T{1} << length) - 1);
  const T field = static_cast<T>(keep << position);
  return static_cast<T>((b & ~field) | ((a << position) & field));
};

void bfi(Decoding& d) {
  const Type type = d.take_type();
  const Handler handler =
      type == Type::b32   ? lanes4<kInsert, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t>
      : type == Type::b64 ? lanes4<kInsert, uint64_t, uint64_t, uint64_t, uint32_t, uint32_t>
                          : nullptr;
  d.emit(d.known(handler), {d.result(0, type), d.source(1, type), d.source(2, type), d.source(3, Type::u32),
                            d.source(4, Type::u32)});
}

template <typename A, typename B>
constexpr auto kDot = [](uint32_t a, uint32_t b, uint32_t c) {
  for (int i = 0; i < 4; ++i) {
    c += static_cast<uint32_t>(int32_t{static_cast<A>(a >> (8 * i))} * int32_t{static_cast<B>(b >> (8 * i))});
  }
  return c;
};

void dp4a(Decoding& d) {
  const Type a = d.take_type(), b = d.take_type_if_any().value_or(a);
  Handler handler = nullptr;
  if (a == Type::u32 && b == Type::u32) handler = lanes3<kDot<uint8_t, uint8_t>, uint32_t, uint32_t>;
  if (a == Type::u32 && b == Type::s32) handler = lanes3<kDot<uint8_t, int8_t>, uint32_t, uint32_t>;
  if (a == Type::s32 && b == Type::u32) handler = lanes3<kDot<int8_t, uint8_t>, uint32_t, uint32_t>;
  if (a == Type::s32 && b == Type::s32) handler = lanes3<kDot<int8_t, int8_t>, uint32_t, uint32_t>;
  d.emit(d.known(handler),
         {d.result(0, Type::b32), d.source(1, Type::b32), d.source(2, Type::b32), d.source(3, Type::b32)});
}

}  // namespace

void add_integer_decoders(Decoders& decoders) {
  decoders["add"] = arithmetic<kAdd>;
  decoders["sub"] = arithmetic<kSubtract>;
  decoders["min"] = [](Decoding& d) {
    is_float_statement(d) ? decode_float_arithmetic(d) : two_of_type<kMinimum>(d);
  };
  decoders["max"] = [](Decoding& d) {
    is_float_statement(d) ? decode_float_arithmetic(d) : two_of_type<kMaximum>(d);
  };
  decoders["div"] = [](Decoding& d) {
    is_float_statement(d) ? decode_float_arithmetic(d) : two_of_type<kDivide>(d);
  };
  decoders["rem"] = two_of_type<kRemainder>;
  decoders["mul"] = multiply;
  decoders["mad"] = multiply_add;
  decoders["neg"] = one_of_type<kNegate>;
  decoders["abs"] = one_of_type<kAbsolute>;
  decoders["brev"] = one_of_type<kReverse>;
  decoders["sad"] = sad;
  decoders["popc"] = count_bits<kOnes>;
  decoders["clz"] = count_bits<kLeadingZeros>;
  decoders["bfind"] = bfind;
  decoders["bfe"] = bfe;
  decoders["bfi"] = bfi;
  decoders["dp4a"] = dp4a;
}

}  // namespace lorikeet::simulator
