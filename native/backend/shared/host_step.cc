#include "backend/shared/host_step.h"

#include <algorithm>
#include <cassert>
#include <string>
#include <utility>

namespace lorikeet {

void HostStep::reserve(const StepLimits& limits) {
  limits_ = limits;
  token_.resize(static_cast<size_t>(limits.rows));
  results_.resize(static_cast<size_t>(limits.samples));
  drawn_ = 0;
}

size_t HostStep::bytes() const {
  return token_.capacity() * sizeof(int32_t) + results_.capacity() * sizeof(SampleResult);
}

const char* HostStep::fault_of(const StepInput& input) const {
  const auto exceeds = [](size_t size, int32_t limit) { return size > static_cast<size_t>(limit); };
  if (exceeds(input.token.size(), limits_.rows)) return "it has more rows than were reserved";
  if (exceeds(input.kv_len.size(), limits_.sequences)) return "it has more sequences than were reserved";
  if (exceeds(input.sample_row.size(), limits_.samples)) return "it has more sampled rows than were reserved";
  for (const int32_t length : input.kv_len) {
    if (length > limits_.context) return "a sequence is longer than was reserved";
  }
  return nullptr;
}

// False: a row wants a token that the step before did not draw.
bool HostStep::resolve_tokens(const StepInput& input) {
  std::copy(input.token.begin(), input.token.end(), token_.begin());
  for (size_t row = 0; row < input.token_from.size(); ++row) {
    const int32_t from = input.token_from[row];
    if (from < 0) continue;
    if (static_cast<size_t>(from) >= drawn_) return false;
    const SampleResult& drawn = results_[static_cast<size_t>(from)];
    token_[row] = drawn.finite && drawn.drawn ? drawn.token : 0;
  }
  return true;
}

void HostStep::begin(const StepInput& input) {
  assert(input.samples.size() == input.sample_row.size());
  fault_ = fault_of(input);
  if (fault_ == nullptr && !resolve_tokens(input)) fault_ = "a row's token was not drawn by the step before";
  drawn_ = 0;
  input_ = fault_ == nullptr ? input : StepInput{};
  input_.token = {token_.data(), input_.token.size()};
}

std::span<SampleResult> HostStep::results(int32_t first, int64_t rows) {
  return std::span(results_).subspan(static_cast<size_t>(first), static_cast<size_t>(rows));
}

Status HostStep::end(std::span<SampleResult> results) {
  if (fault_ != nullptr) return Error{std::string("a step failed: ") + std::exchange(fault_, nullptr)};
  drawn_ = input_.sample_row.size();
  std::copy_n(results_.begin(), std::min(results.size(), drawn_), results.begin());
  return {};
}

}  // namespace lorikeet
