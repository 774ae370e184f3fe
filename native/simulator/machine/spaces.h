#pragma once
#include "simulator/machine/decode.h"
#include "simulator/ptx/types.h"

namespace lorikeet::simulator {

// The state space among the modifiers; generic where none is named.
Space take_space(Decoding& decoding);

}  // namespace lorikeet::simulator
