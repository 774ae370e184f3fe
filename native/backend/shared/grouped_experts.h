// Experts as linear maps of the backend that owns them: a step's rows are sorted by expert, each expert's
// rows pass its two maps together, and every row adds up what its own experts gave, in the order of its
// choice. So a row's result depends on its own input alone, and an expert that nobody chose is not read.
// For backends whose tensors are in host memory (backend/shared/host_tensor.h).
#pragma once

#include <memory>
#include <vector>

#include "backend/interface/ops.h"
#include "backend/shared/routing.h"

namespace lorikeet {

struct GroupedExperts final : Experts {
  std::vector<std::unique_ptr<Linear>> up;    // [E] gate and up
  std::vector<std::unique_ptr<Linear>> down;  // [E]

  size_t bytes() const override;
};

Result<std::unique_ptr<Experts>> create_grouped_experts(Backend& backend,
                                                        std::span<const ExpertDesc> experts);

struct GroupedAdapterExperts final : AdapterExperts {
  // [E] null: the base's alone
  std::vector<std::unique_ptr<AdapterLinear>> up;
  std::vector<std::unique_ptr<AdapterLinear>> down;

  size_t bytes() const override;
};

Result<std::unique_ptr<AdapterExperts>> create_grouped_adapter_experts(
    Backend& backend, const GroupedExperts& base, std::span<const AdapterExpertDesc> experts);

// Of one backend.
class GroupedExpertsRunner {
 public:
  // All that run() needs of up to `rows` rows. Throws std::bad_alloc.
  Status reserve(Backend& backend, int64_t rows, const NetworkShape& shape);
  void run(Backend& backend, const ExpertsCall& call, const GroupedExperts& experts);
  size_t bytes() const;

 private:
  void sort_rows(const ExpertsCall& call);
  // What experts read, by place; where the weights multiply that they are 1 from there on.
  void gather(Backend& backend, const ExpertsCall& call);
  // The rows of one expert, at places [begin, begin + rows), that have adapters of its `which` map, counted
  // from `begin`. Valid until the next call.
  std::span<const LinearSegment> segments(
      const ExpertsCall& call, size_t expert, int64_t begin, int64_t rows,
      std::vector<std::unique_ptr<AdapterLinear>> GroupedAdapterExperts::*which);
  void add_up(Backend& backend, const ExpertsCall& call, const TensorView& outputs) const;

  Router router_;
  std::vector<ChosenExpert> chosen_;  // [rows, chosen]
  std::vector<int32_t> begin_;        // [E + 1] first place of each expert's rows
  std::vector<int32_t> row_;          // [rows * chosen] by place
  std::vector<int32_t> place_;        // [rows, chosen]
  std::vector<LinearSegment> segments_;
  std::unique_ptr<Tensor> inputs_;     // [rows * chosen, H] by place
  std::unique_ptr<Tensor> activated_;  // [rows * chosen, F]
  std::unique_ptr<Tensor> outputs_;    // [rows * chosen, H]
};

}  // namespace lorikeet
