#include "model/step_plan.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace lorikeet {

namespace {

// Beyond this a bias could turn logits into NaN or +Inf.
constexpr float kMaxBias = 1e30f;
constexpr float kMaxScale = 1e6f;

Error broken(const std::string& what) {
  return Error{"broken step plan: " + what};
}

std::string at(const char* name, int64_t index) {
  return std::string(name) + "[" + std::to_string(index) + "]";
}

bool within(int32_t value, int32_t end) {
  return value >= 0 && value < end;
}
template <typename T>
bool within(T value, T least, T most) {
  return value >= least && value <= most;
}  // false for NaN

// starts [R + 1] are ascending offsets into arrays of `size` elements.
Status check_starts(const std::vector<int32_t>& starts, const char* name, size_t samples, size_t size) {
  if (starts.size() != samples + 1)
    return broken(std::string(name) + " must have one element more than samples");
  if (starts.front() != 0) return broken(std::string(name) + " must begin with 0");
  for (size_t i = 1; i < starts.size(); ++i) {
    if (starts[i] < starts[i - 1]) return broken(at(name, static_cast<int64_t>(i)) + " descends");
  }
  if (static_cast<size_t>(starts.back()) > size)
    return broken(std::string(name) + " ends outside its arrays");
  return {};
}

}  // namespace

StepPlanChecker::StepPlanChecker(const PlanLimits& limits)
    : limits_(limits),
      mask_tokens_(limits.vocab + limits.room),
      slot_step_(static_cast<size_t>(limits.kv_pages) * limits.page_tokens),
      page_step_(static_cast<size_t>(limits.kv_pages)) {
  row_vocab_.reserve(static_cast<size_t>(limits.max_rows));
  drawn_vocab_.reserve(static_cast<size_t>(limits.max_rows));
}

Status StepPlanChecker::check(const StepPlan& plan, std::span<const int32_t> segment_vocab) {
  if (++step_ == 0) {  // wrapped: forget all marks
    slot_step_.assign(slot_step_.size(), 0);
    page_step_.assign(page_step_.size(), 0);
    step_ = 1;
  }
  if (Status s = check_shapes(plan); !s) return s;
  for (int32_t sequence = 0; sequence < plan.sequences(); ++sequence) {
    if (Status s = check_sequence(plan, sequence); !s) return s;
  }
  if (Status s = check_segments(plan); !s) return s;
  if (Status s = check_tokens(plan, segment_vocab); !s) return s;
  if (Status s = check_copies(plan); !s) return s;
  for (int32_t sample = 0; sample < plan.samples(); ++sample) {
    if (Status s = check_sample(plan, sample); !s) return s;
  }
  drawn_vocab_.clear();
  for (const int32_t row : plan.sample_row) drawn_vocab_.push_back(row_vocab_[static_cast<size_t>(row)]);
  return {};
}

// A row's tokens are those of its adapter, also where the step before drew them.
Status StepPlanChecker::check_tokens(const StepPlan& plan, std::span<const int32_t> segment_vocab) {
  row_vocab_.assign(plan.token.size(), limits_.vocab);
  for (size_t g = 0; g < segment_vocab.size(); ++g) {
    const int32_t* const segment = &plan.segment[g * kSegmentInts];
    std::fill_n(row_vocab_.begin() + segment[0], segment[1], segment_vocab[g]);
  }
  for (int32_t row = 0; row < plan.rows(); ++row) {
    const int32_t vocab = row_vocab_[static_cast<size_t>(row)];
    if (!within(plan.token[row], vocab)) return broken(at("token", row) + " is outside the vocabulary");
    const int32_t from = plan.token_from.empty() ? -1 : plan.token_from[static_cast<size_t>(row)];
    if (from >= 0 && static_cast<size_t>(from) < drawn_vocab_.size() &&
        drawn_vocab_[static_cast<size_t>(from)] > vocab)
      return broken(at("tokenFrom", row) + " may be outside the vocabulary");
  }
  return {};
}

