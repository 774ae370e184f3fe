#include "simulator/machine/access.h"

#include <algorithm>

#include "simulator/machine/block.h"
#include "simulator/machine/block_races.h"
#include "simulator/machine/launch.h"

namespace lorikeet::simulator {

namespace {

constexpr uint64_t kEach = 0x0101010101010101u;
constexpr uint64_t kAllReady = kEach * static_cast<uint64_t>(ByteState::ready);

// Up to 8 states at once; those beyond `bytes` are ready. Sizes that the compiler knows become single loads.
uint64_t states_at(const ByteState* states, uint32_t bytes) {
  uint64_t value = kAllReady;
  switch (bytes) {
    case 1:
      std::memcpy(&value, states, 1);
      break;
    case 2:
      std::memcpy(&value, states, 2);
      break;
    case 4:
      std::memcpy(&value, states, 4);
      break;
    default:
      std::memcpy(&value, states, 8);
      break;
  }
  return value;
}

bool all_ready(const ByteState* states, uint32_t bytes) {
  bool ready = states_at(states, bytes) == kAllReady;
  for (uint32_t i = 8; i < bytes; i += 8) ready &= states_at(states + i, 8) == kAllReady;
  return ready;
}

// raw (010) or ready (100): the lowest bit is clear, and one of the others is set.
bool all_writable(const ByteState* states, uint32_t bytes) {
  for (uint32_t i = 0; i < bytes; i += 8) {
    const uint64_t value = states_at(states + i, bytes - i);
    if ((value & kEach) != 0 || ((value >> 1 | value >> 2) & kEach) != kEach) return false;
  }
  return true;
}

bool permits(const ByteState* states, const Access& access) {
  if (!access.is_write) return all_ready(states, access.bytes);
  return all_writable(states, access.bytes) && (!access.is_atomic || all_ready(states, access.bytes));
}

void make_ready(ByteState* states, uint32_t bytes) {
  if (!all_ready(states, bytes))
    std::memset(static_cast<void*>(states), static_cast<int>(ByteState::ready), bytes);
}

void require_aligned(const LaneAddresses& addresses, uint32_t bytes, LaneMask mask) {
  uint64_t low = 0;
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) low |= mask >> lane & 1 ? addresses.at[lane] : 0;
  if ((low & (bytes - 1)) == 0) return;
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1) || (addresses.at[lane] & (bytes - 1)) == 0) continue;
    throw MachineFault{
        FaultKind::misaligned, LaneMask{1} << lane,
        std::to_string(bytes) + " bytes at " + hex(addresses.at[lane]) + ", no multiple of their size"};
  }
}

uint32_t sectors_of(const LaneAddresses& addresses, uint32_t bytes, LaneMask mask) {
  uint64_t sectors[2 * Warp::kLanes];
  uint32_t count = 0;
  bool ascends = true;
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    for (uint64_t sector = addresses.at[lane] / 32; sector <= (addresses.at[lane] + bytes - 1) / 32;
         ++sector) {
      if (count > 0 && sector == sectors[count - 1]) continue;
      ascends &= count == 0 || sector > sectors[count - 1];
      sectors[count++] = sector;
    }
  }
  if (ascends) return count;
  std::sort(sectors, sectors + count);
  return static_cast<uint32_t>(std::unique(sectors, sectors + count) - sectors);
}

// How many rounds the banks need. Lanes go in groups that ask for 128 bytes together; in each, an access of 4
// bytes or more has a bank as wide as itself. One word serves all lanes that ask for it.
uint32_t bank_rounds(const LaneAddresses& addresses, uint32_t bytes, LaneMask mask) {
  const uint32_t width = std::max(bytes, 4u), banks = 128 / width;
  uint32_t rounds = 0;
  for (uint32_t first = 0; first < Warp::kLanes; first += banks) {
    uint8_t count[32] = {};
    uint64_t words[32][32];
    uint32_t most = 0;
    for (uint32_t lane = first; lane < first + banks; ++lane) {
      if (!(mask >> lane & 1)) continue;
      const uint64_t word = addresses.at[lane] / width;
      const uint64_t bank = word % banks;
      if (std::find(words[bank], words[bank] + count[bank], word) != words[bank] + count[bank]) continue;
      words[bank][count[bank]] = word;
      most = std::max<uint32_t>(most, ++count[bank]);
    }
    rounds += most;
  }
  return rounds;
}

bool is_contiguous(const LaneAddresses& addresses, uint32_t bytes, LaneMask mask) {
  bool contiguous = mask == kAllLanes;
  for (uint32_t lane = 1; lane < Warp::kLanes; ++lane)
    contiguous &= addresses.at[lane] == addresses.at[0] + lane * bytes;
  return contiguous;
}

void count_shared(Warp& warp, const LaneAddresses& addresses, uint32_t bytes, LaneMask mask) {
  Counters& counters = warp.counters();
  const uint32_t least = bytes <= 4 ? 1 : bytes / 4;
  ++counters.shared_accesses;
  if (bytes >= 4 && is_contiguous(addresses, bytes, mask)) return;
  const uint32_t rounds = bank_rounds(addresses, bytes, mask);
  if (rounds > least) counters.bank_conflicts += rounds - least;
}

void count_global(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask) {
  Counters& counters = warp.counters();
  const uint64_t bytes = uint64_t{access.bytes} * static_cast<uint32_t>(std::popcount(mask));
  (access.is_write ? counters.global_bytes_written : counters.global_bytes_read) += bytes;
  counters.global_sectors += is_contiguous(addresses, access.bytes, mask) && addresses.at[0] % 32 == 0
                                 ? access.bytes
                                 : sectors_of(addresses, access.bytes, mask);
}

