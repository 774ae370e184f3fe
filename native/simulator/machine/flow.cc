#include "simulator/machine/flow.h"

#include <algorithm>

namespace lorikeet::simulator {

namespace {

bool ends_way(const Statement& statement) {
  return statement.opcode == "ret" || statement.opcode == "exit" || statement.opcode == "trap";
}

bool ends_block(const Statement& statement) {
  return ends_way(statement) || statement.opcode == "bra";
}

uint32_t target_of(const Statement& branch) {
  if (branch.operands.size() != 1 || branch.operands[0].kind != OperandKind::label) {
    throw PtxError(branch.line, "bra without a label");
  }
  return branch.operands[0].target;
}

// Post-dominators by the method of Cooper, Harvey and Kennedy, over the blocks in the order in which a walk
// from the exit backwards leaves them.
class PostDominators {
 public:
  explicit PostDominators(const std::vector<Flow::Block>& blocks)
      : exit_(static_cast<uint32_t>(blocks.size())),
        predecessors_(blocks.size() + 1),
        number_(blocks.size() + 1, 0) {
    for (uint32_t b = 0; b < blocks.size(); ++b) {
      for (const uint32_t next : blocks[b].successors)
        predecessors_[next == Flow::kExit ? exit_ : next].push_back(b);
    }
    walk();
    dominator_.assign(blocks.size() + 1, Flow::kExit);
    dominator_[exit_] = exit_;
    while (pass(blocks)) {
    }
  }

  // kExit where only the end of the function is common, or no way leads there.
  uint32_t of(uint32_t block) const { return dominator_[block] == exit_ ? Flow::kExit : dominator_[block]; }

 private:
  void walk() {
    std::vector<bool> seen(predecessors_.size(), false);
    std::vector<std::pair<uint32_t, size_t>> stack{{exit_, 0}};
    seen[exit_] = true;
    while (!stack.empty()) {
      auto& [block, at] = stack.back();
      if (at == predecessors_[block].size()) {
        number_[block] = static_cast<uint32_t>(order_.size());
        order_.push_back(block);
        stack.pop_back();
        continue;
      }
      const uint32_t before = predecessors_[block][at++];
      if (seen[before]) continue;
      seen[before] = true;
      stack.emplace_back(before, 0);
    }
    std::ranges::reverse(order_);
  }

  bool pass(const std::vector<Flow::Block>& blocks) {
    bool changed = false;
    for (const uint32_t block : order_) {
      if (block == exit_) continue;
      uint32_t common = Flow::kExit;
      for (const uint32_t next : blocks[block].successors) {
        const uint32_t node = next == Flow::kExit ? exit_ : next;
        if (dominator_[node] == Flow::kExit) continue;
        common = common == Flow::kExit ? node : meet(node, common);
      }
      changed |= dominator_[block] != common;
      dominator_[block] = common;
    }
    return changed;
  }

  uint32_t meet(uint32_t a, uint32_t b) const {
    while (a != b) {
      while (number_[a] < number_[b]) a = dominator_[a];
      while (number_[b] < number_[a]) b = dominator_[b];
    }
    return a;
  }

  uint32_t exit_;
  std::vector<std::vector<uint32_t>> predecessors_;
  std::vector<uint32_t> number_, order_, dominator_;
};

}  // namespace

Flow flow_of(const Function& function) {
  const auto& statements = function.statements;
  const auto count = static_cast<uint32_t>(statements.size());
  std::vector<bool> begins(count + 1, false);
  begins[0] = begins[count] = true;
  for (uint32_t i = 0; i < count; ++i) {
    if (!ends_block(statements[i])) continue;
    begins[i + 1] = true;
    if (statements[i].opcode == "bra") begins[std::min(target_of(statements[i]), count)] = true;
  }
  Flow flow;
  flow.block_of.resize(count);
  for (uint32_t i = 0; i < count; ++i) {
    if (begins[i]) flow.blocks.push_back({i, i, {}});
    flow.blocks.back().end = i + 1;
    flow.block_of[i] = static_cast<uint32_t>(flow.blocks.size() - 1);
  }
  const auto block_at = [&](uint32_t statement) {
    return statement < count ? flow.block_of[statement] : Flow::kExit;
  };
  for (Flow::Block& block : flow.blocks) {
    const Statement& last = statements[block.end - 1];
    if (!ends_block(last) || last.guard) block.successors.push_back(block_at(block.end));
    if (last.opcode == "bra") block.successors.push_back(block_at(target_of(last)));
    if (ends_way(last)) block.successors.push_back(Flow::kExit);
  }
  return flow;
}

std::vector<uint32_t> Flow::joins() const {
  const PostDominators dominators(blocks);
  std::vector<uint32_t> joins(blocks.size(), kExit);
  for (uint32_t b = 0; b < blocks.size(); ++b) {
    if (const uint32_t block = dominators.of(b); block != kExit) joins[b] = blocks[block].first;
  }
  return joins;
}

}  // namespace lorikeet::simulator
