// Experts as linear maps of the backend that owns them: a step's rows are sorted by expert, each expert's
// rows pass its two maps together, and every row adds up what its own experts gave, in the order of its
// choice. So a row's result depends on its own input alone, and an expert that nobody chose is not read.
#pragma once

#include <memory>
#include <vector>

#include "backend/interface/backend.h"
#include "backend/shared/routing.h"

namespace lorikeet {

struct GroupedExperts final : Experts {
  std::vector<std::unique_ptr<Linear>> up;    // [E] gate and up
  std::vector<std::unique_ptr<Linear>> down;  // [E]

  size_t bytes() const override;
};

Result<std::unique_ptr<Experts>> create_grouped_experts(Backend& backend,
                                                        std::span<const ExpertDesc> experts);

// Of one backend: working memory that grows to the largest step and stays.
class GroupedExpertsRunner {
 public:
  void run(Backend& backend, const ExpertsCall& call, const GroupedExperts& experts);
  size_t bytes() const;

 private:
  void sort_rows(const ExpertsCall& call);

  std::vector<ChosenExpert> chosen_;  // [rows, chosen]
  std::vector<int32_t> begin_;        // [E + 1] first place of each expert's rows
  std::vector<int32_t> row_;          // [rows * chosen] by place
  std::vector<int32_t> place_;        // [rows, chosen]
  std::vector<float> inputs_, activated_, outputs_;
};

}  // namespace lorikeet