Status StepPlanChecker::check_shapes(const StepPlan& plan) const {
  const size_t rows = plan.token.size();
  const size_t sequences = plan.kv_len.size();
  const size_t samples = plan.sample_row.size();
  if (rows == 0 || rows > static_cast<size_t>(limits_.max_rows)) {
    return broken("rows must be 1 to " + std::to_string(limits_.max_rows));
  }
  if (sequences == 0 || sequences > static_cast<size_t>(limits_.max_sequences)) {
    return broken("sequences must be 1 to " + std::to_string(limits_.max_sequences));
  }
  if (samples > static_cast<size_t>(limits_.max_rows)) {
    return broken("samples must be at most " + std::to_string(limits_.max_rows));
  }
  if (plan.position.size() != rows || plan.kv_slot.size() != rows)
    return broken("position or kvSlot is not [rows]");
  if (!plan.token_from.empty() && plan.token_from.size() != rows) return broken("tokenFrom is not [rows]");
  if (plan.mask_slot.size() != plan.mask_number.size() ||
      (!plan.mask_slot.empty() && plan.mask_slot.size() != samples)) {
    return broken("maskSlot or maskNumber is not [samples]");
  }
  if (!plan.mask_slot.empty() && plan.masks.words != mask_words())
    return broken("masks.words must be " + std::to_string(mask_words()));
  if (plan.copy_from.size() != plan.copy_to.size()) return broken("copyFrom and copyTo differ in length");
  if (plan.q_start.size() != sequences + 1) return broken("qStart is not [sequences + 1]");
  if (plan.page_table_stride < 0 ||
      plan.page_table.size() != sequences * static_cast<size_t>(plan.page_table_stride)) {
    return broken("pageTable is not [sequences, pageTableStride]");
  }
  if (plan.segment.size() % kSegmentInts != 0) return broken("segment is not [segments, 3]");
  if (!plan.segment_scale.empty() && plan.segment_scale.size() * kSegmentInts != plan.segment.size())
    return broken("segmentScale is not [segments]");
  if (plan.segments() > limits_.max_sequences) {
    return broken("segments must be at most " + std::to_string(limits_.max_sequences));
  }
  if (plan.sample_int.size() != samples * kSampleInts ||
      plan.sample_float.size() != samples * kSampleFloats || plan.sample_seed.size() != samples * 2) {
    return broken("sampleInt, sampleFloat or sampleSeed does not fit samples");
  }
  if (plan.history_token.size() != plan.history_count.size() ||
      plan.bias_token.size() != plan.bias_value.size()) {
    return broken("history or bias arrays differ in length");
  }
  if (plan.q_start.front() != 0 || plan.q_start.back() != plan.rows())
    return broken("qStart must run from 0 to rows");
  if (Status s = check_starts(plan.history_start, "historyStart", samples, plan.history_token.size()); !s)
    return s;
  if (Status s = check_starts(plan.bias_start, "biasStart", samples, plan.bias_token.size()); !s) return s;
  if (plan.listed_start.empty()) return {};
  return check_starts(plan.listed_start, "listedStart", samples, plan.listed_token.size());
}

Status StepPlanChecker::check_sequence(const StepPlan& plan, int32_t sequence) {
  const int32_t first = plan.q_start[sequence];
  const int32_t end = plan.q_start[sequence + 1];
  const int32_t length = plan.kv_len[sequence];
  // first >= 0 by induction from q_start[0]; end is bounded here before any row is touched.
  if (end <= first || end > plan.rows())
    return broken(at("qStart", sequence + 1) + " must ascend within rows");
  if (length < end - first || length > limits_.max_positions) {
    return broken(at("kvLength", sequence) + " must be from the sequence's rows to " +
                  std::to_string(limits_.max_positions));
  }
  const int32_t pages = (length - 1) / limits_.page_tokens + 1;
  if (pages > plan.page_table_stride)
    return broken(at("kvLength", sequence) + " needs more pages than pageTable has");
  const int32_t* table = plan.page_table.data() + int64_t{sequence} * plan.page_table_stride;
  for (int32_t page = 0; page < pages; ++page) {
    if (!within(table[page], limits_.kv_pages)) {
      return broken("pageTable of sequence " + std::to_string(sequence) + " names no page at " +
                    std::to_string(page));
    }
  }
  for (int32_t row = first; row < end; ++row) {
    const int32_t position = length - (end - row);
    if (plan.position[row] != position) {
      return broken(at("position", row) + " must be " + std::to_string(position) +
                    ": a sequence's rows are its last");
    }
    const int64_t slot =
        int64_t{table[position / limits_.page_tokens]} * limits_.page_tokens + position % limits_.page_tokens;
    if (plan.kv_slot[row] != slot)
      return broken(at("kvSlot", row) + " is not the page table's slot of its position");
    if (slot_step_[slot] == step_) return broken(at("kvSlot", row) + " is written twice");
    slot_step_[slot] = step_;
  }
  return {};
}

Status StepPlanChecker::check_segments(const StepPlan& plan) const {
  int64_t free_row = 0;
  for (int32_t g = 0; g < plan.segments(); ++g) {
    const int32_t* segment = &plan.segment[int64_t{g} * kSegmentInts];
    if (segment[0] < free_row) return broken(at("segment", g) + " is unsorted or overlaps the one before");
    if (segment[1] < 1 || int64_t{segment[0]} + segment[1] > plan.rows()) {
      return broken(at("segment", g) + " lies outside the rows");
    }
    free_row = int64_t{segment[0]} + segment[1];
    if (!plan.segment_scale.empty() && !within(plan.segment_scale[g], -kMaxScale, kMaxScale))
      return broken(at("segmentScale", g) + " is out of range");
  }
  return {};
}

