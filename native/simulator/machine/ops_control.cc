// Ways and order: bra, call, ret, exit, trap, bar, barrier, membar, fence, griddepcontrol, nanosleep.
#include "simulator/machine/block.h"
#include "simulator/machine/decode.h"
#include "simulator/machine/launch.h"
#include "simulator/machine/warp.h"

namespace lorikeet::simulator {

namespace {

void nothing(Warp&, const Instruction&, LaneMask) {}

void branch(Decoding& d) {
  d.take("uni");
  Instruction instruction =
      d.make([](Warp& warp, const Instruction& i, LaneMask mask) { warp.jump(i, mask); });
  d.require(d.operand(0).kind == OperandKind::label, "bra without a label");
  instruction.target = d.operand(0).target;
  instruction.join = d.join();
  d.emit(instruction);
}

// Copies between variables of the thread: what call gives and takes.
void copy_local(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const auto to = static_cast<uint32_t>(instruction.immediate >> 32);
  const auto from = static_cast<uint32_t>(instruction.immediate);
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    std::copy_n(warp.local(lane, from), instruction.target, warp.local(lane, to));
    std::copy_n(warp.local_states(lane, from), instruction.target, warp.local_states(lane, to));
  }
}

struct Passed {
  const std::vector<Operand>& given;
  const std::vector<uint32_t>& taken;  // variables of the callee
  bool into_callee;
};

void pass(Decoding& d, const FunctionPlace& callee, const Passed& passed) {
  d.require(passed.given.size() == passed.taken.size(), "call with another number of parameters");
  for (size_t i = 0; i < passed.taken.size(); ++i) {
    const Operand& given = passed.given[i];
    d.require(given.kind == OperandKind::variable, "parameters of calls are .param variables");
    const Variable& variable = callee.function->variables[passed.taken[i]];
    d.require(variable.bytes <= d.variable(given.variable).bytes, "a parameter of another size");
    const uint64_t inside = callee.variables[passed.taken[i]], outside = d.address_of(given);
    Instruction copy = d.make(copy_local);
    copy.target = static_cast<uint32_t>(variable.bytes);
    copy.flags = kIsCall;  // `target` is no statement
    copy.immediate =
        static_cast<int64_t>(passed.into_callee ? inside << 32 | outside : outside << 32 | inside);
    d.emit(copy);
  }
}

void call(Decoding& d) {
  d.take("uni");
  const std::string& name = d.operand(1).name;
  if (name == "__assertfail") {
    return d.emit(
        [](Warp&, const Instruction&, LaneMask mask) {
          throw MachineFault{FaultKind::trap, mask, "an assert of the kernel failed"};
        },
        {});
  }
  const FunctionPlace& callee = d.callee(name);
  pass(d, callee, {d.operand(2).parts, callee.function->parameters, true});
  Instruction instruction =
      d.make([](Warp& warp, const Instruction& i, LaneMask mask) { warp.call(i, mask); });
  instruction.target = callee.entry;
  instruction.flags = kIsCall;
  d.emit(instruction);
  pass(d, callee, {d.operand(0).parts, callee.function->results, false});
}

void leave(Decoding& d) {
  d.take("uni");
  d.emit([](Warp& warp, const Instruction&, LaneMask mask) { warp.leave_function(mask); }, {});
}

void end(Decoding& d) {
  d.emit([](Warp& warp, const Instruction&, LaneMask mask) { warp.exit(mask); }, {});
}

void trap(Decoding& d) {
  d.emit(
      [](Warp&, const Instruction&, LaneMask mask) {
        throw MachineFault{FaultKind::trap, mask, "the kernel stopped itself"};
      },
      {});
}

// Every thread of the warp takes part, or the barrier is not what the kernel thinks.
void require_whole_warp(const Warp& warp, LaneMask mask) {
  if (mask == warp.born()) return;
  const LaneMask missing = warp.born() & ~mask, exited = missing & ~warp.alive();
  std::string detail = "lanes " + lanes_text(missing) + " of the warp are not there";
  if (exited != 0) detail += " (" + lanes_text(exited) + " have exited)";
  throw MachineFault{FaultKind::divergent_barrier, mask, detail};
}

uint32_t uniform(Warp& warp, uint16_t row, LaneMask mask, const char* what) {
  const uint32_t* values = warp.lanes<uint32_t>(row);
  const uint32_t first = values[std::countr_zero(mask)];
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if ((mask >> lane & 1) && values[lane] != first) {
      throw MachineFault{FaultKind::mismatched_barrier, mask,
                         std::string("lanes differ in the barrier's ") + what};
    }
  }
  return first;
}

// Flags of a barrier.
constexpr uint8_t kWaits = 1, kHasThreads = 2;

