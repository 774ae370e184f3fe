#include <algorithm>
#include <set>

#include "simulator/machine/flow.h"

namespace lorikeet::simulator {

namespace {

void collect(const Operand& operand, std::vector<uint32_t>& registers) {
  if (operand.kind == OperandKind::reg) registers.push_back(operand.reg);
  for (const Operand& part : operand.parts) collect(part, registers);
}

// All other instructions write what their first operand names.
bool writes_nothing(const Statement& statement) {
  constexpr std::string_view names[] = {
      "st",  "red",     "bra",      "cp",      "membar",    "fence", "nanosleep",
      "ret", "exit",    "prefetch", "trap",    "prefetchu", "call",  "griddepcontrol",
      "bar", "barrier", "brkpt",    "pmevent", "stmatrix"};
  if (std::ranges::find(names, statement.opcode) == std::end(names)) return false;
  const bool is_barrier = statement.opcode == "bar" || statement.opcode == "barrier";
  return !is_barrier || std::ranges::find(statement.modifiers, "red") == statement.modifiers.end();
}

using Bits = std::vector<bool>;

struct Live {
  std::vector<Bits> in, out;  // by block
};

// Backwards over the blocks until nothing changes.
Live live_registers(const Function& function, const Flow& flow, const std::vector<Uses>& uses) {
  const size_t count = function.registers.size(), blocks = flow.blocks.size();
  Live live{std::vector<Bits>(blocks, Bits(count)), std::vector<Bits>(blocks, Bits(count))};
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t b = blocks; b-- > 0;) {
      Bits now(count);
      for (const uint32_t next : flow.blocks[b].successors) {
        if (next == Flow::kExit) continue;
        for (size_t r = 0; r < count; ++r) now[r] = now[r] || live.in[next][r];
      }
      live.out[b] = now;
      for (uint32_t i = flow.blocks[b].end; i-- > flow.blocks[b].first;) {
        // Under a guard the other lanes keep what was there.
        if (!function.statements[i].guard) {
          for (const uint32_t r : uses[i].written) now[r] = false;
        }
        for (const uint32_t r : uses[i].read) now[r] = true;
      }
      if (now != live.in[b]) changed = true;
      live.in[b] = std::move(now);
    }
  }
  return live;
}

struct Span {
  uint32_t reg, first = ~uint32_t{0}, last = 0;
  void cover(uint32_t at) {
    first = std::min(first, at);
    last = std::max(last, at);
  }
};

std::vector<Span> spans_of(const Function& function, const Flow& flow, const std::vector<Uses>& uses) {
  const Live live = live_registers(function, flow, uses);
  std::vector<Span> spans(function.registers.size());
  for (uint32_t r = 0; r < spans.size(); ++r) spans[r].reg = r;
  for (uint32_t i = 0; i < uses.size(); ++i) {
    for (const uint32_t r : uses[i].read) spans[r].cover(i);
    for (const uint32_t r : uses[i].written) spans[r].cover(i);
  }
  for (size_t b = 0; b < flow.blocks.size(); ++b) {
    for (uint32_t r = 0; r < spans.size(); ++r) {
      if (live.in[b][r]) spans[r].cover(flow.blocks[b].first);
      if (live.out[b][r]) spans[r].cover(flow.blocks[b].end - 1);
    }
  }
  std::erase_if(spans, [](const Span& span) { return span.first > span.last; });
  std::ranges::sort(spans, {}, &Span::first);
  return spans;
}

}  // namespace

Uses uses_of(const Statement& statement) {
  Uses uses;
  for (size_t i = 0; i < statement.operands.size(); ++i) {
    const Operand& operand = statement.operands[i];
    const bool written = i == 0 && operand.kind != OperandKind::address && !writes_nothing(statement);
    collect(operand, written ? uses.written : uses.read);
  }
  if (statement.guard) collect(*statement.guard, uses.read);
  return uses;
}

Rows assign_rows(const Function& function, const Flow& flow) {
  std::vector<Uses> uses;
  for (const Statement& statement : function.statements) uses.push_back(uses_of(statement));
  Rows rows;
  rows.of_register.assign(function.registers.size(), 0);
  std::multiset<std::pair<uint32_t, uint32_t>>
      active[2];  // (last statement, row) of those of 32 and of 64 bits
  std::vector<uint32_t> free_rows[2];
  for (const Span& span : spans_of(function, flow, uses)) {
    const Type type = function.registers[span.reg].type;
    if (type == Type::pred) continue;
    const int wide = bytes_of(type) == 8;
    // Strictly before: an instruction may write its first result before it has read its last operand.
    while (!active[wide].empty() && active[wide].begin()->first < span.first) {
      free_rows[wide].push_back(active[wide].begin()->second);
      active[wide].erase(active[wide].begin());
    }
    uint32_t row = rows.count;
    if (!free_rows[wide].empty()) {
      row = free_rows[wide].back();
      free_rows[wide].pop_back();
    } else {
      rows.count += 1 + static_cast<uint32_t>(wide);
    }
    rows.of_register[span.reg] = row;
    active[wide].emplace(span.last, row);
  }
  return rows;
}

}  // namespace lorikeet::simulator
