#pragma once
#include <optional>

#include "simulator/ptx/cursor.h"
#include "simulator/ptx/module.h"

namespace lorikeet::simulator {

// Larger ones are no module of ours, and a mutated number shall not take the machine's memory.
inline constexpr uint64_t kMaxVariableBytes = uint64_t{1} << 30;
// Of shared, local and parameter memory, of which each block or thread has its own: more than any device
// gives.
inline constexpr uint64_t kMaxOwnBytes = uint64_t{1} << 20;

// `.align 16 .b8 name[64]`, behind its state space; with `= {...}` where an initial value may stand.
Variable read_variable(Cursor& cursor, Space space, bool may_have_value);

// `.global` and the like: the space that a directive names.
std::optional<Space> space_of_directive(std::string_view directive);

// 0f3F800000, 0d..., 1.5: an operand or initial value that is no integer, if one stands here.
struct Real {
  bool is_double;
  uint64_t bits;
};
std::optional<Real> take_real(Cursor& cursor);

}  // namespace lorikeet::simulator
