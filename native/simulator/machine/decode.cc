#include "simulator/machine/decode.h"

#include <algorithm>
#include <bit>

#include "simulator/machine/warp.h"

namespace lorikeet::simulator {

namespace {

struct SpecialName {
  std::string_view name;
  Special special;
};

constexpr SpecialName kSpecials[] = {
    {"%tid.x", Special::tid_x},
    {"%tid.y", Special::tid_y},
    {"%tid.z", Special::tid_z},
    {"%ntid.x", Special::ntid_x},
    {"%ntid.y", Special::ntid_y},
    {"%ntid.z", Special::ntid_z},
    {"%ctaid.x", Special::ctaid_x},
    {"%ctaid.y", Special::ctaid_y},
    {"%ctaid.z", Special::ctaid_z},
    {"%nctaid.x", Special::nctaid_x},
    {"%nctaid.y", Special::nctaid_y},
    {"%nctaid.z", Special::nctaid_z},
    {"%laneid", Special::laneid},
    {"%warpid", Special::warpid},
    {"%nwarpid", Special::nwarpid},
    {"%smid", Special::smid},
    {"%nsmid", Special::nsmid},
    {"%lanemask_eq", Special::lanemask_eq},
    {"%lanemask_le", Special::lanemask_le},
    {"%lanemask_lt", Special::lanemask_lt},
    {"%lanemask_ge", Special::lanemask_ge},
    {"%lanemask_gt", Special::lanemask_gt},
    {"%dynamic_smem_size", Special::dynamic_smem_size},
    {"%total_smem_size", Special::total_smem_size},
};

// Rows are numbered in 16 bits.
constexpr uint32_t kMaxRows = 65535;

uint64_t literal_bits(const Operand& operand, Type type) {
  if (operand.kind == OperandKind::real32) return operand.bits;
  if (operand.kind == OperandKind::real64 && bytes_of(type) != 8) {
    return std::bit_cast<uint32_t>(static_cast<float>(std::bit_cast<double>(operand.bits)));
  }
  switch (bytes_of(type)) {
    case 1:
      return operand.bits & 0xff;
    case 2:
      return operand.bits & 0xffff;
    case 4:
      return operand.bits & 0xffffffff;
    default:
      return operand.bits;
  }
}

}  // namespace

Decoding::Decoding(ProgramBuilder& builder, const FunctionPlace& place,
                   const std::map<std::string_view, FunctionPlace>& places, uint32_t statement)
    : builder_(builder),
      place_(place),
      places_(places),
      statement_(place.function->statements[statement]),
      index_(statement),
      left_(statement_.modifiers) {}

void Decoding::fail(const std::string& message) const {
  const std::string& text = *builder_.module().text;
  const auto at = static_cast<size_t>(statement_.opcode.data() - text.data());
  throw PtxError(statement_.line, message + ": " + text.substr(at, text.find_first_of(";\n", at) - at));
}

const Operand& Decoding::operand(size_t i) const {
  if (i >= statement_.operands.size()) fail("an operand is missing");
  return statement_.operands[i];
}

bool Decoding::take(std::string_view modifier) {
  const auto found = std::ranges::find(left_, modifier);
  if (found == left_.end()) return false;
  left_.erase(found);
  return true;
}

std::string_view Decoding::take_one(std::initializer_list<std::string_view> names,
                                    std::string_view fallback) {
  for (const std::string_view name : names) {
    if (take(name)) return name;
  }
  return fallback;
}

std::optional<Type> Decoding::take_type_if_any() {
  for (auto modifier = left_.begin(); modifier != left_.end(); ++modifier) {
    const auto type = type_of(*modifier);
    if (!type) continue;
    left_.erase(modifier);
    return type;
  }
  return std::nullopt;
}

Type Decoding::take_type() {
  const auto type = take_type_if_any();
  if (!type) fail("no type that is known");
  return *type;
}

void Decoding::take_all(std::string_view prefix) {
  std::erase_if(left_, [&](std::string_view modifier) { return modifier.starts_with(prefix); });
}

void Decoding::finish() const {
  if (!left_.empty()) fail("the modifier '." + std::string(left_.front()) + "' is not known here");
}

bool Decoding::is_wide(const Operand& operand) const {
  return operand.kind == OperandKind::reg && bytes_of(place_.function->registers[operand.reg].type) == 8;
}

uint16_t Decoding::result_row(const Operand& operand, Type type) {
  const bool wide = bytes_of(type) == 8;
  if (operand.kind == OperandKind::sink) return scratch(wide);
  require(operand.kind == OperandKind::reg, "the result is no register");
  require(place_.function->registers[operand.reg].type != Type::pred, "a predicate where a value should be");
  if (is_wide(operand) != wide) fail("the register '" + operand.name + "' has another size than the type");
  return place_.rows[operand.reg];
}

uint16_t Decoding::source_row(const Operand& operand, Type type) {
  const bool wide = bytes_of(type) == 8;
  switch (operand.kind) {
    case OperandKind::reg:
      return result_row(operand, type);
    case OperandKind::integer:
    case OperandKind::real32:
    case OperandKind::real64:
      return builder_.literal(literal_bits(operand, type), wide, statement_.line);
    case OperandKind::variable:
      return builder_.literal(address_of(operand), wide, statement_.line);
    case OperandKind::special:
      break;
    default:
      fail("an operand of another kind is needed");
  }
  if (operand.name == "WARP_SZ") return builder_.literal(32, wide, statement_.line);
  const auto* const found = std::ranges::find(kSpecials, operand.name, &SpecialName::name);
  if (found == std::end(kSpecials)) fail("there is no '" + operand.name + "'");
  return builder_.special(found->special, wide, statement_.line);
}

uint16_t Decoding::result_predicate(const Operand& operand) {
  if (operand.kind == OperandKind::sink)
    return static_cast<uint16_t>(builder_.add_predicates(1, statement_.line));
  const bool is_predicate =
      operand.kind == OperandKind::reg && place_.function->registers[operand.reg].type == Type::pred;
  require(is_predicate, "a predicate is needed");
  return place_.rows[operand.reg];
}

uint16_t Decoding::source_predicate(const Operand& operand) {
  if (operand.kind == OperandKind::integer) {  // nvcc writes 0 and -1
    const Handler fill = [](Warp& warp, const Instruction& instruction, LaneMask) {
      warp.predicate(instruction.row[0]) = instruction.immediate != 0 ? kAllLanes : 0;
    };
    Instruction constant = make(fill, {static_cast<uint16_t>(builder_.add_predicates(1, statement_.line))});
    constant.guard = 0;
    constant.guard_flip = 0;
    constant.immediate = static_cast<int64_t>(operand.bits);
    emit(constant);
    return constant.row[0];
  }
  const uint16_t plain = result_predicate(operand);
  if (!operand.negated) return plain;
  const Handler invert = [](Warp& warp, const Instruction& instruction, LaneMask) {
    warp.predicate(instruction.row[0]) = ~warp.predicate(instruction.row[1]);
  };
  const auto inverse = static_cast<uint16_t>(builder_.add_predicates(1, statement_.line));
  emit(invert, {inverse, plain});
  return inverse;
}

int64_t Decoding::integer(size_t i) const {
  require(operand(i).kind == OperandKind::integer, "a literal number is needed");
  return static_cast<int64_t>(operand(i).bits);
}

const Variable& Decoding::variable(VariableRef ref) const {
  return ref.in_function ? place_.function->variables[ref.index] : builder_.module().variables[ref.index];
}

Space Decoding::space_of(const Operand& operand) const {
  const Space space = variable(operand.variable).space;
  // Parameters of calls are memory of the thread; those of the kernel are one for all.
  if (space != Space::param || place_.function->is_entry) {
    const bool own = operand.variable.in_function && space == Space::param;
    const auto& parameters = place_.function->parameters;
    if (!own || std::ranges::find(parameters, operand.variable.index) != parameters.end()) return space;
  }
  return Space::local;
}

uint64_t Decoding::address_of(const Operand& operand) const {
  const VariableRef ref = operand.variable;
  uint64_t base = 0;
  if (variable(ref).space == Space::shared) {
    base = builder_.shared_offset(variable(ref));
  } else if (ref.in_function) {
    base = place_.variables[ref.index];
  } else {
    base = builder_.address(ref.index);
  }
  return base + static_cast<uint64_t>(operand.offset);
}

Decoding::Address Decoding::address(size_t i) {
  const Operand& whole = operand(i);
  require(whole.kind == OperandKind::address, "an address in brackets is needed");
  const Operand& base = whole.parts[0];
  if (base.kind == OperandKind::variable) {
    const uint16_t row = builder_.literal(address_of(base), true, statement_.line);
    return {row, true, whole.offset, space_of(base)};
  }
  const bool wide = base.kind == OperandKind::integer || is_wide(base);
  return {source_row(base, wide ? Type::b64 : Type::b32), wide, whole.offset, std::nullopt};
}

Instruction Decoding::make(Handler handler, std::initializer_list<uint16_t> rows) {
  Instruction instruction;
  instruction.run = handler;
  instruction.line = statement_.line;
  std::ranges::copy(rows, instruction.row.begin());
  if (statement_.guard) {
    instruction.guard = place_.rows[statement_.guard->reg];
    instruction.guard_flip = statement_.guard->negated ? kAllLanes : 0;
  }
  return instruction;
}

uint32_t Decoding::join() const {
  return place_.joins[index_];
}

const FunctionPlace& Decoding::callee(std::string_view name) const {
  const auto found = places_.find(name);
  if (found == places_.end()) fail("'" + std::string(name) + "' has no body in this module");
  return found->second;
}

uint32_t ProgramBuilder::add_rows(uint32_t count, uint32_t line) {
  if (program_.rows + count > kMaxRows)
    throw PtxError(line, "the kernel needs more registers than can be numbered");
  const uint32_t first = program_.rows;
  program_.rows += count;
  return first;
}

uint32_t ProgramBuilder::add_predicates(uint32_t count, uint32_t line) {
  if (program_.predicates + count > kMaxRows) throw PtxError(line, "the kernel needs too many predicates");
  const uint32_t first = program_.predicates;
  program_.predicates += count;
  return first;
}

uint16_t ProgramBuilder::literal(uint64_t bits, bool wide, uint32_t line) {
  const auto known = literals_.find({bits, wide});
  if (known != literals_.end()) return known->second;
  const auto row = static_cast<uint16_t>(add_rows(wide ? 2 : 1, line));
  literals_[{bits, wide}] = row;
  program_.presets.push_back({row, wide, Special::none, bits});
  return row;
}

uint16_t ProgramBuilder::special(Special special, bool wide, uint32_t line) {
  const auto known = specials_.find({special, wide});
  if (known != specials_.end()) return known->second;
  const auto row = static_cast<uint16_t>(add_rows(wide ? 2 : 1, line));
  specials_[{special, wide}] = row;
  program_.presets.push_back({row, wide, special, 0});
  return row;
}

}  // namespace lorikeet::simulator
