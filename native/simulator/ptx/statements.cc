#include "simulator/ptx/statements.h"

#include <algorithm>

#include "simulator/ptx/declarations.h"

namespace lorikeet::simulator {

namespace {

constexpr uint64_t kMaxRegisters = 1u << 20;
constexpr size_t kMaxDepth = 64;

bool is_label(const Cursor& cursor) {
  return cursor.peek().kind == TokenKind::word && cursor.sees(":", 1);
}

}  // namespace

void BodyReader::read() {
  const size_t outside = scopes_.depth();
  scopes_.open();
  while (scopes_.depth() > outside) {
    if (cursor_.at_end()) cursor_.fail("the body of '" + function_.name + "' does not end");
    read_line();
  }
  resolve_jumps();
}

void BodyReader::read_line() {
  if (cursor_.take("{")) {
    if (scopes_.depth() > kMaxDepth) cursor_.fail("blocks nest too deeply");
    return scopes_.open();
  }
  if (cursor_.take("}")) return scopes_.close();
  if (cursor_.take(";")) return;
  if (is_label(cursor_)) {
    const std::string_view name = cursor_.next().text;
    if (!scopes_.add_label(name, static_cast<uint32_t>(function_.statements.size()))) {
      cursor_.fail("the label '" + std::string(name) + "' stands twice");
    }
    return cursor_.expect(":");
  }
  if (cursor_.take(".reg")) return read_registers();
  if (const auto space = space_of_directive(cursor_.peek().text)) {
    cursor_.next();
    return read_variables(*space);
  }
  if (cursor_.take(".loc")) {  // `.loc 1 20 5` has no end of its own but the numbers
    while (cursor_.peek().kind == TokenKind::number) cursor_.next();
    return;
  }
  if (cursor_.take(".pragma")) {
    while (!cursor_.take(";")) cursor_.at_end() ? cursor_.fail("expected ';'") : void(cursor_.next());
    return;
  }
  read_statement();
}

void BodyReader::read_registers() {
  const std::string_view type_name = cursor_.word("a type");
  const auto type = type_of(type_name.substr(std::min<size_t>(1, type_name.size())));
  if (!type) cursor_.fail("'" + std::string(type_name) + "' is no type of a register; behind it");
  do {
    const std::string_view name = cursor_.word("the name of a register");
    if (cursor_.take("<")) {
      scopes_.add_range(name, cursor_.count(kMaxRegisters), *type);
      cursor_.expect(">");
    } else {
      scopes_.add_register(name, static_cast<uint32_t>(function_.registers.size()));
      function_.registers.push_back({std::string(name), *type});
    }
  } while (cursor_.take(","));
  cursor_.expect(";");
}

void BodyReader::read_variables(Space space) {
  Variable variable = read_variable(cursor_, space, false);
  scopes_.add_variable(variable.name, static_cast<uint32_t>(function_.variables.size()));
  function_.variables.push_back(std::move(variable));
  cursor_.expect(";");
}

void BodyReader::read_statement() {
  Statement statement;
  statement.line = cursor_.line();
  if (cursor_.take("@")) {
    const bool negated = cursor_.take("!");
    Operand guard = read_word();
    if (guard.kind != OperandKind::reg || function_.registers[guard.reg].type != Type::pred) {
      throw PtxError(statement.line, "what stands behind '@' is no predicate");
    }
    guard.negated = negated;
    statement.guard = std::move(guard);
  }
  std::string_view word = cursor_.word("an instruction");
  const size_t dot = word.find('.');
  statement.opcode = word.substr(0, dot);
  while (dot != std::string_view::npos && word.find('.') != std::string_view::npos) {
    word.remove_prefix(word.find('.') + 1);
    statement.modifiers.push_back(word.substr(0, word.find('.')));
  }
  if (statement.opcode == "call") {
    read_call_operands(statement);
  } else if (!cursor_.sees(";")) {
    statement.operands = read_list();
  }
  cursor_.expect(";");
  function_.statements.push_back(std::move(statement));
}

// `call (results), function, (arguments);`, where both lists may be missing.
void BodyReader::read_call_operands(Statement& statement) {
  Operand results, callee, arguments;
  results.kind = arguments.kind = OperandKind::vector;
  const auto list = [&](Operand& into) {
    if (!cursor_.take(")")) {
      into.parts = read_list();
      cursor_.expect(")");
    }
  };
  if (cursor_.take("(")) {
    list(results);
    cursor_.expect(",");
  }
  callee = read_word();
  if (callee.kind != OperandKind::function)
    throw PtxError(statement.line, "calls by address are not supported");
  if (cursor_.take(",")) {
    cursor_.expect("(");
    list(arguments);
  }
  statement.operands = {std::move(results), std::move(callee), std::move(arguments)};
}

std::vector<Operand> BodyReader::read_list() {
  std::vector<Operand> operands;
  do operands.push_back(read_operand());
  while (cursor_.take(","));
  return operands;
}

Operand BodyReader::read_operand() {
  if (cursor_.take("[")) return read_address();
  if (cursor_.take("{")) return read_vector();
  if (cursor_.take("-")) return read_number(true);
  if (cursor_.peek().kind == TokenKind::number) return read_number(false);
  if (cursor_.take("!")) {
    Operand operand = read_word();
    operand.negated = true;
    return operand;
  }
  Operand operand = read_word();
  if (cursor_.take("|")) operand.parts.push_back(read_word());
  if (operand.kind == OperandKind::variable) operand.offset = read_offset();
  return operand;
}

// A register, variable, function, label or special register: whichever has that name.
Operand BodyReader::read_word() {
  Operand operand;
  const uint32_t line = cursor_.line();
  const std::string_view name = cursor_.word("an operand");
  operand.name = name;
  if (name == "_") return operand;
  if (const auto reg = scopes_.find_register(name, function_.registers)) {
    operand.kind = OperandKind::reg;
    operand.reg = *reg;
  } else if (const auto variable = scopes_.find_variable(name)) {
    operand.kind = OperandKind::variable;
    operand.variable = {true, *variable};
  } else if (name[0] == '%' || name == "WARP_SZ") {
    operand.kind = OperandKind::special;
  } else if (module_.functions.contains(name)) {
    operand.kind = OperandKind::function;
  } else {
    const auto found = std::ranges::find(module_.variables, name, &Variable::name);
    if (found != module_.variables.end()) {
      operand.kind = OperandKind::variable;
      operand.variable = {false, static_cast<uint32_t>(found - module_.variables.begin())};
    } else {
      operand.kind = OperandKind::label;
      jumps_.push_back({function_.statements.size(), operand.name, scopes_.current(), line});
    }
  }
  return operand;
}

Operand BodyReader::read_number(bool minus) {
  Operand operand;
  if (const auto real = take_real(cursor_)) {
    operand.kind = real->is_double ? OperandKind::real64 : OperandKind::real32;
    operand.bits = real->bits ^ (minus ? (real->is_double ? uint64_t{1} << 63 : uint64_t{1} << 31) : 0);
    return operand;
  }
  operand.kind = OperandKind::integer;
  operand.bits = cursor_.integer();
  if (minus) operand.bits = 0 - operand.bits;
  return operand;
}

int64_t BodyReader::read_offset() {
  const bool minus = cursor_.take("-");
  if (!minus && !cursor_.take("+")) return 0;
  const bool negative = cursor_.take("-") != minus;
  const auto value = static_cast<int64_t>(cursor_.count(uint64_t{1} << 32));
  return negative ? -value : value;
}

// Behind the `[`. The base is a register, a variable or a number.
Operand BodyReader::read_address() {
  Operand operand;
  operand.kind = OperandKind::address;
  operand.parts.push_back(cursor_.peek().kind == TokenKind::number ? read_number(false) : read_word());
  operand.offset = read_offset();
  cursor_.expect("]");
  return operand;
}

Operand BodyReader::read_vector() {
  Operand operand;
  operand.kind = OperandKind::vector;
  do {
    if (cursor_.sees("{")) cursor_.fail("a vector of vectors");
    operand.parts.push_back(read_operand());
  } while (cursor_.take(","));
  cursor_.expect("}");
  return operand;
}

// Labels stand behind most of the jumps to them.
void BodyReader::resolve_jumps() {
  for (const Jump& jump : jumps_) {
    const auto at = scopes_.find_label(jump.label, jump.scope);
    if (!at) throw PtxError(jump.line, "there is no '" + jump.label + "'");
    if (jump.statement >= function_.statements.size())
      throw PtxError(jump.line, "'" + jump.label + "' in no instruction");
    for (Operand& operand : function_.statements[jump.statement].operands) {
      if (operand.kind == OperandKind::label && operand.name == jump.label) operand.target = *at;
    }
  }
}

}  // namespace lorikeet::simulator
