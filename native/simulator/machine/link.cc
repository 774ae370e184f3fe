#include <algorithm>
#include <set>

#include "simulator/machine/decode.h"
#include "simulator/machine/flow.h"
#include "simulator/machine/warp.h"

namespace lorikeet::simulator {

namespace {

constexpr uint32_t kGuardBytes = 128;  // a whole round of the banks
constexpr uint32_t kMaxGuardBytes = 4096;

uint32_t align(uint32_t offset, uint32_t alignment) {
  return (offset + alignment - 1) / alignment * alignment;
}

const Decoders& all_decoders() {
  static const Decoders decoders = [] {
    Decoders made;
    add_integer_decoders(made);
    add_logic_decoders(made);
    add_compare_decoders(made);
    add_float_decoders(made);
    add_convert_decoders(made);
    add_control_decoders(made);
    add_warp_decoders(made);
    add_memory_decoders(made);
    add_atomic_decoders(made);
    add_copy_decoders(made);
    add_matrix_decoders(made);
    return made;
  }();
  return decoders;
}

std::vector<std::string_view> called_by(const Function& function) {
  std::vector<std::string_view> names;
  for (const Statement& statement : function.statements) {
    if (statement.opcode == "call") names.emplace_back(statement.operands[1].name);
  }
  return names;
}

class Linker {
 public:
  Linker(const Module& module, const Function& kernel, const ModuleAddresses& addresses, Program& program)
      : kernel_(kernel), program_(program), builder_(module, addresses, program) {}

  void run() {
    visit(kernel_);
    builder_.place_shared(shared_variables());
    for (const Function* function : order_) place(*function);
    program_.entry = places_.at(kernel_.name).entry;
    // A kernel that runs past its last statement has ended.
    program_.name = kernel_.name;
    program_.max_threads = kernel_.max_threads;
    program_.text = builder_.module().text;
  }

 private:
  // The called come before the callers, so that their entries are known.
  void visit(const Function& function) {
    if (std::ranges::find(order_, &function) != order_.end()) return;
    if (!open_.insert(function.name).second) {
      throw PtxError(function.statements.empty() ? 0 : function.statements[0].line,
                     "'" + function.name + "' calls itself, which is not supported");
    }
    for (const std::string_view name : called_by(function)) {
      const auto callee = builder_.module().functions.find(name);
      const bool has_body = callee != builder_.module().functions.end() && !callee->second.is_declaration;
      if (has_body) visit(callee->second);
    }
    order_.push_back(&function);
    open_.erase(function.name);
  }

  void name_variables(const Operand& operand, std::set<uint32_t>& named) const {
    if (operand.kind == OperandKind::variable && !operand.variable.in_function)
      named.insert(operand.variable.index);
    for (const Operand& part : operand.parts) name_variables(part, named);
  }

  // Those of the module that this kernel names, and those of its functions.
  std::vector<const Variable*> shared_variables() const {
    std::set<uint32_t> named;
    std::vector<const Variable*> variables;
    for (const Function* function : order_) {
      for (const Statement& statement : function->statements) {
        for (const Operand& operand : statement.operands) name_variables(operand, named);
      }
    }
    for (const uint32_t v : named) variables.push_back(&builder_.module().variables[v]);
    for (const Function* function : order_) {
      for (const Variable& variable : function->variables) variables.push_back(&variable);
    }
    std::erase_if(variables, [](const Variable* variable) { return variable->space != Space::shared; });
    return variables;
  }

  void place(const Function& function) {
    FunctionPlace place;
    place.function = &function;
    place.entry = static_cast<uint32_t>(program_.code.size());
    const Flow flow = flow_of(function);
    place_registers(function, flow, place);
    place_variables(function, place);
    place_joins(function, flow, place);
    decode(function, place);
    places_[function.name] = std::move(place);
  }

  void place_registers(const Function& function, const Flow& flow, FunctionPlace& place) {
    const Rows rows = assign_rows(function, flow);
    const uint32_t first = builder_.add_rows(rows.count, 0);
    program_.register_estimate += rows.count;
    for (size_t r = 0; r < function.registers.size(); ++r) {
      const bool is_predicate = function.registers[r].type == Type::pred;
      place.rows.push_back(
          static_cast<uint16_t>(is_predicate ? builder_.add_predicates(1, 0) : first + rows.of_register[r]));
    }
  }

