// Which instruction set to run, decided once at start.
#pragma once

#include <string>

#include "backend/interface/status.h"

namespace lorikeet::cpu {

enum class Isa { portable, avx2, avx512, avx512vnni };

const char* name_of(Isa isa);
// Whether the processor and the operating system (saved registers) both allow it.
bool machine_has(Isa isa);
// "" picks the best that the machine has.
Result<Isa> choose_isa(const std::string& requested);

}  // namespace lorikeet::cpu
