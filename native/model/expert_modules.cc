#include "model/expert_modules.h"

#include <charconv>

namespace lorikeet {

namespace {

// What the module's last name says; false: nothing.
bool set_map(ExpertModule& module, const std::string& leaf, const ExpertLayer& layer, int64_t hidden) {
  const ExpertNames& names = layer.names;
  const int64_t width = layer.width;
  const bool fused_up = leaf == names.fused_up;
  module.down = leaf == (module.stacked ? names.fused_down : names.down);
  if (module.down) {
    module.parts = {rows_of(0, hidden)};
  } else if (fused_up) {
    if (names.interleaved) {
      module.parts = {{0, width, 1, 2}, {1, width, 1, 2}};
    } else {
      module.parts = {rows_of(0, width), rows_of(width, width)};
    }
  } else if (!module.stacked && (leaf == names.gate || leaf == names.up)) {
    module.part = leaf == names.up ? 1 : 0;
    module.parts = {rows_of(0, width)};
  } else {
    return false;
  }
  module.out = module.down ? hidden : fused_up ? 2 * width : width;
  module.in = module.down ? width : hidden;
  return true;
}

// The number before the dot at `end`, and nothing else.
std::optional<int> expert_number(const std::string& text, size_t end) {
  int number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + end, number);
  if (error != std::errc() || rest != text.data() + end || (end > 1 && text.front() == '0') || number < 0)
    return std::nullopt;
  return number;
}

}  // namespace

std::optional<ExpertModule> find_expert_module(const Network& network, const std::string& name) {
  for (size_t index = 0; index < network.layers.size(); ++index) {
    const auto& layer = network.layers[index].mlp.experts;
    if (!layer || !name.starts_with(layer->names.stem)) continue;
    const std::string rest = name.substr(layer->names.stem.size());
    const size_t dot = rest.find('.');
    ExpertModule module;
    module.layer = index;
    module.stacked = dot == std::string::npos;
    if (module.stacked) {
      module.count = layer->routing.experts;
    } else {
      const std::optional<int> expert = expert_number(rest, dot);
      if (!expert || *expert >= layer->routing.experts) return std::nullopt;
      module.first = *expert;
    }
    const std::string leaf = module.stacked ? rest : rest.substr(dot + 1);
    if (!set_map(module, leaf, *layer, network.hidden)) return std::nullopt;
    return module;
  }
  return std::nullopt;
}

}  // namespace lorikeet
