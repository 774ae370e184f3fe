// Which experts a token goes to, and with what weights. Shared by the backends on host memory, like sampling.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "backend/interface/ops.h"

namespace lorikeet {

struct ChosenExpert {
  int32_t expert = 0;
  float weight = 0;
};

class Router {
 public:
  // Of up to so many experts. Throws std::bad_alloc.
  void reserve(int experts);
  size_t bytes() const;

  // chosen [desc.chosen], best first (a tie goes to the lower expert), from one row's logits [desc.experts];
  // choice_bias and expert_scale are the tensors' that `desc` names. Depends on nothing else. Arithmetic in
  // float64, so that all backends choose alike.
  void route(std::span<ChosenExpert> chosen, const float* logits, const RouterDesc& desc,
             std::span<const float> choice_bias, std::span<const float> expert_scale = {});

 private:
  struct Group {
    double score;
    int32_t number;
  };

  void score(const float* logits, const RouterDesc& desc);
  void leave_best_groups(const RouterDesc& desc);
  void order_best(size_t chosen);

  std::vector<double> scores_;  // [E] of one row
  std::vector<double> ranks_;   // [E] what is chosen by
  std::vector<double> own_;     // ranks of one group
  std::vector<Group> groups_;
  std::vector<int32_t> order_;  // [E] best first
};

}  // namespace lorikeet
