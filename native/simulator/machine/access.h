#pragma once
#include <cstdint>

#include "simulator/machine/warp.h"

namespace lorikeet::simulator {

// One access of the active lanes, checked: every lane's bytes may be touched as it wants to, and nobody else
// touches them at a time when he must not. Throws MachineFault.
struct Access {
  uint32_t bytes;  // of each lane: 1, 2, 4, 8, 16
  bool is_write = false;
  bool is_atomic = false;
};

struct LaneAddresses {
  uint64_t at[Warp::kLanes];
};

struct LanePointers {
  uint8_t* to[Warp::kLanes];  // of active lanes
};

// Adds the instruction's offset to its row of addresses.
LaneAddresses addresses_of(Warp& warp, uint16_t row, bool wide, int64_t offset);

// Addresses as the space numbers them: offsets in shared, local and parameter memory.
void resolve_global(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                    LanePointers& out);
void resolve_shared(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                    LanePointers& out);
void resolve_local(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                   LanePointers& out);
void resolve_param(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                   LanePointers& out);
void resolve_generic(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                     LanePointers& out);

using Resolve = void (*)(Warp&, const LaneAddresses&, const Access&, LaneMask, LanePointers&);
Resolve resolver_of(Space space);

}  // namespace lorikeet::simulator
