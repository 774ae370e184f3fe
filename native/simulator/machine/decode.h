#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "simulator/machine/program.h"
#include "simulator/ptx/module.h"

namespace lorikeet::simulator {

// Where the variables of a module lie: addresses of global and constant ones, by index.
using ModuleAddresses = std::vector<uint64_t>;

// Makes a kernel ready to run. Throws PtxError where it holds what this machine does not know.
Program link(const Module& module, const Function& kernel, const ModuleAddresses& addresses);

// Collects what all functions of a program share while they are decoded.
class ProgramBuilder {
 public:
  ProgramBuilder(const Module& module, const ModuleAddresses& addresses, Program& program)
      : module_(module), addresses_(addresses), program_(program) {}

  const Module& module() const { return module_; }
  Program& program() { return program_; }

  uint32_t add_rows(uint32_t count, uint32_t line);
  uint32_t add_predicates(uint32_t count, uint32_t line);
  uint16_t literal(uint64_t bits, bool wide, uint32_t line);
  uint16_t special(Special special, bool wide, uint32_t line);
  // Of static shared memory, or where the dynamic part begins.
  uint32_t shared_offset(const Variable& variable) const { return shared_offsets_.at(&variable); }
  uint64_t address(uint32_t variable) const { return addresses_[variable]; }
  uint32_t add_local(const Variable& variable);
  void place_shared(const std::vector<const Variable*>& variables);

 private:
  const Module& module_;
  const ModuleAddresses& addresses_;
  Program& program_;
  std::map<std::pair<uint64_t, bool>, uint16_t> literals_;
  std::map<std::pair<Special, bool>, uint16_t> specials_;
  std::map<const Variable*, uint32_t> shared_offsets_;
};

// Where one function's registers and variables lie in the program.
struct FunctionPlace {
  const Function* function = nullptr;
  uint32_t entry = 0;
  std::vector<uint16_t> rows;       // by register; predicates by their numbers
  std::vector<uint64_t> variables;  // by variable: its offset in its space
  std::vector<uint32_t> joins;      // by statement that is a jump
};

// One statement on its way to an instruction. What the statement names and nobody asks for is an error in
// finish().
class Decoding {
 public:
  Decoding(ProgramBuilder& builder, const FunctionPlace& place,
           const std::map<std::string_view, FunctionPlace>& places, uint32_t statement);

  const Statement& statement() const { return statement_; }
  size_t operand_count() const { return statement_.operands.size(); }
  const Operand& operand(size_t i) const;

  // Modifiers, each taken once and in any order.
  bool take(std::string_view modifier);
  // The first of `names` that is there; `fallback` where none is.
  std::string_view take_one(std::initializer_list<std::string_view> names, std::string_view fallback = "");
  Type take_type();
  std::optional<Type> take_type_if_any();
  // All that begin with `prefix`: hints to caches.
  void take_all(std::string_view prefix);

  // Rows of operands. Results may be `_`.
  uint16_t result(size_t i, Type type) { return result_row(operand(i), type); }
  uint16_t source(size_t i, Type type) { return source_row(operand(i), type); }
  uint16_t result_row(const Operand& operand, Type type);
  uint16_t source_row(const Operand& operand, Type type);
  uint16_t result_predicate(const Operand& operand);
  uint16_t source_predicate(const Operand& operand);
  bool is_wide(const Operand& operand) const;  // a register of 64 bits
  uint16_t scratch(bool wide) {
    return static_cast<uint16_t>(builder_.add_rows(wide ? 2 : 1, statement_.line));
  }
  int64_t integer(size_t i) const;
  // [register + offset]: the row of its base, and the offset. A variable is a literal.
  struct Address {
    uint16_t row;
    bool wide;
    int64_t offset;
    std::optional<Space> fixed;  // the base is a variable of this space
  };
  Address address(size_t i);
  uint64_t address_of(const Operand& variable) const;
  Space space_of(const Operand& variable) const;
  const Variable& variable(VariableRef ref) const;

  // The instruction, under the statement's guard; emitted by emit().
  Instruction make(Handler handler, std::initializer_list<uint16_t> rows = {});
  void emit(const Instruction& instruction) { builder_.program().code.push_back(instruction); }
  void emit(Handler handler, std::initializer_list<uint16_t> rows) { emit(make(handler, rows)); }
  uint32_t join() const;
  const FunctionPlace& callee(std::string_view name) const;
  const FunctionPlace& place() const { return place_; }
  ProgramBuilder& builder() { return builder_; }

  [[noreturn]] void fail(const std::string& message) const;
  void require(bool holds, const char* message) const {
    if (!holds) fail(message);
  }
  // Handlers are chosen by type; none means that the type does not go with the opcode.
  Handler known(Handler handler) const {
    if (handler == nullptr) fail("these types do not go with '" + std::string(statement_.opcode) + "'");
    return handler;
  }
  void finish() const;

 private:
  ProgramBuilder& builder_;
  const FunctionPlace& place_;
  const std::map<std::string_view, FunctionPlace>& places_;
  const Statement& statement_;
  uint32_t index_;
  std::vector<std::string_view> left_;
};

using Decoder = void (*)(Decoding&);
using Decoders = std::map<std::string_view, Decoder>;

// Each group of instructions adds its own.
void add_integer_decoders(Decoders& decoders);
void add_logic_decoders(Decoders& decoders);
void add_compare_decoders(Decoders& decoders);
void add_float_decoders(Decoders& decoders);
void add_convert_decoders(Decoders& decoders);
void add_control_decoders(Decoders& decoders);
void add_warp_decoders(Decoders& decoders);
void add_memory_decoders(Decoders& decoders);
void add_atomic_decoders(Decoders& decoders);
void add_copy_decoders(Decoders& decoders);
void add_matrix_decoders(Decoders& decoders);

// Kept apart, as each is chosen by types of its own: `add` of integers here, of floats there.
void decode_float_arithmetic(Decoding& decoding);

}  // namespace lorikeet::simulator
