#pragma once
#include "simulator/machine/access.h"

namespace lorikeet::simulator {

// Remembers that a lane touches global memory at an offset from kGlobalWindow. Throws MachineFault where
// another block of this launch touches the same bytes and one of both writes; or a launch that may still run,
// before griddepcontrol.wait.
void note_use(Warp& warp, uint32_t lane, uint64_t offset, const Access& access);

}  // namespace lorikeet::simulator
