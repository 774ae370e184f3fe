#include <algorithm>

#include "simulator/ptx/cursor.h"
#include "simulator/ptx/declarations.h"
#include "simulator/ptx/module.h"
#include "simulator/ptx/statements.h"

namespace lorikeet::simulator {

namespace {

// What stands before a declaration and changes nothing here: one module is all there is to link.
bool is_linkage(std::string_view word) {
  return word == ".visible" || word == ".extern" || word == ".weak" || word == ".common" ||
         word == ".managed";
}

class ModuleReader {
 public:
  explicit ModuleReader(std::string ptx) {
    module_.text = std::make_shared<const std::string>(std::move(ptx));
    cursor_ = std::make_unique<Cursor>(tokens_of(*module_.text));
  }

  Module run() {
    if (!cursor_->sees(".version")) cursor_->fail("a PTX module begins with .version");
    while (!cursor_->at_end()) read_directive();
    return std::move(module_);
  }

 private:
  void read_directive() {
    while (is_linkage(cursor_->peek().text)) cursor_->next();
    const std::string_view word = cursor_->word("a directive");
    if (word == ".version") return void(cursor_->next());
    if (word == ".address_size") {
      if (cursor_->integer() != 64) cursor_->fail("only addresses of 64 bits are supported; behind them");
      return;
    }
    if (word == ".target") return skip_words();
    if (word == ".file") {
      while (cursor_->peek().kind == TokenKind::number || cursor_->peek().kind == TokenKind::text ||
             cursor_->sees(",")) {
        cursor_->next();
      }
      return;
    }
    if (word == ".section") {
      while (!cursor_->take("{")) cursor_->at_end() ? cursor_->fail("expected '{'") : void(cursor_->next());
      return cursor_->skip_to("{", "}");
    }
    if (word == ".entry" || word == ".func") return read_function(word == ".entry");
    const auto space = space_of_directive(word);
    if (!space || *space == Space::local || *space == Space::param) {
      cursor_->fail("the directive '" + std::string(word) + "' is not supported; behind it");
    }
    read_variables(*space);
  }

  void skip_words() {
    do cursor_->word("a name");
    while (cursor_->take(","));
  }

  void read_variables(Space space) {
    Variable variable = read_variable(*cursor_, space, true);
    const auto known = std::ranges::find(module_.variables, variable.name, &Variable::name);
    // `.extern` first and the definition behind it: the one with a size counts.
    if (known == module_.variables.end()) {
      module_.variables.push_back(std::move(variable));
    } else if (known->is_dynamic || known->initial.empty()) {
      *known = std::move(variable);
    }
    cursor_->expect(";");
  }

  // `(list)` of parameters or results: variables of the function, or registers of it.
  void read_parameters(Function& function, std::vector<uint32_t>& indices) {
    if (cursor_->take(")")) return;
    do {
      const bool is_register = cursor_->take(".reg");
      if (!is_register) cursor_->expect(".param");
      if (is_register) cursor_->fail("parameters in registers are not supported; behind .reg");
      indices.push_back(static_cast<uint32_t>(function.variables.size()));
      function.variables.push_back(read_variable(*cursor_, Space::param, false));
    } while (cursor_->take(","));
    cursor_->expect(")");
  }

  void read_limits(Function& function) {
    while (!cursor_->sees("{") && !cursor_->sees(";")) {
      const std::string_view word = cursor_->word("'{' or ';'");
      const bool threads = word == ".maxntid" || word == ".reqntid";
      if (!threads && word != ".minnctapersm" && word != ".maxnreg" && word != ".noreturn" &&
          word != ".pragma") {
        cursor_->fail("the directive '" + std::string(word) + "' is not supported; behind it");
      }
      if (word == ".pragma") {
        if (cursor_->peek().kind == TokenKind::text) cursor_->next();
        cursor_->expect(";");
      } else if (word != ".noreturn") {
        uint64_t product = 1;
        do product *= cursor_->count(1u << 16);
        while (cursor_->take(",") && product < (1u << 20));
        if (threads) function.max_threads = static_cast<uint32_t>(std::min<uint64_t>(product, 1024));
      }
    }
  }

  void read_function(bool is_entry) {
    Function function;
    function.is_entry = is_entry;
    if (!is_entry && cursor_->take("(")) read_parameters(function, function.results);
    const uint32_t line = cursor_->line();
    function.name = cursor_->word("the name of a function");
    if (cursor_->take("(")) read_parameters(function, function.parameters);
    read_limits(function);
    function.is_declaration = cursor_->take(";");
    const auto known = module_.functions.find(function.name);
    if (known != module_.functions.end() && !known->second.is_declaration && !function.is_declaration) {
      throw PtxError(line, "'" + function.name + "' is defined twice");
    }
    if (function.is_declaration) {
      module_.functions.emplace(function.name, std::move(function));
      return;
    }
    cursor_->expect("{");
    // Known to itself, so that a call of itself is told as what it is.
    Function& place = module_.functions[function.name];
    place = std::move(function);
    BodyReader(*cursor_, module_, place).read();
  }

  Module module_;
  std::unique_ptr<Cursor> cursor_;
};

}  // namespace

ParsedModule parse(std::string ptx) {
  try {
    return ModuleReader(std::move(ptx)).run();
  } catch (const PtxError& error) {
    return error;
  }
}

}  // namespace lorikeet::simulator
