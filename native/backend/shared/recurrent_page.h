// A page of a recurrent layer in host memory. It holds what each of its tokens puts in, as a page of
// attention holds keys and values, and the state behind the last one that was computed in it. So whoever goes
// on from within the page (a prompt that shares only its beginning, a sequence whose drafts were wrong) finds
// the state behind any of its tokens: this one, or what the page's inputs make of the state that the page
// before ends with. Copying a page copies all of it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/interface/weights.h"

namespace lorikeet {

// Before the state; whole cache lines, so that a state of whole lines lies on them.
constexpr int kStateCountFloats = 16;

constexpr int64_t state_head_floats(const RecurrentState& shape) {
  return int64_t{shape.key_dim} * shape.value_dim;
}

// Beside the inputs; 0 where the layer has no state.
constexpr size_t state_bytes(const RecurrentState& shape) {
  if (shape.heads == 0) return 0;
  return static_cast<size_t>(kStateCountFloats + shape.heads * state_head_floats(shape)) * sizeof(float);
}

constexpr size_t recurrent_page_bytes(const RecurrentState& shape, int page_tokens) {
  return state_bytes(shape) +
         static_cast<size_t>(shape.inputs) * static_cast<size_t>(page_tokens) * sizeof(float);
}

class RecurrentPage {
 public:
  // `shape` must outlive it.
  RecurrentPage(std::byte* page, const RecurrentState& shape)
      : floats_(reinterpret_cast<float*>(page)), shape_(shape) {}

  // Tokens that the state has seen of this page: its first ones.
  int tokens() const { return static_cast<int>(*floats_); }
  void set_tokens(int count) const { *floats_ = static_cast<float>(count); }
  // [key_dim, value_dim]
  float* state(int head) const { return floats_ + kStateCountFloats + head * state_head_floats(shape_); }
  // [inputs]
  float* inputs(int64_t token) const {
    return floats_ + state_bytes(shape_) / sizeof(float) + token * shape_.inputs;
  }

 private:
  float* floats_;
  const RecurrentState& shape_;
};

}  // namespace lorikeet