  void place_variables(const Function& function, FunctionPlace& place) {
    place.variables.assign(function.variables.size(), 0);
    for (uint32_t v = 0; v < function.variables.size(); ++v) {
      const Variable& variable = function.variables[v];
      const bool is_kernel_parameter =
          function.is_entry && std::ranges::find(function.parameters, v) != function.parameters.end();
      if (is_kernel_parameter) {
        const uint32_t offset = align(program_.parameter_bytes, variable.alignment);
        place.variables[v] = offset;
        program_.parameters.push_back({offset, static_cast<uint32_t>(variable.bytes)});
        program_.parameter_bytes = offset + static_cast<uint32_t>(variable.bytes);
      } else if (variable.space != Space::shared) {
        place.variables[v] = builder_.add_local(variable);
      }
    }
  }

  // Jumps are told in statements; decoding makes instructions of them, and the loop below sets them right.
  static void place_joins(const Function& function, const Flow& flow, FunctionPlace& place) {
    const std::vector<uint32_t> joins = flow.joins();
    place.joins.assign(function.statements.size(), kNowhere);
    for (uint32_t i = 0; i < function.statements.size(); ++i) place.joins[i] = joins[flow.block_of[i]];
  }

  void decode(const Function& function, const FunctionPlace& place) {
    const auto begin = static_cast<uint32_t>(program_.code.size());
    std::vector<uint32_t> at;  // by statement: its first instruction
    for (uint32_t i = 0; i < function.statements.size(); ++i) {
      at.push_back(static_cast<uint32_t>(program_.code.size()));
      Decoding decoding(builder_, place, places_, i);
      const auto decoder = all_decoders().find(function.statements[i].opcode);
      if (decoder == all_decoders().end()) decoding.fail("an unknown instruction");
      decoder->second(decoding);
      decoding.finish();
    }
    at.push_back(static_cast<uint32_t>(program_.code.size()));
    add_end(function);
    for (uint32_t i = begin; i < program_.code.size(); ++i) {
      Instruction& instruction = program_.code[i];
      if (instruction.join != kNowhere) instruction.join = at[instruction.join];
      // Of jumps; calls lead to before `begin`, and are whole already.
      if (instruction.target != kNowhere && !(instruction.flags & kIsCall))
        instruction.target = at[instruction.target];
    }
  }

  // Whoever runs past the last statement returns.
  void add_end(const Function& function) {
    Instruction end;
    end.run = [](Warp& warp, const Instruction&, LaneMask mask) { warp.leave_function(mask); };
    end.line = function.statements.empty() ? 0 : function.statements.back().line;
    program_.code.push_back(end);
  }

  const Function& kernel_;
  Program& program_;
  ProgramBuilder builder_;
  std::map<std::string_view, FunctionPlace> places_;
  std::vector<const Function*> order_;
  std::set<std::string_view> open_;
};

}  // namespace

// Shared arrays lie further apart than on a device, so that what runs over the end of one is not in the next.
void ProgramBuilder::place_shared(const std::vector<const Variable*>& variables) {
  uint32_t at = 0, packed = 0, dynamic_alignment = kGuardBytes;
  for (const Variable* variable : variables) {
    if (variable->is_dynamic) {
      dynamic_alignment = std::max(dynamic_alignment, variable->alignment);
      continue;
    }
    const auto bytes = static_cast<uint32_t>(variable->bytes);
    at = align(at, std::max(variable->alignment, kGuardBytes));
    shared_offsets_[variable] = at;
    program_.shared_arrays.push_back({variable->name, at, bytes});
    packed = align(packed, variable->alignment) + bytes;
    at += bytes + std::clamp(bytes, kGuardBytes, kMaxGuardBytes);
  }
  program_.static_shared_bytes = packed;
  program_.dynamic_shared_offset = align(at, dynamic_alignment);
  for (const Variable* variable : variables) {
    if (variable->is_dynamic) shared_offsets_[variable] = program_.dynamic_shared_offset;
  }
}

uint32_t ProgramBuilder::add_local(const Variable& variable) {
  auto& local = program_.local;
  const uint32_t offset = align(static_cast<uint32_t>(local.size()), std::max(variable.alignment, 16u));
  local.resize(offset, ByteState::none);
  local.resize(offset + variable.bytes, ByteState::raw);
  local.resize(local.size() + kGuardBytes, ByteState::none);
  return offset;
}

std::string Program::line_text(uint32_t line) const {
  size_t at = 0;
  for (uint32_t i = 1; i < line && at != std::string::npos; ++i) at = text->find('\n', at) + 1;
  const size_t end = std::min(text->find('\n', at), text->size());
  std::string found = text->substr(at, end - at);
  found.erase(0, found.find_first_not_of(" \t"));
  while (!found.empty() && (found.back() == ' ' || found.back() == '\t' || found.back() == '\r'))
    found.pop_back();
  return found;
}

Program link(const Module& module, const Function& kernel, const ModuleAddresses& addresses) {
  Program program;
  Linker(module, kernel, addresses, program).run();
  return program;
}

}  // namespace lorikeet::simulator
