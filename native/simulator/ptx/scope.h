#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "simulator/ptx/module.h"

namespace lorikeet::simulator {

// The names of one function: blocks in braces nest and hide each other's names, as inline assembly needs it.
class Scopes {
 public:
  Scopes() { open(); }

  void open() {
    blocks_.push_back({stack_.empty() ? kNone : stack_.back(), {}, {}, {}, {}});
    stack_.push_back(blocks_.size() - 1);
  }
  void close() { stack_.pop_back(); }
  size_t depth() const { return stack_.size(); }
  size_t current() const { return stack_.back(); }

  // `%r<100>` declares %r0 to %r99; each becomes a register at its first use.
  void add_range(std::string_view prefix, uint64_t count, Type type) {
    top().ranges[std::string(prefix)] = {count, type};
  }
  void add_register(std::string_view name, uint32_t index) { top().registers[std::string(name)] = index; }
  void add_variable(std::string_view name, uint32_t index) { top().variables[std::string(name)] = index; }
  bool add_label(std::string_view name, uint32_t at) { return top().labels.emplace(name, at).second; }

  std::optional<uint32_t> find_register(std::string_view name, std::vector<Register>& registers);
  std::optional<uint32_t> find_variable(std::string_view name) const;
  // Seen from the block `from`, which may be closed by then: labels are used before they stand.
  std::optional<uint32_t> find_label(std::string_view name, size_t from) const;

 private:
  static constexpr size_t kNone = ~size_t{0};
  struct Range {
    uint64_t count;
    Type type;
  };
  struct Block {
    size_t parent;
    std::unordered_map<std::string, Range> ranges;
    std::unordered_map<std::string, uint32_t> registers, variables, labels;
  };

  Block& top() { return blocks_[stack_.back()]; }

  std::vector<Block> blocks_;
  std::vector<size_t> stack_;
};

}  // namespace lorikeet::simulator
