#include "simulator/ptx/scope.h"

#include <charconv>

namespace lorikeet::simulator {

namespace {

struct Split {
  std::string_view prefix;
  std::optional<uint64_t> number;  // no leading zeros: %r01 is not %r1
};

Split split(std::string_view name) {
  size_t at = name.size();
  while (at > 0 && name[at - 1] >= '0' && name[at - 1] <= '9') --at;
  const std::string_view digits = name.substr(at);
  if (digits.empty() || (digits.size() > 1 && digits[0] == '0')) return {name, std::nullopt};
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc()) return {name, std::nullopt};
  return {name.substr(0, at), number};
}

}  // namespace

std::optional<uint32_t> Scopes::find_register(std::string_view name, std::vector<Register>& registers) {
  const std::string whole(name);
  const auto [prefix, number] = split(name);
  const std::string prefix_text(prefix);
  for (size_t at = stack_.back(); at != kNone; at = blocks_[at].parent) {
    Block& block = blocks_[at];
    if (const auto found = block.registers.find(whole); found != block.registers.end()) return found->second;
    const auto range = number ? block.ranges.find(prefix_text) : block.ranges.end();
    if (range == block.ranges.end() || *number >= range->second.count) continue;
    const auto index = static_cast<uint32_t>(registers.size());
    registers.push_back({whole, range->second.type});
    block.registers.emplace(whole, index);
    return index;
  }
  return std::nullopt;
}

std::optional<uint32_t> Scopes::find_variable(std::string_view name) const {
  const std::string whole(name);
  for (size_t at = stack_.back(); at != kNone; at = blocks_[at].parent) {
    const auto found = blocks_[at].variables.find(whole);
    if (found != blocks_[at].variables.end()) return found->second;
  }
  return std::nullopt;
}

std::optional<uint32_t> Scopes::find_label(std::string_view name, size_t from) const {
  const std::string whole(name);
  for (size_t at = from; at != kNone; at = blocks_[at].parent) {
    const auto found = blocks_[at].labels.find(whole);
    if (found != blocks_[at].labels.end()) return found->second;
  }
  return std::nullopt;
}

}  // namespace lorikeet::simulator
