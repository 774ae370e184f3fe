#include "model/expert_adapter.h"

#include <cstring>

#include "backend/shared/dtype.h"

namespace lorikeet {

HostTensor ExpertAdapter::columns(const HostTensor& matrix, int first, int count) {
  const size_t size = dtype_bytes(matrix.dtype);
  const int64_t width = matrix.cols / count;
  std::vector<std::byte>& copy = kept_.emplace_back(static_cast<size_t>(matrix.rows * width) * size);
  std::byte* to = copy.data();
  for (int64_t row = 0; row < matrix.rows; ++row) {
    for (int64_t r = 0; r < width; ++r, to += size) {
      std::memcpy(to, matrix.data + static_cast<size_t>(row * matrix.cols + r * count + first) * size, size);
    }
  }
  return {copy.data(), matrix.dtype, matrix.rows, width};
}

Result<LowRank> ExpertAdapter::delta_of(const ExpertChange& change, int number) {
  const ExpertModule& place = change.place;
  const ManifestLora& lora = *change.module->lora;
  const int64_t inputs = lora.turned ? place.out : place.in, outputs = lora.turned ? place.in : place.out;
  const int64_t ranks = int64_t{lora.rank} * place.count;
  Result<HostTensor> all_a = change.tensors->matrix(lora.a, ranks, inputs);
  if (!all_a) return all_a.error();
  Result<HostTensor> all_b = change.tensors->matrix(lora.b, outputs, ranks);
  if (!all_b) return all_b.error();
  LowRank delta{lora.rank, lora.scale * change.weight, *all_a, *all_b};
  if (place.stacked) {
    const PartRows own = rows_of(int64_t{number} * lora.rank, lora.rank);
    delta.a = rearranged_.rows(*all_a, own);
    delta.b = columns(*all_b, number, place.count);
  }
  if (lora.turned) {  // (B A) of [in, out] is A^T B^T of [out, in]
    const HostTensor a = rearranged_.transposed(delta.b);
    delta.b = rearranged_.transposed(delta.a);
    delta.a = a;
  }
  if (lora.lora_bias) {
    if (place.stacked) return Error{"a stack of experts has no bias of lora_B"};
    Result<HostTensor> bias = change.tensors->vector(*lora.lora_bias, place.out);
    if (!bias) return bias.error();
    delta.bias = *bias;
  }
  return delta;
}

Status ExpertAdapter::take(const ExpertChange& change) {
  const ManifestModule& module = *change.module;
  const ExpertModule& place = change.place;
  if (!module.lora || module.weight || module.bias || module.token_rows || module.part || module.within)
    return Error{"an expert takes low-rank deltas alone"};
  if (module.magnitude && place.stacked) return Error{"a stack of experts has no magnitudes"};
  std::optional<HostTensor> magnitude;
  if (module.magnitude) {
    Result<HostTensor> vector = change.tensors->vector(*module.magnitude, place.out);
    if (!vector) return vector.error();
    magnitude = *vector;
  }
  for (int number = 0; number < place.count; ++number) {
    Result<LowRank> whole = delta_of(change, number);
    if (!whole) return whole.error();
    for (size_t i = 0; i < place.parts.size(); ++i) {
      const PartRows& rows = place.parts[i];
      const size_t at = place.down ? 2 : static_cast<size_t>(place.part) + i;
      PartChange& part = experts_[place.first + number][at];
      if (part.magnitude || (magnitude && !part.deltas.empty()))
        return Error{"it has a magnitude beside another delta"};
      part.magnitude = rearranged_.elements(magnitude, rows);
      if (part.tensors == nullptr) part.tensors = change.tensors;
      LowRank delta = *whole;
      delta.b = rearranged_.rows(whole->b, rows);
      delta.bias = rearranged_.elements(whole->bias, rows);
      part.deltas.push_back(delta);
    }
  }
  return {};
}

Result<AdapterPartDesc> ExpertAdapter::part_of(const PartChange& change) {
  const LowRank delta = change.deltas.size() == 1 ? change.deltas.front() : composed_.sum(change.deltas);
  AdapterPartDesc part;
  part.rank = delta.rank;
  part.scale = delta.scale;
  part.a = delta.a;
  part.b = delta.b;
  part.component_scale = delta.component_scale;
  part.lora_bias = delta.bias;
  part.magnitude = change.magnitude;
  change.tensors->narrow(part, type_);
  return part;
}

Result<std::vector<AdapterExpertDesc>> ExpertAdapter::describe(std::span<const ExpertChange> changes) {
  for (const ExpertChange& change : changes) {
    if (Status s = take(change); !s) return within(change.module->module, s.error());
  }
  std::vector<AdapterExpertDesc> descriptions;
  for (const auto& [expert, parts] : experts_) {
    AdapterExpertDesc& desc = descriptions.emplace_back();
    desc.expert = expert;
    for (size_t at = 0; at < kParts; ++at) {
      if (parts[at].deltas.empty()) continue;
      Result<AdapterPartDesc> part = part_of(parts[at]);
      if (!part) return part.error();
      part->part = at == 1 ? 1 : 0;
      (at == 2 ? desc.down : desc.up).push_back(*part);
    }
  }
  return descriptions;
}

}  // namespace lorikeet
