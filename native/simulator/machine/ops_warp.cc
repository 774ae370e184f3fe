// Between the lanes of a warp: shfl, vote, match, redux, activemask.
#include "simulator/machine/decode.h"
#include "simulator/machine/lanes.h"

namespace lorikeet::simulator {

namespace {

// Who is named has to be here, now; and who is here has to be named.
void require_named(const Warp& warp, const uint32_t* named, LaneMask mask) {
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1) || named[lane] == mask) continue;
    const LaneMask missing = named[lane] & ~mask;
    if (missing != 0) {
      std::string detail =
          "the mask " + hex(named[lane]) + " names lanes " + lanes_text(missing) + ", which are ";
      detail += (missing & ~warp.alive()) == missing ? "not alive" : "not at this instruction";
      throw MachineFault{FaultKind::missing_lanes, mask, detail};
    }
    if (!(named[lane] >> lane & 1)) {
      throw MachineFault{FaultKind::missing_lanes, LaneMask{1} << lane,
                         "the mask " + hex(named[lane]) + " does not name the lane that runs"};
    }
  }
}

enum class Shuffle : uint8_t { up, down, butterfly, index };

// Rows: result, value, lane or distance, clamp and segment, mask. Flags: 1 + predicate in row 5 wanted.
template <Shuffle kShuffle>
void shuffle_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto *value = warp.lanes<uint32_t>(instruction.row[1]),
             *by = warp.lanes<uint32_t>(instruction.row[2]),
             *limits = warp.lanes<uint32_t>(instruction.row[3]);
  require_named(warp, warp.lanes<uint32_t>(instruction.row[4]), mask);
  uint32_t out[Warp::kLanes];
  LaneMask in_range = 0;
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    const uint32_t clamp = limits[lane] & 31, segment = limits[lane] >> 8 & 31, distance = by[lane] & 31;
    const uint32_t least = lane & segment, most = least | (clamp & ~segment);
    uint32_t from = 0;
    bool valid = false;
    switch (kShuffle) {
      case Shuffle::up:
        from = lane - distance, valid = static_cast<int32_t>(from) >= static_cast<int32_t>(most);
        break;
      case Shuffle::down:
        from = lane + distance, valid = from <= most;
        break;
      case Shuffle::butterfly:
        from = lane ^ distance, valid = from <= most;
        break;
      case Shuffle::index:
        from = least | (distance & ~segment), valid = from <= most;
        break;
    }
    if (!valid) from = lane;
    out[lane] = value[from & 31];
    in_range |= LaneMask{valid} << lane;
    if ((mask >> lane & 1) && !(mask >> (from & 31) & 1)) {
      throw MachineFault{FaultKind::missing_lanes, LaneMask{1} << lane,
                         "reads lane " + std::to_string(from) + ", which is not at this instruction"};
    }
  }
  warp.store(warp.lanes<uint32_t>(instruction.row[0]), out, mask);
  if (instruction.flags) {
    LaneMask& result = warp.predicate(instruction.row[5]);
    result = (result & ~mask) | (in_range & mask);
  }
}

void shuffle(Decoding& d) {
  d.require(d.take("sync"), "shfl without .sync is gone from hardware");
  const std::string_view kind = d.take_one({"up", "down", "bfly", "idx"});
  d.require(!kind.empty() && d.take_type() == Type::b32, "shfl is .up, .down, .bfly or .idx, of b32");
  const Handler handler = kind == "up"     ? shuffle_lanes<Shuffle::up>
                          : kind == "down" ? shuffle_lanes<Shuffle::down>
                          : kind == "bfly" ? shuffle_lanes<Shuffle::butterfly>
                                           : shuffle_lanes<Shuffle::index>;
  Instruction instruction =
      d.make(handler, {d.result(0, Type::b32), d.source(1, Type::b32), d.source(2, Type::b32),
                       d.source(3, Type::b32), d.source(4, Type::b32)});
  const Operand& result = d.operand(0);
  if (!result.parts.empty()) {
    instruction.row[5] = d.result_predicate(result.parts[0]);
    instruction.flags = 1;
  }
  d.emit(instruction);
}

// Lanes at one instruction may name different groups; each is served for itself.
template <typename F>
void for_groups(const Warp& warp, const uint32_t* named, LaneMask mask, F serve) {
  require_named(warp, named, mask);
  while (mask != 0) {
    const LaneMask group = named[std::countr_zero(mask)] & mask;
    serve(group);
    mask &= ~group;
  }
}

template <typename S>
void store_same(Warp& warp, S* row, S value, LaneMask mask) {
  S out[Warp::kLanes];
  std::fill_n(out, Warp::kLanes, value);
  warp.store(row, out, mask);
}

enum class Vote : uint8_t { all, any, uniform, ballot };

// Rows: result (a predicate, or of ballot a register), predicate, mask.
template <Vote kVote>
void vote_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  for_groups(warp, warp.lanes<uint32_t>(instruction.row[2]), mask, [&](LaneMask group) {
    const LaneMask holds = warp.predicate(instruction.row[1]) & group;
    if constexpr (kVote == Vote::ballot) {
      store_same(warp, warp.lanes<uint32_t>(instruction.row[0]), holds, group);
    } else {
      const bool met = kVote == Vote::all   ? holds == group
                       : kVote == Vote::any ? holds != 0
                                            : holds == group || holds == 0;
      LaneMask& result = warp.predicate(instruction.row[0]);
      result = met ? result | group : result & ~group;
    }
  });
}

