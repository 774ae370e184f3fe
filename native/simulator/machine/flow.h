#pragma once
#include <cstdint>
#include <vector>

#include "simulator/ptx/module.h"

namespace lorikeet::simulator {

// Where the statements of a function lead to.
struct Flow {
  struct Block {
    uint32_t first, end;               // statements
    std::vector<uint32_t> successors;  // blocks; kExit: the function ends
  };
  static constexpr uint32_t kExit = ~uint32_t{0};

  std::vector<Block> blocks;
  std::vector<uint32_t> block_of;  // by statement

  // By block: the first statement that every way from its end passes; kExit where there is none.
  std::vector<uint32_t> joins() const;
};

Flow flow_of(const Function& function);

// Which registers a statement reads and writes.
struct Uses {
  std::vector<uint32_t> read, written;
};
Uses uses_of(const Statement& statement);

// By register: its row. Registers that are never needed at the same time share one; those of 64 bits take
// two.
struct Rows {
  std::vector<uint32_t> of_register;
  uint32_t count = 0;
};
Rows assign_rows(const Function& function, const Flow& flow);

}  // namespace lorikeet::simulator
