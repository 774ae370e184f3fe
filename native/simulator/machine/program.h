#pragma once
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "simulator/machine/fault.h"
#include "simulator/machine/shared_memory.h"
#include "simulator/ptx/module.h"

namespace lorikeet::simulator {

class Warp;
struct Instruction;
using Handler = void (*)(Warp&, const Instruction&, LaneMask);

inline constexpr uint32_t kNowhere = ~uint32_t{0};
inline constexpr uint8_t kIsCall = 0x80;  // in the flags of a call

// Decoded once, so that running it is one call: what it does is chosen by opcode and types when it is
// decoded.
struct Instruction {
  Handler run = nullptr;
  // Rows of registers, results first; predicates by their own numbers. What each means is the handler's.
  std::array<uint16_t, 15> row{};
  uint16_t guard = 0;          // predicate; number 0 always holds
  LaneMask guard_flip = 0;     // all ones: the guard is negated
  uint32_t target = kNowhere;  // of a jump or a call
  uint32_t join = kNowhere;    // of a jump: where both ways meet again
  uint32_t line = 0;
  uint8_t count = 1;  // elements of a vector, matrices of ldmatrix
  uint8_t flags = 0;  // the handler's
  int64_t immediate = 0;
};

// What a row of registers holds before the first instruction: a literal, or a special register.
enum class Special : uint8_t {
  none,
  tid_x,
  tid_y,
  tid_z,
  ntid_x,
  ntid_y,
  ntid_z,
  ctaid_x,
  ctaid_y,
  ctaid_z,
  nctaid_x,
  nctaid_y,
  nctaid_z,
  laneid,
  warpid,
  nwarpid,
  smid,
  nsmid,
  lanemask_eq,
  lanemask_le,
  lanemask_lt,
  lanemask_ge,
  lanemask_gt,
  dynamic_smem_size,
  total_smem_size,
};

struct Preset {
  uint16_t row;
  bool wide;  // 64 bits: two rows
  Special special;
  uint64_t bits;
};

struct Parameter {
  uint32_t offset, bytes;
};

// One kernel with all the functions that it calls, ready to run.
struct Program {
  std::string name;
  std::vector<Instruction> code;
  uint32_t entry = 0;
  std::vector<Preset> presets;
  uint32_t rows = 0, predicates = 1;
  std::vector<Parameter> parameters;
  uint32_t parameter_bytes = 0;
  std::vector<SharedArray> shared_arrays;
  uint32_t static_shared_bytes = 0;    // as a device counts them: without what lies between
  uint32_t dynamic_shared_offset = 0;  // where the launch's part begins
  std::vector<ByteState> local;        // of one thread: what may be touched
  uint32_t max_threads = 1024;
  uint32_t register_estimate = 0;  // per thread: the most rows that live at once
  std::shared_ptr<const std::string> text;

  // The line of PTX, without blanks around it.
  std::string line_text(uint32_t line) const;
};

}  // namespace lorikeet::simulator
