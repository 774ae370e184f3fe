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

void resize_dense_vocabulary(Embedding& embedding, Linear& head, int64_t vocab) {
  dense_table(embedding);  // before the head changes: an untied copy
  auto& table = static_cast<reference::RefEmbedding&>(embedding);
  table.vocab = vocab;
  table.own.resize(static_cast<size_t>(vocab * table.hidden));
  auto& linear = static_cast<reference::RefLinear&>(head);
  reference::RefLinear::Part& part = linear.parts.front();
  linear.n = vocab;
  part.n = vocab;
  part.weight.resize(static_cast<size_t>(vocab * linear.k));
  if (part.bias) part.bias->resize(static_cast<size_t>(vocab));
}

DenseNorm dense_norm(NormGain& norm) {
  auto& own = static_cast<reference::RefNormGain&>(norm);
  return {own.gain, own.bias};
}

}  // namespace lorikeet
