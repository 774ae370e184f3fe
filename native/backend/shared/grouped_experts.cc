#include "backend/shared/grouped_experts.h"

#include <algorithm>
#include <cassert>

namespace lorikeet {

size_t GroupedExperts::bytes() const {
  size_t total = 0;
  for (const auto& linear : up) total += linear->bytes();
  for (const auto& linear : down) total += linear->bytes();
  return total;
}

Result<std::unique_ptr<Experts>> create_grouped_experts(Backend& backend,
                                                        std::span<const ExpertDesc> experts) {
  auto result = std::make_unique<GroupedExperts>();
  for (const ExpertDesc& desc : experts) {
    auto up = backend.linear_create(desc.up);
    if (!up) return up.error();
    auto down = backend.linear_create(desc.down);
    if (!down) return down.error();
    result->up.push_back(std::move(*up));
    result->down.push_back(std::move(*down));
  }
  return std::unique_ptr<Experts>(std::move(result));
}

size_t GroupedExpertsRunner::bytes() const {
  const size_t floats = inputs_.capacity() + activated_.capacity() + outputs_.capacity();
  const size_t indices = begin_.capacity() + row_.capacity() + place_.capacity();
  return floats * sizeof(float) + indices * sizeof(int32_t) + chosen_.capacity() * sizeof(ChosenExpert);
}

// Counting sort by expert; rows of one stay in their order.
void GroupedExpertsRunner::sort_rows(const ExpertsCall& call) {
  const auto chosen = static_cast<size_t>(call.router.chosen);
  const size_t places = static_cast<size_t>(call.rows) * chosen;
  chosen_.resize(places);
  begin_.assign(static_cast<size_t>(call.router.experts) + 1, 0);
  row_.resize(places);
  place_.resize(places);
  for (int64_t row = 0; row < call.rows; ++row) {
    const std::span own(&chosen_[static_cast<size_t>(row) * chosen], chosen);
    route(own, call.logits + row * call.router.experts, call.router);
    for (const ChosenExpert& choice : own) ++begin_[static_cast<size_t>(choice.expert) + 1];
  }
  for (size_t expert = 1; expert < begin_.size(); ++expert) begin_[expert] += begin_[expert - 1];
  std::vector<int32_t>& next = begin_;  // moves to the end of each expert's rows, and is moved back below
  for (size_t i = 0; i < places; ++i) {
    const int32_t place = next[static_cast<size_t>(chosen_[i].expert)]++;
    row_[static_cast<size_t>(place)] = static_cast<int32_t>(i / chosen);
    place_[i] = place;
  }
  std::copy_backward(begin_.begin(), begin_.end() - 1, begin_.end());
  begin_.front() = 0;
}

void GroupedExpertsRunner::run(Backend& backend, const ExpertsCall& call, const GroupedExperts& experts) {
  assert(static_cast<size_t>(call.router.experts) == experts.up.size());
  sort_rows(call);
  const int64_t hidden = experts.up.front()->inputs();
  const int64_t width = experts.down.front()->inputs();
  const auto places = static_cast<int64_t>(row_.size());
  inputs_.resize(static_cast<size_t>(places * hidden));
  activated_.resize(static_cast<size_t>(places * width));
  outputs_.resize(static_cast<size_t>(places * hidden));
  backend.gather_rows(inputs_.data(), call.x, row_, hidden);
  for (size_t expert = 0; expert < experts.up.size(); ++expert) {
    const int64_t begin = begin_[expert];
    const int64_t rows = begin_[expert + 1] - begin;
    if (rows == 0) continue;
    backend.linear(activated_.data() + begin * width, inputs_.data() + begin * hidden, rows,
                   *experts.up[expert], {}, LinearOutput::glu, call.activation);
    backend.linear(outputs_.data() + begin * hidden, activated_.data() + begin * width, rows,
                   *experts.down[expert], {}, LinearOutput::store);
  }
  for (int64_t row = 0; row < call.rows; ++row) {
    float* const y = call.y + row * hidden;
    if (!call.add) std::fill_n(y, hidden, 0.0f);
    for (int64_t i = row * call.router.chosen; i < (row + 1) * call.router.chosen; ++i) {
      const auto at = static_cast<size_t>(i);
      backend.add_scaled(y, outputs_.data() + place_[at] * hidden, hidden, chosen_[at].weight);
    }
  }
}

}  // namespace lorikeet
