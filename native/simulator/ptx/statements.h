#pragma once
#include "simulator/ptx/cursor.h"
#include "simulator/ptx/module.h"
#include "simulator/ptx/scope.h"

namespace lorikeet::simulator {

// Reads the body of one function: from behind its `{` to behind its `}`.
class BodyReader {
 public:
  BodyReader(Cursor& cursor, const Module& module, Function& function)
      : cursor_(cursor), module_(module), function_(function) {
    for (uint32_t i = 0; i < function.variables.size(); ++i)
      scopes_.add_variable(function.variables[i].name, i);
    for (uint32_t i = 0; i < function.registers.size(); ++i)
      scopes_.add_register(function.registers[i].name, i);
  }

  void read();

 private:
  struct Jump {
    size_t statement;
    std::string label;
    size_t scope;
    uint32_t line;
  };

  void read_line();
  void read_registers();
  void read_variables(Space space);
  void read_statement();
  void read_call_operands(Statement& statement);
  std::vector<Operand> read_list();
  Operand read_operand();
  Operand read_word();
  Operand read_number(bool minus);
  Operand read_address();
  Operand read_vector();
  int64_t read_offset();
  void resolve_jumps();

  Cursor& cursor_;
  const Module& module_;
  Function& function_;
  Scopes scopes_;
  std::vector<Jump> jumps_;
};

}  // namespace lorikeet::simulator
