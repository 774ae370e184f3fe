// What adapters do to one layer's experts, in the backend's words.
#pragma once

#include <array>
#include <map>
#include <span>
#include <vector>

#include "model/adapter.h"
#include "model/adapter_tensors.h"
#include "model/composed_deltas.h"
#include "model/expert_modules.h"
#include "model/part_rows.h"

namespace lorikeet {

struct ExpertChange {
  AdapterTensors* tensors = nullptr;
  const ManifestModule* module = nullptr;
  float weight = 1.0f;  // that its deltas have among those of several adapters
  ExpertModule place;
};

// Owns what it rearranges.
class ExpertAdapter {
 public:
  explicit ExpertAdapter(AdapterType type) : type_(type) {}

  // Several changes of one part are added up in their order. The descriptions refer to this object.
  Result<std::vector<AdapterExpertDesc>> describe(std::span<const ExpertChange> changes);

 private:
  // Of one part of one expert's maps.
  struct PartChange {
    std::vector<LowRank> deltas;
    std::optional<HostTensor> magnitude;  // [n]
    AdapterTensors* tensors = nullptr;    // of the first
  };
  static constexpr size_t kParts = 3;  // gate, up and down

  Status take(const ExpertChange& change);
  // Of expert `number` of the change's module, all its rows.
  Result<LowRank> delta_of(const ExpertChange& change, int number);
  // matrix [rows, r * count] -> [rows, r]: every count-th column from `first`
  HostTensor columns(const HostTensor& matrix, int first, int count);
  Result<AdapterPartDesc> part_of(const PartChange& change);

  AdapterType type_;
  PartTensors rearranged_;
  ComposedDeltas composed_;
  std::deque<std::vector<std::byte>> kept_;  // elements of a deque stay where they are
  std::map<int, std::array<PartChange, kParts>> experts_;
};

}  // namespace lorikeet
