#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace lorikeet::simulator {

// The scalar types of PTX, as far as instructions of sm_80 name them.
enum class Type : uint8_t {
  pred,
  b8,
  b16,
  b32,
  b64,
  b128,
  u8,
  u16,
  u32,
  u64,
  s8,
  s16,
  s32,
  s64,
  f16,
  f16x2,
  bf16,
  bf16x2,
  tf32,
  f32,
  f64,
  e4m3x2,
  e5m2x2,
};

// `name` without its dot.
std::optional<Type> type_of(std::string_view name);
std::string_view name_of(Type type);

// Of a value in memory; 0 for predicates, which have no address.
uint32_t bytes_of(Type type);

inline bool is_signed(Type type) {
  return type >= Type::s8 && type <= Type::s64;
}
inline bool is_float(Type type) {
  return type >= Type::f16;
}

// Where a variable lies. A `generic` address may point into any of them but `reg`.
enum class Space : uint8_t { generic, global, shared, local, constant, param };

std::string_view name_of(Space space);

}  // namespace lorikeet::simulator
