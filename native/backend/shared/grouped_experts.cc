#include "backend/shared/grouped_experts.h"

#include <algorithm>
#include <cassert>

#include "backend/shared/host_tensor.h"

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

size_t GroupedAdapterExperts::bytes() const {
  size_t total = 0;
  for (const auto* const maps : {&up, &down}) {
    for (const auto& linear : *maps) total += linear ? linear->bytes() : 0;
  }
  return total;
}

Result<std::unique_ptr<AdapterExperts>> create_grouped_adapter_experts(
    Backend& backend, const GroupedExperts& base, std::span<const AdapterExpertDesc> experts) {
  auto result = std::make_unique<GroupedAdapterExperts>();
  result->up.resize(base.up.size());
  result->down.resize(base.down.size());
  const auto create = [&](const Linear& map, const std::vector<AdapterPartDesc>& parts,
                          std::unique_ptr<AdapterLinear>& to) -> Status {
    if (parts.empty()) return {};
    auto linear = backend.adapter_linear_create(map, parts);
    if (!linear) return linear.error();
    to = std::move(*linear);
    return {};
  };
  for (const AdapterExpertDesc& desc : experts) {
    const auto at = static_cast<size_t>(desc.expert);
    if (desc.expert < 0 || at >= base.up.size())
      return Error{"an adapter names an expert that does not exist"};
    if (Status s = create(*base.up[at], desc.up, result->up[at]); !s) return s.error();
    if (Status s = create(*base.down[at], desc.down, result->down[at]); !s) return s.error();
  }
  return std::unique_ptr<AdapterExperts>(std::move(result));
}

Status GroupedExpertsRunner::reserve(Backend& backend, int64_t rows, const NetworkShape& shape) {
  if (shape.experts == 0) return {};
  const int64_t places = rows * shape.chosen_experts;
  router_.reserve(shape.experts);
  chosen_.reserve(static_cast<size_t>(places));
  row_.reserve(static_cast<size_t>(places));
  place_.reserve(static_cast<size_t>(places));
  begin_.reserve(static_cast<size_t>(shape.experts) + 1);
  segments_.reserve(static_cast<size_t>(rows));  // a row chooses an expert once
  struct Need {
    std::unique_ptr<Tensor>& tensor;
    int64_t cols;
  };
  for (const auto& [tensor, cols] :
       {Need{inputs_, shape.hidden}, Need{activated_, shape.expert_width}, Need{outputs_, shape.hidden}}) {
    auto made = backend.tensor_create(places, cols);
    if (!made) return made.error();
    tensor = std::move(*made);
  }
  return {};
}

size_t GroupedExpertsRunner::bytes() const {
  size_t total = router_.bytes() + chosen_.capacity() * sizeof(ChosenExpert);
  total += (begin_.capacity() + row_.capacity() + place_.capacity()) * sizeof(int32_t);
  total += segments_.capacity() * sizeof(LinearSegment);
  for (const auto* const tensor : {&inputs_, &activated_, &outputs_}) {
    if (*tensor) total += (*tensor)->bytes();
  }
  return total;
}

// Counting sort by expert; rows of one stay in their order.
void GroupedExpertsRunner::sort_rows(const ExpertsCall& call) {
  const auto chosen = static_cast<size_t>(call.router.chosen);
  const size_t places = static_cast<size_t>(call.x.rows) * chosen;
  const float* const logits = f32(call.logits);
  const std::span<const float> choice_bias = f32(call.router.choice_bias);
  const std::span<const float> expert_scale = f32(call.router.expert_scale);
  chosen_.resize(places);
  begin_.assign(static_cast<size_t>(call.router.experts) + 1, 0);
  row_.resize(places);
  place_.resize(places);
  for (int64_t row = 0; row < call.x.rows; ++row) {
    const std::span own(&chosen_[static_cast<size_t>(row) * chosen], chosen);
    router_.route(own, logits + row * call.router.experts, call.router, choice_bias, expert_scale);
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

void GroupedExpertsRunner::gather(Backend& backend, const ExpertsCall& call) {
  const auto places = static_cast<int64_t>(row_.size());
  const int64_t n = call.x.cols;
  float* to = f32({inputs_.get(), 0, places, n});
  for (const int32_t row : row_) {
    std::copy_n(f32(call.x) + row * n, n, to);
    to += n;
  }
  if (!call.router.scales_inputs) return;
  for (size_t i = 0; i < chosen_.size(); ++i) {
    backend.scale({inputs_.get(), place_[i], 1, n}, chosen_[i].weight);
    chosen_[i].weight = 1.0f;
  }
}

// The rows of an expert ascend, as the call's segments do.
std::span<const LinearSegment> GroupedExpertsRunner::segments(
    const ExpertsCall& call, size_t expert, int64_t begin, int64_t rows,
    std::vector<std::unique_ptr<AdapterLinear>> GroupedAdapterExperts::*which) {
  segments_.clear();
  int64_t place = 0;
  for (const ExpertsSegment& segment : call.segments) {
    const auto row_at = [&](int64_t at) { return row_[static_cast<size_t>(begin + at)]; };
    while (place < rows && row_at(place) < segment.row0) ++place;
    const int64_t first = place;
    while (place < rows && row_at(place) < segment.row0 + segment.rows) ++place;
    const auto& adapter = (static_cast<const GroupedAdapterExperts*>(segment.adapter)->*which)[expert];
    if (place == first || !adapter) continue;
    segments_.push_back(
        {static_cast<int32_t>(first), static_cast<int32_t>(place - first), adapter.get(), segment.scale});
  }
  return segments_;
}

void GroupedExpertsRunner::add_up(Backend& backend, const ExpertsCall& call,
                                  const TensorView& outputs) const {
  for (int64_t row = 0; row < call.y.rows; ++row) {
    const TensorView y = call.y.part(row, 1);
    if (!call.add) std::fill_n(f32(y), y.cols, 0.0f);
    for (int64_t i = row * call.router.chosen; i < (row + 1) * call.router.chosen; ++i) {
      const auto at = static_cast<size_t>(i);
      backend.add_scaled(y, outputs.part(place_[at], 1), chosen_[at].weight);
    }
  }
}

void GroupedExpertsRunner::run(Backend& backend, const ExpertsCall& call, const GroupedExperts& experts) {
  assert(static_cast<size_t>(call.router.experts) == experts.up.size());
  sort_rows(call);
  gather(backend, call);
  const auto places = static_cast<int64_t>(row_.size());
  const TensorView inputs{inputs_.get(), 0, places, experts.up.front()->inputs()};
  const TensorView activated{activated_.get(), 0, places, experts.down.front()->inputs()};
  const TensorView outputs{outputs_.get(), 0, places, call.y.cols};
  for (size_t expert = 0; expert < experts.up.size(); ++expert) {
    const int64_t begin = begin_[expert];
    const int64_t rows = begin_[expert + 1] - begin;
    if (rows == 0) continue;
    backend.linear(activated.part(begin, rows), inputs.part(begin, rows), *experts.up[expert],
                   segments(call, expert, begin, rows, &GroupedAdapterExperts::up), LinearOutput::glu,
                   call.activation);
    backend.linear(outputs.part(begin, rows), activated.part(begin, rows), *experts.down[expert],
                   segments(call, expert, begin, rows, &GroupedAdapterExperts::down), LinearOutput::store);
  }
  add_up(backend, call, outputs);
}

}  // namespace lorikeet
