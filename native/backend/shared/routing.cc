#include "backend/shared/routing.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

namespace lorikeet {

namespace {

// Larger first, then the lower number. NaN ranks last, so that the order stays one.
bool better(double left, int32_t left_number, double right, int32_t right_number) {
  const bool left_nan = std::isnan(left), right_nan = std::isnan(right);
  if (left_nan != right_nan) return right_nan;
  if (left != right && !left_nan) return left > right;
  return left_number < right_number;
}

}  // namespace

void Router::reserve(int experts) {
  const auto count = static_cast<size_t>(experts);
  for (auto* const list : {&scores_, &ranks_, &own_}) list->reserve(count);
  groups_.reserve(count);
  order_.reserve(count);
}

size_t Router::bytes() const {
  return (scores_.capacity() + ranks_.capacity() + own_.capacity()) * sizeof(double) +
         groups_.capacity() * sizeof(Group) + order_.capacity() * sizeof(int32_t);
}

void Router::score(const float* logits, const RouterDesc& desc) {
  scores_.assign(logits, logits + desc.experts);
  if (desc.score == RouterScore::sigmoid) {
    for (double& score : scores_) score = 1 / (1 + std::exp(-score));
    return;
  }
  const double top = *std::max_element(scores_.begin(), scores_.end());
  double total = 0;
  for (double& score : scores_) total += score = std::exp(score - top);
  for (double& score : scores_) score /= total;
}

// Experts outside of the best groups, by the sum of a group's best, cannot be chosen (DeepSeek-V2, -V3).
void Router::leave_best_groups(const RouterDesc& desc) {
  const auto size = static_cast<size_t>(desc.experts / desc.groups);
  groups_.clear();
  for (int32_t group = 0; group < desc.groups; ++group) {
    const auto begin = ranks_.begin() + static_cast<int64_t>(size) * group;
    own_.assign(begin, begin + static_cast<int64_t>(size));
    const auto best = own_.begin() + std::min<int64_t>(desc.group_best, static_cast<int64_t>(size));
    std::partial_sort(own_.begin(), best, own_.end(), std::greater<>());
    groups_.push_back({std::accumulate(own_.begin(), best, 0.0), group});
  }
  std::sort(groups_.begin(), groups_.end(),
            [](const Group& a, const Group& b) { return better(a.score, a.number, b.score, b.number); });
  for (size_t i = static_cast<size_t>(desc.chosen_groups); i < groups_.size(); ++i) {
    std::fill_n(ranks_.begin() + static_cast<int64_t>(size) * groups_[i].number, size, -INFINITY);
  }
}

void Router::order_best(size_t chosen) {
  order_.resize(ranks_.size());
  std::iota(order_.begin(), order_.end(), 0);
  std::partial_sort(order_.begin(), order_.begin() + static_cast<int64_t>(chosen), order_.end(),
                    [this](int32_t a, int32_t b) {
                      return better(ranks_[static_cast<size_t>(a)], a, ranks_[static_cast<size_t>(b)], b);
                    });
}

void Router::route(std::span<ChosenExpert> chosen, const float* logits, const RouterDesc& desc,
                   std::span<const float> choice_bias, std::span<const float> expert_scale) {
  score(logits, desc);
  ranks_.assign(scores_.begin(), scores_.end());
  for (size_t i = 0; i < choice_bias.size(); ++i) ranks_[i] += static_cast<double>(choice_bias[i]);
  if (desc.groups > 1) leave_best_groups(desc);
  order_best(chosen.size());
  const auto score_of = [this](int32_t expert) { return scores_[static_cast<size_t>(expert)]; };
  double total = desc.renormalize ? (desc.score == RouterScore::sigmoid ? 1e-20 : 0.0) : 1.0;
  for (size_t i = 0; desc.renormalize && i < chosen.size(); ++i) total += score_of(order_[i]);
  for (size_t i = 0; i < chosen.size(); ++i) {
    double weight = score_of(order_[i]) / total * static_cast<double>(desc.scale);
    if (!expert_scale.empty()) weight *= static_cast<double>(expert_scale[static_cast<size_t>(order_[i])]);
    chosen[i] = {order_[i], static_cast<float>(weight)};
  }
}

}  // namespace lorikeet