void vote(Decoding& d) {
  d.require(d.take("sync"), "vote without .sync is gone from hardware");
  const std::string_view kind = d.take_one({"all", "any", "uni", "ballot"});
  const bool ballot = kind == "ballot";
  d.require(!kind.empty() && d.take_type() == (ballot ? Type::b32 : Type::pred),
            "vote of this kind and type");
  const Handler handler = kind == "all"   ? vote_lanes<Vote::all>
                          : kind == "any" ? vote_lanes<Vote::any>
                          : kind == "uni" ? vote_lanes<Vote::uniform>
                                          : vote_lanes<Vote::ballot>;
  const uint16_t holds = d.source_predicate(d.operand(1)), named = d.source(2, Type::b32);
  d.emit(handler, {ballot ? d.result(0, Type::b32) : d.result_predicate(d.operand(0)), holds, named});
}

// Rows: result, value, mask, predicate of match.all.
template <typename T, bool kAll>
void match_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto* value = warp.lanes<T>(instruction.row[1]);
  for_groups(warp, warp.lanes<uint32_t>(instruction.row[2]), mask, [&](LaneMask group) {
    uint32_t out[Warp::kLanes] = {};
    bool all = true;
    for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
      if (!(group >> lane & 1)) continue;
      for (uint32_t other = 0; other < Warp::kLanes; ++other) {
        if ((group >> other & 1) && value[other] == value[lane]) out[lane] |= LaneMask{1} << other;
      }
      all &= out[lane] == group;
    }
    if constexpr (kAll) {
      std::fill_n(out, Warp::kLanes, all ? group : 0);
      LaneMask& result = warp.predicate(instruction.row[3]);
      result = all ? result | group : result & ~group;
    }
    warp.store(warp.lanes<uint32_t>(instruction.row[0]), out, group);
  });
}

void match(Decoding& d) {
  const std::string_view kind = d.take_one({"any", "all"});
  d.require(d.take("sync") && !kind.empty(), "match is .any or .all, .sync");
  const Type type = d.take_type();
  const bool all = kind == "all", wide = bytes_of(type) == 8;
  const Handler handler = all ? (wide ? match_lanes<uint64_t, true> : match_lanes<uint32_t, true>)
                              : (wide ? match_lanes<uint64_t, false> : match_lanes<uint32_t, false>);
  Instruction instruction =
      d.make(handler, {d.result(0, Type::b32), d.source(1, type), d.source(2, Type::b32)});
  const Operand& result = d.operand(0);
  if (all) instruction.row[3] = d.result_predicate(result.parts.empty() ? Operand{} : result.parts[0]);
  d.emit(instruction);
}

template <auto F, typename T>
void reduce_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto* value = warp.lanes<T>(instruction.row[1]);
  for_groups(warp, warp.lanes<uint32_t>(instruction.row[2]), mask, [&](LaneMask group) {
    const auto first = static_cast<uint32_t>(std::countr_zero(group));
    T total = unpack<T>(value[first]);
    for (uint32_t lane = first + 1; lane < Warp::kLanes; ++lane) {
      if (group >> lane & 1) total = F(total, unpack<T>(value[lane]));
    }
    store_same(warp, warp.lanes<T>(instruction.row[0]), pack<T>(total), group);
  });
}

Handler reduce_handler(std::string_view op, bool is_signed_type) {
  constexpr auto add = [](uint32_t a, uint32_t b) { return a + b; };
  constexpr auto both = [](uint32_t a, uint32_t b) { return a & b; };
  constexpr auto either = [](uint32_t a, uint32_t b) { return a | b; };
  constexpr auto differ = [](uint32_t a, uint32_t b) { return a ^ b; };
  constexpr auto least = [](auto a, auto b) { return b < a ? b : a; };
  constexpr auto most = [](auto a, auto b) { return a < b ? b : a; };
  if (op == "add") return reduce_lanes<add, uint32_t>;
  if (op == "and") return reduce_lanes<both, uint32_t>;
  if (op == "or") return reduce_lanes<either, uint32_t>;
  if (op == "xor") return reduce_lanes<differ, uint32_t>;
  if (op == "min") return is_signed_type ? reduce_lanes<least, int32_t> : reduce_lanes<least, uint32_t>;
  if (op == "max") return is_signed_type ? reduce_lanes<most, int32_t> : reduce_lanes<most, uint32_t>;
  return nullptr;
}

void reduce(Decoding& d) {
  d.require(d.take("sync"), "redux is .sync");
  const std::string_view op = d.take_one({"add", "and", "or", "xor", "min", "max"});
  const Type type = d.take_type();
  d.require(bytes_of(type) == 4 && !is_float(type), "redux of this type");
  d.emit(d.known(reduce_handler(op, is_signed(type))),
         {d.result(0, type), d.source(1, type), d.source(2, Type::b32)});
}

void active_mask(Decoding& d) {
  d.require(d.take_type() == Type::b32, "activemask is of b32");
  d.emit([](Warp& warp, const Instruction& instruction,
            LaneMask mask) { store_same(warp, warp.lanes<uint32_t>(instruction.row[0]), mask, mask); },
         {d.result(0, Type::b32)});
}

}  // namespace

void add_warp_decoders(Decoders& decoders) {
  decoders["shfl"] = shuffle;
  decoders["vote"] = vote;
  decoders["match"] = match;
  decoders["redux"] = reduce;
  decoders["activemask"] = active_mask;
}

}  // namespace lorikeet::simulator
