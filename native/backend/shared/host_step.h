// The running step of a backend whose plans, logits and results are in host memory.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "backend/interface/status.h"
#include "backend/interface/step.h"

namespace lorikeet {

class HostStep {
 public:
  // Throws std::bad_alloc.
  void reserve(const StepLimits& limits);
  size_t bytes() const;

  void begin(const StepInput& input);
  // False: the step's input is not what was reserved for, and its ops are to do nothing.
  bool runs() const { return fault_ == nullptr; }
  // `token` with what `token_from` says.
  const StepInput& input() const { return input_; }
  int64_t rows() const { return static_cast<int64_t>(input_.token.size()); }
  // Of sampled rows [first, first + rows).
  std::span<SampleResult> results(int32_t first, int64_t rows);
  Status end(std::span<SampleResult> results);

 private:
  const char* fault_of(const StepInput& input) const;
  bool resolve_tokens(const StepInput& input);

  StepLimits limits_;
  StepInput input_;
  const char* fault_ = nullptr;
  std::vector<int32_t> token_;         // [T]
  std::vector<SampleResult> results_;  // [R] of this step; until it begins, of the one before
  size_t drawn_ = 0;                   // of them that the step before has left
};

}  // namespace lorikeet