// Rows: barrier, threads, a predicate, the row of a result. Count: the reduction.
void barrier_lanes(Warp& warp, const Instruction& instruction, LaneMask mask) {
  require_whole_warp(warp, mask);
  Arrival arrival;
  arrival.barrier = uniform(warp, instruction.row[0], mask, "number");
  if (arrival.barrier > 15)
    throw MachineFault{FaultKind::mismatched_barrier, mask, "there are barriers 0 to 15"};
  if (instruction.flags & kHasThreads) {
    arrival.threads = uniform(warp, instruction.row[1], mask, "number of threads");
    if (arrival.threads == 0 || arrival.threads % Warp::kLanes != 0) {
      throw MachineFault{FaultKind::mismatched_barrier, mask, "a barrier is for whole warps of threads"};
    }
  }
  arrival.waits = instruction.flags & kWaits;
  arrival.reduction = static_cast<Reduction>(instruction.count);
  if (arrival.reduction != Reduction::none) {
    arrival.holds = warp.predicate(instruction.row[2]) & mask;
    warp.barrier_result_row = instruction.row[3];
  }
  warp.block().arrive(warp, arrival);
}

void warp_barrier(Warp& warp, const Instruction& instruction, LaneMask mask) {
  const uint32_t* named = warp.lanes<uint32_t>(instruction.row[0]);
  for (uint32_t lane = 0; lane < Warp::kLanes; ++lane) {
    if (!(mask >> lane & 1)) continue;
    const LaneMask missing = named[lane] & warp.born() & ~mask;
    if (missing != 0 || !(named[lane] >> lane & 1)) {
      throw MachineFault{
          FaultKind::missing_lanes, mask,
          "bar.warp.sync names " + hex(named[lane]) + ": lanes " + lanes_text(missing) + " are not there"};
    }
  }
  warp.block().shared().sync_warp(warp.index());
}

void barrier_reduction(Decoding& d, size_t operands, Instruction& instruction) {
  const std::string_view name = d.take_one({"popc", "and", "or"});
  d.require(!name.empty(), "bar.red is .popc, .and or .or");
  const bool count = name == "popc";
  d.require(d.take_type() == (count ? Type::u32 : Type::pred), "bar.red of this type");
  instruction.count = static_cast<uint8_t>(count           ? Reduction::popc
                                           : name == "and" ? Reduction::all
                                                           : Reduction::any);
  instruction.row[2] = d.source_predicate(d.operand(operands - 1));
  instruction.row[3] = count ? d.result(0, Type::u32) : d.result_predicate(d.operand(0));
}

void barrier(Decoding& d) {
  d.take("cta");
  d.take("aligned");
  if (d.take("warp")) {
    d.require(d.take("sync"), "bar.warp is .sync");
    return d.emit(warp_barrier, {d.source(0, Type::b32)});
  }
  const std::string_view kind = d.take_one({"sync", "arrive", "red"});
  d.require(!kind.empty(), "bar is .sync, .arrive or .red");
  const size_t first = kind == "red" ? 1 : 0, last = d.operand_count() - first;
  Instruction instruction = d.make(barrier_lanes);
  instruction.count = 0;
  if (kind == "red") barrier_reduction(d, d.operand_count(), instruction);
  instruction.row[0] = d.source(first, Type::u32);
  const bool has_threads = last - first > 1;
  if (has_threads) instruction.row[1] = d.source(first + 1, Type::u32);
  d.require(kind != "arrive" || has_threads, "bar.arrive names its threads");
  instruction.flags = static_cast<uint8_t>((kind != "arrive" ? kWaits : 0) | (has_threads ? kHasThreads : 0));
  d.emit(instruction);
}

// Blocks run one after the other and warps see memory as one: nothing is left to order, but whoever hands on
// what he wrote has to fence first.
void fence(Decoding& d) {
  const bool block_only = d.take("cta");
  for (const std::string_view modifier : {"gl", "sys", "gpu", "acq_rel", "sc", "proxy", "async"})
    d.take(modifier);
  const Handler publish = [](Warp& warp, const Instruction&, LaneMask) { warp.grid().fenced = true; };
  d.emit(block_only ? nothing : publish, {});
}

void depend_on_launch(Decoding& d) {
  const std::string_view kind = d.take_one({"launch_dependents", "wait"});
  d.require(!kind.empty(), "griddepcontrol is .launch_dependents or .wait");
  const Handler wait = [](Warp& warp, const Instruction&, LaneMask mask) { warp.waited_for_launch |= mask; };
  d.emit(kind == "wait" ? wait : nothing, {});
}

void sleep(Decoding& d) {
  d.require(d.take_type() == Type::u32, "nanosleep of this type");
  d.emit(nothing, {d.source(0, Type::u32)});
}

}  // namespace

void add_control_decoders(Decoders& decoders) {
  decoders["bra"] = branch;
  decoders["call"] = call;
  decoders["ret"] = leave;
  decoders["exit"] = end;
  decoders["trap"] = trap;
  decoders["brkpt"] = trap;
  decoders["bar"] = barrier;
  decoders["barrier"] = barrier;
  decoders["membar"] = fence;
  decoders["fence"] = fence;
  decoders["griddepcontrol"] = depend_on_launch;
  decoders["nanosleep"] = sleep;
}

}  // namespace lorikeet::simulator