[[noreturn]] void refuse_offset(const char* space, uint64_t offset, const Access& access, uint32_t lane,
                                uint64_t size) {
  throw MachineFault{FaultKind::out_of_bounds, LaneMask{1} << lane,
                     std::string(access.is_write ? "write of " : "read of ") + std::to_string(access.bytes) +
                         " bytes at " + std::to_string(offset) + " of " + std::to_string(size) +
                         " bytes of " + space + " memory"};
}

}  // namespace

LaneAddresses addresses_of(Warp& warp, uint16_t row, bool wide, int64_t offset) {
  LaneAddresses addresses;
  const auto add = static_cast<uint64_t>(offset);
  if (wide) {
    const uint64_t* base = warp.lanes<uint64_t>(row);
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) addresses.at[lane] = base[lane] + add;
  } else {
    const uint32_t* base = warp.lanes<uint32_t>(row);
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      addresses.at[lane] = static_cast<uint32_t>(base[lane] + static_cast<uint32_t>(add));
    }
  }
  return addresses;
}

void resolve_global(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                    LanePointers& out) {
  require_aligned(addresses, access.bytes, mask);
  count_global(warp, addresses, access, mask);
  DeviceMemory& memory = *warp.grid().memory;
  const bool races = warp.grid().options.races;
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    const uint64_t offset = addresses.at[lane] - kGlobalWindow;
    if (offset >= DeviceMemory::kSpan) {
      if (!memory.is_host(addresses.at[lane], access.bytes)) {
        memory.refuse(addresses.at[lane], access.bytes, LaneMask{1} << lane, access.is_write);
      }
      out.to[lane] = reinterpret_cast<uint8_t*>(addresses.at[lane]);
      continue;
    }
    ByteState* const states = memory.states(offset);
    if (!permits(states, access)) {
      memory.refuse(addresses.at[lane], access.bytes, LaneMask{1} << lane,
                    access.is_write && !access.is_atomic);
    }
    if (access.is_write) make_ready(states, access.bytes);
    if (races) note_use(warp, lane, offset, access);
    out.to[lane] = memory.data(offset);
  }
}

void resolve_shared(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                    LanePointers& out) {
  require_aligned(addresses, access.bytes, mask);
  count_shared(warp, addresses, access.bytes, mask);
  SharedMemory& shared = warp.block().shared();
  const bool races = warp.grid().options.races && !access.is_atomic;
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    const uint64_t at = addresses.at[lane];
    const auto offset = static_cast<uint32_t>(std::min<uint64_t>(at, ~uint32_t{0} - 64));
    if (at + access.bytes > shared.bytes() || !permits(shared.states(offset), access)) {
      shared.refuse(offset, access.bytes, LaneMask{1} << lane, access.is_write && !access.is_atomic);
    }
    if (access.is_write) make_ready(shared.states(offset), access.bytes);
    if (races) {
      const Toucher who{warp.index(), lane};
      access.is_write ? shared.write(offset, access.bytes, who) : shared.read(offset, access.bytes, who);
    }
    out.to[lane] = shared.data(offset);
  }
}

void resolve_local(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                   LanePointers& out) {
  require_aligned(addresses, access.bytes, mask);
  const uint64_t size = warp.program().local.size();
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    const uint64_t at = addresses.at[lane];
    if (at >= size || at + access.bytes > size) refuse_offset("local", at, access, lane, size);
    ByteState* const states = warp.local_states(lane, static_cast<uint32_t>(at));
    if (!permits(states, access)) {
      const bool raw = std::find(states, states + access.bytes, ByteState::none) == states + access.bytes;
      if (!raw) refuse_offset("local", at, access, lane, size);
      throw MachineFault{
          FaultKind::uninitialised, LaneMask{1} << lane,
          "read of " + std::to_string(access.bytes) + " bytes at " + std::to_string(at) + " of local memory"};
    }
    if (access.is_write) make_ready(states, access.bytes);
    out.to[lane] = warp.local(lane, static_cast<uint32_t>(at));
  }
}

void resolve_param(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                   LanePointers& out) {
  const uint64_t size = warp.program().parameter_bytes;
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    const uint64_t at = addresses.at[lane];
    if (access.is_write || at >= size || at + access.bytes > size)
      refuse_offset("parameter", at, access, lane, size);
    // Only read through.
    out.to[lane] = const_cast<uint8_t*>(warp.grid().parameters) + at;
  }
}

// Lanes may mean different spaces.
void resolve_generic(Warp& warp, const LaneAddresses& addresses, const Access& access, LaneMask mask,
                     LanePointers& out) {
  constexpr std::pair<uint64_t, Resolve> windows[] = {
      {kSharedWindow, resolve_shared}, {kLocalWindow, resolve_local}, {kParamWindow, resolve_param}};
  LaneMask rest = mask;
  for (const auto& [window, resolve] : windows) {
    LaneAddresses inside = addresses;
    LaneMask lanes = 0;
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      inside.at[lane] -= window;
      lanes |= LaneMask{inside.at[lane] < kWindowBytes} << lane;
    }
    lanes &= mask;
    if (lanes != 0) resolve(warp, inside, access, lanes, out);
    rest &= ~lanes;
  }
  if (rest != 0) resolve_global(warp, addresses, access, rest, out);
}

Resolve resolver_of(Space space) {
  switch (space) {
    case Space::global:
    case Space::constant:
      return resolve_global;
    case Space::shared:
      return resolve_shared;
    case Space::local:
      return resolve_local;
    case Space::param:
      return resolve_param;
    case Space::generic:
      return resolve_generic;
  }
  return nullptr;
}

}  // namespace lorikeet::simulator
