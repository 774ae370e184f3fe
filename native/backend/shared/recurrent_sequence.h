// The rows of one sequence in a step, where they meet the pages of one recurrent layer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backend/interface/step.h"
#include "backend/shared/recurrent_page.h"

namespace lorikeet {

// Pages of one layer, one after the other.
struct RecurrentPages {
  std::byte* first = nullptr;
  size_t page_bytes = 0;
  int page_tokens = 0;
  RecurrentState shape;
};

class RecurrentSequence {
 public:
  // `sequence` of the step.
  RecurrentSequence(const RecurrentPages& pages, const StepInput& step, size_t sequence)
      : pages_(pages),
        table_(step.page_table.data() + static_cast<int64_t>(sequence) * step.page_table_stride),
        row0_(step.q_start[sequence]),
        begin_(step.kv_len[sequence] - (step.q_start[sequence + 1] - row0_)),
        end_(step.kv_len[sequence]) {}

  // Positions of the sequence's rows.
  int32_t begin() const { return begin_; }
  int32_t end() const { return end_; }
  int64_t row(int32_t position) const { return row0_ + position - begin_; }

  RecurrentPage page(int32_t position) const {
    const int64_t index = table_[position / pages_.page_tokens];
    return {pages_.first + static_cast<size_t>(index) * pages_.page_bytes, pages_.shape};
  }
  float* inputs(int32_t position) const { return page(position).inputs(position % pages_.page_tokens); }

  // Brings the head's state in the first row's page to a position at or before the row, and returns that: the
  // tokens from there on are to go through it, in order.
  int32_t restore(int head) const {
    const int32_t offset = begin_ % pages_.page_tokens;
    if (offset > 0 && page(begin_).tokens() == offset) return begin_;
    const int32_t first = begin_ - offset;
    if (first > 0) {
      copy(page(begin_).state(head), page(first - 1).state(head));
    } else {
      std::fill_n(page(begin_).state(head), state_head_floats(pages_.shape), 0.0f);
    }
    return first;
  }
  // The state that the token at `position` changes, those before it having gone through.
  float* state(int32_t position, int head) const {
    float* const own = page(position).state(head);
    if (position > begin_ && position % pages_.page_tokens == 0) copy(own, page(position - 1).state(head));
    return own;
  }
  // Once all heads are through.
  void note_tokens() const {
    const int32_t size = pages_.page_tokens;
    for (int32_t first = begin_ - begin_ % size; first < end_; first += size)
      page(first).set_tokens(std::min(size, end_ - first));
  }

 private:
  void copy(float* to, const float* from) const {
    std::memcpy(to, from, static_cast<size_t>(state_head_floats(pages_.shape)) * sizeof(float));
  }

  RecurrentPages pages_;
  const int32_t* table_;
  int32_t row0_;
  int32_t begin_;
  int32_t end_;
};

}  // namespace lorikeet
