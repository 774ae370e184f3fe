#include "backend/shared/routing.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace lorikeet {

namespace {

std::vector<double> scores_of(const float* logits, const RouterDesc& desc) {
  std::vector<double> scores(logits, logits + desc.experts);
  if (desc.score == RouterScore::sigmoid) {
    for (double& score : scores) score = 1 / (1 + std::exp(-score));
    return scores;
  }
  const double top = *std::max_element(scores.begin(), scores.end());
  double total = 0;
  for (double& score : scores) total += score = std::exp(score - top);
  for (double& score : scores) score /= total;
  return scores;
}

// Experts outside of the best groups, by the sum of a group's two best, cannot be chosen (DeepSeek-V3).
void leave_best_groups(std::vector<double>& ranks, const RouterDesc& desc) {
  const auto size = static_cast<size_t>(desc.experts / desc.groups);
  std::vector<std::pair<double, int>> groups;  // negative sum, group
  for (int group = 0; group < desc.groups; ++group) {
    const auto begin = ranks.begin() + static_cast<int64_t>(size) * group;
    std::vector<double> own(begin, begin + static_cast<int64_t>(size));
    std::partial_sort(own.begin(), own.begin() + std::min<int64_t>(2, static_cast<int64_t>(size)), own.end(),
                      std::greater<>());
    groups.emplace_back(-(own[0] + (size > 1 ? own[1] : 0.0)), group);
  }
  std::stable_sort(groups.begin(), groups.end());
  for (size_t i = static_cast<size_t>(desc.chosen_groups); i < groups.size(); ++i) {
    std::fill_n(ranks.begin() + static_cast<int64_t>(size) * groups[i].second, size, -INFINITY);
  }
}

}  // namespace

void route(std::span<ChosenExpert> chosen, const float* logits, const RouterDesc& desc) {
  const std::vector<double> scores = scores_of(logits, desc);
  std::vector<double> ranks = scores;
  for (size_t i = 0; i < desc.choice_bias.size(); ++i) ranks[i] += static_cast<double>(desc.choice_bias[i]);
  if (desc.groups > 1) leave_best_groups(ranks, desc);
  std::vector<int32_t> order(ranks.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(chosen.size()), order.end(),
                    [&](int32_t a, int32_t b) {
                      const double left = ranks[static_cast<size_t>(a)],
                                   right = ranks[static_cast<size_t>(b)];
                      // NaN ranks last, so that the order stays one.
                      const bool left_nan = std::isnan(left), right_nan = std::isnan(right);
                      if (left_nan != right_nan) return right_nan;
                      if (left != right && !left_nan) return left > right;
                      return a < b;
                    });
  double total = desc.renormalize ? (desc.score == RouterScore::sigmoid ? 1e-20 : 0.0) : 1.0;
  for (size_t i = 0; desc.renormalize && i < chosen.size(); ++i)
    total += scores[static_cast<size_t>(order[i])];
  for (size_t i = 0; i < chosen.size(); ++i) {
    const double weight = scores[static_cast<size_t>(order[i])] / total * static_cast<double>(desc.scale);
    chosen[i] = {order[i], static_cast<float>(weight)};
  }
}

}  // namespace lorikeet