Status StepPlanChecker::check_copies(const StepPlan& plan) {
  for (size_t i = 0; i < plan.copy_to.size(); ++i) {
    const int32_t to = plan.copy_to[i];
    const auto index = static_cast<int64_t>(i);
    if (!within(to, limits_.kv_pages)) return broken(at("copyTo", index) + " is no page");
    if (!within(plan.copy_from[i], limits_.kv_pages)) return broken(at("copyFrom", index) + " is no page");
    if (page_step_[to] == step_) return broken(at("copyTo", index) + " is copied to twice");
    page_step_[to] = step_;
  }
  for (size_t i = 0; i < plan.copy_from.size(); ++i) {
    if (page_step_[plan.copy_from[i]] == step_)
      return broken(at("copyFrom", static_cast<int64_t>(i)) + " is copied to, too");
  }
  return {};
}

Status StepPlanChecker::check_sample(const StepPlan& plan, int32_t sample) const {
  if (!within(plan.sample_row[sample], plan.rows())) return broken(at("sampleRow", sample) + " is not a row");
  if (sample > 0 && plan.sample_row[sample] < plan.sample_row[sample - 1])
    return broken("sampleRow must ascend");
  const int32_t* ints = &plan.sample_int[int64_t{sample} * kSampleInts];
  const float* floats = &plan.sample_float[int64_t{sample} * kSampleFloats];
  const auto fail = [&](const std::string& what) {
    return broken("sample " + std::to_string(sample) + ": " + what);
  };
  if (!within(ints[kMode], 3)) return fail("mode must be 0, 1 or 2");
  const int32_t vocab = row_vocab_[static_cast<size_t>(plan.sample_row[sample])];
  if (!within(ints[kTarget], vocab)) return fail("target is outside the vocabulary");
  if (ints[kTopLogprobs] < -1 || ints[kTopLogprobs] > kMaxTopLogprobs)
    return fail("topLogprobs must be -1 to 20");
  for (int i = 0; const auto& column : kIntColumns) {
    if (!within(ints[kFirstIntColumn + i++], column.least, column.most))
      return fail(std::string(column.name) + " is out of range");
  }
  for (int i = 0; const auto& column : kFloatColumns) {
    if (!within(floats[i++], column.least, column.most))
      return fail(std::string(column.name) + " is out of range");
  }
  for (int32_t i = plan.history_start[sample]; i < plan.history_start[sample + 1]; ++i) {
    if (!within(plan.history_token[i], vocab)) return broken(at("historyToken", i) + " is no token");
    if (plan.history_count[i] < 0) return broken(at("historyCount", i) + " is negative");
  }
  for (int32_t i = plan.bias_start[sample]; i < plan.bias_start[sample + 1]; ++i) {
    if (!within(plan.bias_token[i], vocab)) return broken(at("biasToken", i) + " is no token");
    if (!within(plan.bias_value[i], -INFINITY, kMaxBias))
      return broken(at("biasValue", i) + " is out of range");
  }
  if (!plan.listed_start.empty()) {
    const int32_t first = plan.listed_start[sample];
    const int32_t end = plan.listed_start[sample + 1];
    if (end - first > kMaxTopLogprobs) return fail("lists more than 20 tokens");
    for (int32_t i = first; i < end; ++i) {
      if (!within(plan.listed_token[i], vocab)) return broken(at("listedToken", i) + " is no token");
    }
  }
  return plan.mask_slot.empty() ? Status() : check_mask(plan, sample);
}

Status StepPlanChecker::check_mask(const StepPlan& plan, int32_t sample) const {
  if (plan.mask_slot[sample] < 0) return {};
  if (!within(plan.mask_slot[sample], plan.masks.slots))
    return broken(at("maskSlot", sample) + " is no slot");
  if (plan.sample_int[int64_t{sample} * kSampleInts + kMode] != 0)
    return broken(at("maskSlot", sample) + " is of a row that draws nothing");
  if (plan.mask_number[sample] < 1) return broken(at("maskNumber", sample) + " must be at least 1");
  return {};
}

SampleRow sample_row_of(const StepPlan& plan, int32_t sample) {
  const int32_t* ints = &plan.sample_int[int64_t{sample} * kSampleInts];
  const float* floats = &plan.sample_float[int64_t{sample} * kSampleFloats];
  const auto slice = [&](const auto& values, const std::vector<int32_t>& starts) {
    return std::span(values).subspan(starts[sample], starts[sample + 1] - starts[sample]);
  };
  SampleRow row;
  row.mode = static_cast<SampleMode>(ints[kMode]);
  row.target = ints[kTarget];
  row.top_logprobs = ints[kTopLogprobs];
  for (int i = 0; const auto& column : kIntColumns) row.*column.member = ints[kFirstIntColumn + i++];
  for (int i = 0; const auto& column : kFloatColumns) row.*column.member = floats[i++];
  row.seed = plan.sample_seed[2 * int64_t{sample}];
  row.counter = plan.sample_seed[2 * int64_t{sample} + 1];
  row.history_token = slice(plan.history_token, plan.history_start);
  row.history_count = slice(plan.history_count, plan.history_start);
  row.bias_token = slice(plan.bias_token, plan.bias_start);
  row.bias_value = slice(plan.bias_value, plan.bias_start);
  if (!plan.listed_start.empty()) row.listed_token = slice(plan.listed_token, plan.listed_start);
  return row;
}

}  // namespace lorikeet
