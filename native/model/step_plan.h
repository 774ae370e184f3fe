// One step as the host decided it (libs/native-engine/src/native.ts), copied out of its typed arrays.
#pragma once

#include <cstdint>
#include <iterator>
#include <span>
#include <vector>

#include "backend/interface/status.h"
#include "backend/interface/step.h"

namespace lorikeet {

constexpr int kSegmentInts = 3;  // row0, rows, adapter handle

// What a sampled row says, as columns of StepPlan::sample_int and sample_float, in this order;
// libs/contracts/src/sampling.ts has the same (a test compares them). A plan with a value outside [least,
// most] is refused.
template <typename T>
struct SampleColumn {
  const char* name;
  T SampleRow::*member;
  T least;
  T most;
};
// Beyond this a penalty could turn logits into NaN or +Inf.
constexpr float kMaxPenalty = 1e6f;
enum SampleInt { kMode, kTarget, kTopLogprobs, kFirstIntColumn };
inline constexpr SampleColumn<int32_t> kIntColumns[] = {
    {"topK", &SampleRow::top_k, 0, INT32_MAX},
};
inline constexpr SampleColumn<float> kFloatColumns[] = {
    {"temperature", &SampleRow::temperature, 0.0f, 1e6f},
    {"topP", &SampleRow::top_p, 0.0f, 1.0f},
    {"minP", &SampleRow::min_p, 0.0f, 1.0f},
    {"repetitionPenalty", &SampleRow::repetition_penalty, 1 / kMaxPenalty, kMaxPenalty},
    {"presencePenalty", &SampleRow::presence_penalty, -kMaxPenalty, kMaxPenalty},
    {"frequencyPenalty", &SampleRow::frequency_penalty, -kMaxPenalty, kMaxPenalty},
};
constexpr int kSampleInts = kFirstIntColumn + static_cast<int>(std::size(kIntColumns));
constexpr int kSampleFloats = static_cast<int>(std::size(kFloatColumns));

// Where a thread of the host puts masks of tokens while a step runs. Each slot's number says which mask it
// holds; it is stored, with release order, when the mask is there. A number's negative says that there is no
// such mask and will be none.
struct MaskSlots {
  int32_t* numbers = nullptr;       // [slots] read atomically
  const uint32_t* masks = nullptr;  // [slots, words] as SampleRow::allowed
  int32_t slots = 0;
  int32_t words = 0;
};

// Sizes are the counts: token.size() is T, kv_len.size() is S, sample_row.size() is R.
struct StepPlan {
  int32_t page_table_stride = 0;
  std::vector<int32_t> token;          // [T]
  std::vector<int32_t> token_from;     // [T] or empty: as StepInput's
  std::vector<int32_t> position;       // [T]
  std::vector<int32_t> kv_slot;        // [T]
  std::vector<int32_t> q_start;        // [S + 1]
  std::vector<int32_t> kv_len;         // [S]
  std::vector<int32_t> page_table;     // [S, page_table_stride]
  std::vector<int32_t> segment;        // [G, 3]
  std::vector<float> segment_scale;    // [G] or empty: every scale is 1
  std::vector<int32_t> sample_row;     // [R]
  std::vector<int32_t> sample_int;     // [R, kSampleInts]
  std::vector<float> sample_float;     // [R, kSampleFloats]
  std::vector<uint64_t> sample_seed;   // [R, 2]
  std::vector<int32_t> history_start;  // [R + 1]
  std::vector<int32_t> history_token;
  std::vector<int32_t> history_count;
  std::vector<int32_t> bias_start;  // [R + 1]
  std::vector<int32_t> bias_token;
  std::vector<float> bias_value;
  std::vector<int32_t> listed_start;  // [R + 1] or empty: no row lists tokens
  std::vector<int32_t> listed_token;  // as SampleRow's
  // [R] or empty: the slot of each row's mask, < 0: it may draw every token; and the number of that mask.
  std::vector<int32_t> mask_slot;
  std::vector<int32_t> mask_number;
  MaskSlots masks;                 // valid until the step has ended
  std::vector<int32_t> copy_from;  // [C] pages that are copied before the step
  std::vector<int32_t> copy_to;    // [C]

  int32_t rows() const { return static_cast<int32_t>(token.size()); }
  int32_t sequences() const { return static_cast<int32_t>(kv_len.size()); }
  int32_t segments() const { return static_cast<int32_t>(segment.size() / kSegmentInts); }
  int32_t samples() const { return static_cast<int32_t>(sample_row.size()); }
};

struct PlanLimits {
  int32_t max_rows = 0;
  int32_t max_sequences = 0;
  int32_t max_positions = 0;
  int32_t vocab = 0;
  int32_t kv_pages = 0;
  int32_t page_tokens = 0;
  int32_t room = 0;  // tokens beyond the vocabulary that adapters may add
};

// Nothing of a plan is trusted before check() passed: every index that a kernel follows is in range, and
// every row's KV slot is the one that its sequence's page table gives for its position. Adapter handles are
// resolved elsewhere.
class StepPlanChecker {
 public:
  explicit StepPlanChecker(const PlanLimits& limits);
  // segment_vocab [G]: tokens that each segment's adapter has; empty: as many as the base.
  Status check(const StepPlan& plan, std::span<const int32_t> segment_vocab = {});
  // Of rows without an adapter.
  void set_vocabulary(int32_t vocab) { limits_.vocab = vocab; }

 private:
  Status check_shapes(const StepPlan& plan) const;
  Status check_sequence(const StepPlan& plan, int32_t sequence);
  Status check_segments(const StepPlan& plan) const;
  Status check_tokens(const StepPlan& plan, std::span<const int32_t> segment_vocab);
  Status check_copies(const StepPlan& plan);
  Status check_sample(const StepPlan& plan, int32_t sample) const;
  Status check_mask(const StepPlan& plan, int32_t sample) const;

  // Masks are as long as the largest vocabulary.
  int32_t mask_words() const { return (mask_tokens_ - 1) / 32 + 1; }

  PlanLimits limits_;
  int32_t mask_tokens_;
  std::vector<int32_t> row_vocab_;    // [T] tokens that there are for each row
  std::vector<int32_t> drawn_vocab_;  // [R] the same of the sampled rows of the step before
  // Number of the last step that wrote each KV slot: two rows of one step must not share one.
  std::vector<uint32_t> slot_step_;
  std::vector<uint32_t> page_step_;  // that copied to each page
  uint32_t step_ = 0;
};

// The parameters of sampled row `sample` of a checked plan, but for its mask; spans into the plan.
SampleRow sample_row_of(const StepPlan& plan, int32_t sample);

}  // namespace lorikeet
