#include "backend/shared/coded_integers.h"

#include <algorithm>
#include <optional>

namespace lorikeet {

namespace {

// Groups side by side; nothing where a group is not as long as the format says.
std::optional<std::vector<int32_t>> order_by_group(const CodedFormat& format, int64_t cols) {
  std::vector<int64_t> next;  // [groups]
  for (int64_t group = 0; group < format.groups; ++group) next.push_back(group * format.group);
  std::vector<int32_t> order(static_cast<size_t>(cols));
  for (int64_t k = 0; k < cols; ++k) {
    const int64_t group = format.group_of_input[static_cast<size_t>(k)];
    int64_t& place = next[static_cast<size_t>(group)];
    if (place == std::min(cols, (group + 1) * format.group)) return std::nullopt;
    order[static_cast<size_t>(place++)] = static_cast<int32_t>(k);
  }
  return order;
}

// Of inputs whose codes allow it; empty: as they are.
std::optional<std::vector<int32_t>> input_order(const CodedFormat& format, int64_t cols) {
  const bool affine = format.kind == CodeKind::integer && format.bits == 4 && format.factor_groups == 0 &&
                      !(format.zeros && format.offsets);
  if (!affine || (format.groups > 1 && format.group % kCodedStep != 0)) return std::nullopt;
  return format.group_of_input.empty() ? std::vector<int32_t>() : order_by_group(format, cols);
}

}  // namespace

bool IntegerInputs::any() const {
  return std::find(parts.begin(), parts.end(), true) != parts.end();
}

IntegerInputs integer_inputs(const LinearDesc& desc) {
  IntegerInputs inputs;
  for (const LinearPart& part : desc.parts) {
    std::optional<std::vector<int32_t>> order;
    if (desc.integer_activations && part.coded) order = input_order(part.coded->format(), part.coded->cols());
    if (order && !inputs.any()) inputs.order = *order;
    inputs.parts.push_back(order == inputs.order);
  }
  return inputs;
}

}  // namespace lorikeet
