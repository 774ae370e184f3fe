// cp.async: what is begun here arrives when it is waited for, as late as hardware may be; until then nobody
// may touch the bytes that it goes to.
#include <algorithm>
#include <cstring>

#include "simulator/machine/access.h"
#include "simulator/machine/block.h"
#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"
#include "simulator/machine/launch.h"
#include "simulator/machine/spaces.h"

namespace lorikeet::simulator {

namespace {

constexpr uint8_t kWideTarget = 1, kWideSource = 2, kHasSize = 4;

// Rows: shared address, global address, bytes to read. Count: bytes to write.
void begin_copy(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const uint32_t bytes = instruction.count;
  const auto to =
      addresses_of(warp, instruction.row[0], instruction.flags & kWideTarget, instruction.immediate >> 32);
  const auto from = addresses_of(warp, instruction.row[1], instruction.flags & kWideSource,
                                 static_cast<int32_t>(instruction.immediate));
  const uint32_t* sizes = warp.lanes<uint32_t>(instruction.row[2]);
  LaneMask reading = 0;
  uint32_t size[Warp::kLanes];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    size[lane] = instruction.flags & kHasSize ? std::min(sizes[lane], bytes) : bytes;
    reading |= LaneMask{size[lane] == bytes} << lane;
  }
  LanePointers sources{}, targets{};
  if (mask & reading) resolve_global(warp, from, {bytes}, mask & reading, sources);
  resolve_shared(warp, to, {bytes, true}, mask, targets);
  SharedMemory& shared = warp.block().shared();
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    // A part of the source: only that much of it has to be there.
    for (uint32_t at = 0; !(reading >> lane & 1) && at < size[lane]; ++at) {
      LaneAddresses one = from;
      one.at[lane] += at;
      LanePointers byte;
      resolve_global(warp, one, {1}, LaneMask{1} << lane, byte);
      if (at == 0) sources.to[lane] = byte.to[lane];
    }
    const auto offset = static_cast<uint32_t>(to.at[lane]);
    std::memset(static_cast<void*>(shared.states(offset)), static_cast<int>(ByteState::copying), bytes);
    warp.copies.push_back({lane, warp.copy_groups[lane], offset, sources.to[lane],
                           static_cast<uint8_t>(bytes), static_cast<uint8_t>(size[lane])});
  }
}

void finish_copy(SharedMemory& shared, const Warp::Copy& copy) {
  if (copy.read == 16) {  // nearly all; of a size that the compiler knows
    std::memcpy(shared.data(copy.to), copy.from, 16);
    std::memset(static_cast<void*>(shared.states(copy.to)), static_cast<int>(ByteState::ready), 16);
    return;
  }
  uint8_t bytes[16] = {};
  if (copy.read > 0) std::memcpy(bytes, copy.from, copy.read);
  std::memcpy(shared.data(copy.to), bytes, copy.bytes);
  std::memset(static_cast<void*>(shared.states(copy.to)), static_cast<int>(ByteState::ready), copy.bytes);
}

// Ends those copies of the active lanes that lie in groups older than the newest `open` ones. The copies
// count as writes of the moment at which they are waited for.
void wait_for_groups(Warp& warp, LaneMask mask, uint32_t open, bool uncommitted) {
  SharedMemory& shared = warp.block().shared();
  const auto is_done = [&](const Warp::Copy& copy) {
    if (!(mask >> copy.lane & 1)) return false;
    if (uncommitted) return true;
    return copy.group + open < warp.copy_groups[copy.lane];
  };
  for (const Warp::Copy& copy : warp.copies) {
    if (!is_done(copy)) continue;
    finish_copy(shared, copy);
    if (warp.grid().options.races) shared.write(copy.to, copy.bytes, {warp.index(), copy.lane});
  }
  std::erase_if(warp.copies, is_done);
}

void commit(Warp& warp, const Instruction&, LaneMask mask) {
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) warp.copy_groups[lane] += mask >> lane & 1;
}

void wait_group(Warp& warp, const Instruction& instruction, LaneMask mask) {
  wait_for_groups(warp, mask, static_cast<uint32_t>(instruction.immediate), false);
}

void wait_all(Warp& warp, const Instruction&, LaneMask mask) {
  wait_for_groups(warp, mask, 0, true);
}

// cp.async.ca.shared.global [to], [from], bytes{, size}
void decode_begin(Decoding& d) {
  d.require(!d.take_one({"ca", "cg"}).empty(), "cp.async is .ca or .cg, or of a group");
  d.require(!d.take_one({"shared", "shared::cta"}).empty() && d.take("global"), "cp.async is .shared.global");
  d.take_all("L2::");
  const Decoding::Address to = d.address(0), from = d.address(1);
  const int64_t bytes = d.integer(2);
  d.require(bytes == 4 || bytes == 8 || bytes == 16, "cp.async copies 4, 8 or 16 bytes");
  const bool has_size = d.operand_count() > 3;
  Instruction instruction = d.make(begin_copy, {to.row, from.row});
  if (has_size) instruction.row[2] = d.source(3, Type::u32);
  instruction.count = static_cast<uint8_t>(bytes);
  instruction.flags = static_cast<uint8_t>((to.wide ? kWideTarget : 0) | (from.wide ? kWideSource : 0) |
                                           (has_size ? kHasSize : 0));
  instruction.immediate =
      static_cast<int64_t>(static_cast<uint64_t>(to.offset) << 32 | static_cast<uint32_t>(from.offset));
  d.emit(instruction);
}

void copy(Decoding& d) {
  d.require(d.take("async"), "cp is .async");
  if (d.take("commit_group")) return d.emit(commit, {});
  if (d.take("wait_all")) return d.emit(wait_all, {});
  if (!d.take("wait_group")) return decode_begin(d);
  Instruction instruction = d.make(wait_group);
  instruction.immediate = d.integer(0);
  d.emit(instruction);
}

}  // namespace

void add_copy_decoders(Decoders& decoders) {
  decoders["cp"] = copy;
}

}  // namespace lorikeet::simulator
