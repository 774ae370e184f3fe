#include "backend/interface/dense_weights.h"

#include "backend/reference/types.h"
#include "backend/shared/grouped_experts.h"

namespace lorikeet {

DenseLinear dense_linear(Linear& linear, int part) {
  auto& dense = static_cast<reference::RefLinear&>(linear);
  reference::RefLinear::Part& found = dense.parts[static_cast<size_t>(part)];
  if (dense.quantization != Quantization::none || found.in_integers) found.merged.resize(found.weight.size());
  return {found.weight, found.merged, found.bias, found.n, dense.k};
}

Linear& dense_expert(Experts& experts, int expert, bool down) {
  auto& grouped = static_cast<GroupedExperts&>(experts);
  return *(down ? grouped.down : grouped.up)[static_cast<size_t>(expert)];
}

std::span<float> dense_table(Embedding& embedding) {
  auto& table = static_cast<reference::RefEmbedding&>(embedding);
  if (table.head != nullptr) {
    table.own = table.head->parts.front().weight;
    table.head = nullptr;
  }
  return table.own;
}

DenseNorm dense_norm(NormGain& norm) {
  auto& own = static_cast<reference::RefNormGain&>(norm);
  return {own.gain, own.bias};
}

}  // namespace lorikeet
