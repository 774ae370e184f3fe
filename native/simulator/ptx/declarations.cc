#include "simulator/ptx/declarations.h"

#include <bit>
#include <cstdlib>
#include <cstring>

namespace lorikeet::simulator {

namespace {

void read_value(Cursor& cursor, Variable& variable);

// Appends the bytes of one initial value.
void append(Cursor& cursor, Variable& variable, uint64_t bits) {
  const uint32_t bytes = bytes_of(variable.type);
  if (variable.initial.size() + bytes > variable.bytes)
    cursor.fail("more initial values than '" + variable.name + "' holds");
  for (uint32_t i = 0; i < bytes; ++i)
    variable.initial.push_back(static_cast<uint8_t>(i < 8 ? bits >> (8 * i) : 0));
}

// `generic(name)+8` or `name`: the address of another variable.
void read_pointer(Cursor& cursor, Variable& variable) {
  const bool generic = cursor.take("generic") && (cursor.expect("("), true);
  const std::string target(cursor.word("a variable"));
  if (generic) cursor.expect(")");
  int64_t addend = 0;
  if (cursor.take("+")) addend = static_cast<int64_t>(cursor.count(kMaxVariableBytes));
  if (bytes_of(variable.type) != 8) cursor.fail("an address needs 64 bits");
  variable.pointers.push_back({variable.initial.size(), target, addend});
  append(cursor, variable, 0);
}

void read_scalar(Cursor& cursor, Variable& variable) {
  if (const auto real = take_real(cursor)) return append(cursor, variable, real->bits);
  if (cursor.peek().kind == TokenKind::word) return read_pointer(cursor, variable);
  const bool minus = cursor.take("-");
  const uint64_t value = cursor.integer();
  append(cursor, variable, minus ? 0 - value : value);
}

void read_list(Cursor& cursor, Variable& variable) {
  while (!cursor.take("}")) {
    read_value(cursor, variable);
    if (!cursor.take(",") && !cursor.sees("}")) cursor.fail("expected ',' or '}'");
  }
}

// Lists of rows are told from lists of numbers by their braces alone; PTX of nvcc has one level.
void read_value(Cursor& cursor, Variable& variable) {
  if (!cursor.take("{")) return read_scalar(cursor, variable);
  if (cursor.sees("{")) cursor.fail("initial values of more than one dimension are not supported");
  read_list(cursor, variable);
}

void read_dimensions(Cursor& cursor, Variable& variable) {
  while (cursor.take("[")) {
    if (cursor.take("]")) {
      variable.is_dynamic = true;
      variable.bytes = 0;
      continue;
    }
    const uint64_t size = cursor.count(kMaxVariableBytes);
    if (size != 0 && variable.bytes > kMaxVariableBytes / size)
      cursor.fail("'" + variable.name + "' is too large");
    variable.bytes *= size;
    cursor.expect("]");
  }
}

}  // namespace

std::optional<Space> space_of_directive(std::string_view directive) {
  if (directive == ".global") return Space::global;
  if (directive == ".shared") return Space::shared;
  if (directive == ".const") return Space::constant;
  if (directive == ".local") return Space::local;
  if (directive == ".param") return Space::param;
  return std::nullopt;
}

std::optional<Real> take_real(Cursor& cursor) {
  const Token& token = cursor.peek();
  if (token.kind != TokenKind::number) return std::nullopt;
  const std::string text(token.text);
  const char kind = text.size() > 2 && text[0] == '0' ? text[1] : '\0';
  const bool single = kind == 'f' || kind == 'F';
  if (single || kind == 'd' || kind == 'D') {
    char* end = nullptr;
    const uint64_t bits = std::strtoull(text.c_str() + 2, &end, 16);
    if (text.size() != (single ? 10 : 18) || *end != '\0') cursor.fail("no such number");
    cursor.next();
    return Real{!single, bits};
  }
  if (text.find('.') == std::string::npos) return std::nullopt;
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  if (*end != '\0') cursor.fail("no such number");
  cursor.next();
  return Real{true, std::bit_cast<uint64_t>(value)};
}

Variable read_variable(Cursor& cursor, Space space, bool may_have_value) {
  Variable variable;
  variable.space = space;
  bool aligned = false;
  if (cursor.take(".align")) {
    variable.alignment = static_cast<uint32_t>(cursor.count(128));
    if (!std::has_single_bit(variable.alignment)) cursor.fail("an alignment is a power of two");
    aligned = true;
  }
  uint32_t elements = 1;
  if (cursor.take(".v2")) elements = 2;
  if (cursor.take(".v4")) elements = 4;
  const std::string_view name = cursor.word("a type");
  const auto type = type_of(name.substr(std::min<size_t>(1, name.size())));
  if (!type || bytes_of(*type) == 0)
    cursor.fail("'" + std::string(name) + "' is no type of a variable; behind it");
  variable.type = *type;
  variable.bytes = uint64_t{bytes_of(*type)} * elements;
  if (!aligned) variable.alignment = static_cast<uint32_t>(variable.bytes);
  // `.ptr .global .align 16`, of parameters: what they point to. We hold accesses to the truth, not to this.
  while (cursor.sees(".ptr") || space_of_directive(cursor.peek().text) || cursor.sees(".align")) {
    if (cursor.next().text == ".align") cursor.count(1u << 20);
  }
  variable.name = cursor.word("a name");
  read_dimensions(cursor, variable);
  const bool is_owned = space != Space::global && space != Space::constant;
  if (is_owned && variable.bytes > kMaxOwnBytes) cursor.fail("'" + variable.name + "' is too large");
  if (may_have_value && cursor.take("=")) read_value(cursor, variable);
  return variable;
}

}  // namespace lorikeet::simulator
