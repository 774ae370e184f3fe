#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "simulator/ptx/error.h"
#include "simulator/ptx/types.h"

namespace lorikeet::simulator {

struct Register {
  std::string name;
  Type type;
};

struct Variable {
  std::string name;
  Space space = Space::global;
  Type type = Type::b32;
  uint32_t alignment = 1;
  uint64_t bytes = 0;
  bool is_dynamic = false;       // `extern .shared x[]`: its size comes with the launch
  std::vector<uint8_t> initial;  // shorter than `bytes`: the rest is zero
  struct Pointer {
    uint64_t offset;
    std::string target;  // a variable of the module
    int64_t addend;
  };
  std::vector<Pointer> pointers;  // in `initial`: filled in when the module gets its addresses
};

// A variable of the module or of one function.
struct VariableRef {
  bool in_function = false;
  uint32_t index = 0;
};

enum class OperandKind : uint8_t {
  reg,
  special,
  integer,
  real32,
  real64,
  variable,
  function,
  label,
  vector,
  address,
  sink
};

struct Operand {
  OperandKind kind = OperandKind::sink;
  bool negated = false;  // `!p`, of predicates
  uint32_t reg = 0;      // reg
  uint64_t bits = 0;     // integer (two's complement), real32, real64
  int64_t offset = 0;    // variable, address
  VariableRef variable;  // variable
  uint32_t target = 0;   // label: index of an instruction
  std::string name;      // special, function
  std::vector<Operand>
      parts;  // vector: its elements; address: its base; else: the second of `d|p`, if there is one
};

struct Statement {
  uint32_t line = 0;
  std::optional<Operand> guard;
  std::string_view opcode;                  // "ld", a view into the module's text
  std::vector<std::string_view> modifiers;  // without dots
  std::vector<Operand> operands;            // of a call: results, function, arguments in `vector` operands
};

struct Function {
  std::string name;
  bool is_entry = false;
  bool is_declaration = false;
  std::vector<uint32_t> parameters;  // indices in `variables`, in order
  std::vector<uint32_t> results;
  std::vector<Variable> variables;
  std::vector<Register> registers;
  std::vector<Statement> statements;
  uint32_t max_threads = 1024;  // of a block: .maxntid or .reqntid
};

struct Module {
  std::shared_ptr<const std::string> text;  // what the views above look at
  std::vector<Variable> variables;
  std::map<std::string, Function, std::less<>> functions;
};

using ParsedModule = std::variant<Module, PtxError>;

// Reads PTX of .version 3.0 to 9.x. Whatever the text is: a module, or what is wrong with it and on which
// line.
ParsedModule parse(std::string ptx);

}  // namespace lorikeet::simulator
