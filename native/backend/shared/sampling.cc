#include "backend/shared/sampling.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

namespace lorikeet {

namespace {

using Candidate = SampleScratch::Candidate;

bool all_finite(const float* logits, int64_t vocab) {
  constexpr uint32_t kExponent = 0x7f800000u;
  uint32_t bad = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    bad |= (std::bit_cast<uint32_t>(logits[i]) & kExponent) == kExponent ? 1u : 0u;
  }
  return bad == 0;
}

// Of finite numbers and -Inf.
float largest(const float* logits, int64_t vocab) {
  constexpr int kLanes = 16;  // so that the loop vectorizes: a single maximum would be one long chain
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, logits[0]);
  int64_t i = 0;
  for (; i + kLanes <= vocab; i += kLanes) {
    for (int lane = 0; lane < kLanes; ++lane) lanes[lane] = std::max(lanes[lane], logits[i + lane]);
  }
  for (; i < vocab; ++i) lanes[0] = std::max(lanes[0], logits[i]);
  return *std::max_element(lanes, lanes + kLanes);
}

// Lowest id wins a tie; 0 when the first is NaN.
int32_t argmax(const float* logits, int64_t vocab) {
  const float* const best = std::find(logits, logits + vocab, largest(logits, vocab));
  return best == logits + vocab ? 0 : static_cast<int32_t>(best - logits);
}

double log_sum_exp(const float* logits, int64_t vocab) {
  const double top = logits[argmax(logits, vocab)];
  double sum = 0;
  for (int64_t i = 0; i < vocab; ++i) sum += std::exp(logits[i] - top);
  return top + std::log(sum);
}

// Insertion into a short sorted list: N is at most kMaxTopLogprobs.
void top_logprobs(SampleResult& result, const float* logits, int64_t vocab, int32_t wanted,
                  double normaliser) {
  const auto limit = static_cast<int32_t>(std::min<int64_t>({wanted, kMaxTopLogprobs, vocab}));
  int32_t count = 0;
  for (int64_t token = 0; token < vocab && limit > 0; ++token) {
    if (count == limit && !(logits[token] > logits[result.top_token[count - 1]])) continue;
    int32_t at = count < limit ? count++ : limit - 1;
    for (; at > 0 && logits[token] > logits[result.top_token[at - 1]]; --at) {
      result.top_token[at] = result.top_token[at - 1];
    }
    result.top_token[at] = static_cast<int32_t>(token);
  }
  result.top_count = count;
  for (int32_t i = 0; i < count; ++i) {
    result.top_logprob[i] = static_cast<float>(logits[result.top_token[i]] - normaliser);
  }
}

void listed_logprobs(SampleResult& result, const float* logits, std::span<const int32_t> listed,
                     double normaliser) {
  result.top_count = static_cast<int32_t>(listed.size());
  for (size_t i = 0; i < listed.size(); ++i) {
    result.top_token[i] = listed[i];
    result.top_logprob[i] = static_cast<float>(logits[listed[i]] - normaliser);
  }
}

bool has_penalties(const SampleRow& row) {
  return row.repetition_penalty != 1.0f || row.presence_penalty != 0.0f || row.frequency_penalty != 0.0f;
}

// Copies the logits of allowed tokens; the others are banned.
void copy_allowed(float* to, const float* logits, int64_t vocab, std::span<const uint32_t> allowed) {
  constexpr int kBits = 32;
  for (int64_t first = 0; first < vocab; first += kBits) {
    const uint32_t bits = allowed[static_cast<size_t>(first / kBits)];
    const int64_t end = std::min(first + kBits, vocab);
    if (bits == 0) {
      std::fill(to + first, to + end, -INFINITY);
      continue;
    }
    for (int64_t i = first; i < end; ++i) to[i] = (bits >> (i - first) & 1u) != 0 ? logits[i] : -INFINITY;
  }
}

void apply_bias_and_penalties(float* logits, const SampleRow& row) {
  for (size_t i = 0; i < row.bias_token.size(); ++i) logits[row.bias_token[i]] += row.bias_value[i];
  if (!has_penalties(row)) return;
  for (size_t i = 0; i < row.history_token.size(); ++i) {
    float& logit = logits[row.history_token[i]];
    logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
    const auto count = static_cast<float>(row.history_count[i]);
    logit -= row.frequency_penalty * count;
    if (count > 0) logit -= row.presence_penalty;
  }
}

// Heap order: the most likely candidate on top, the lowest id first among equals.
bool less_likely(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight < b.weight : a.token > b.token;
}

// Moves the most likely candidate behind the heap [begin, end) and shrinks it.
void pop_into(std::vector<Candidate>& heap, size_t& end) {
  std::pop_heap(heap.begin(), heap.begin() + static_cast<std::ptrdiff_t>(end), less_likely);
  --end;
}

// Leaves the kept candidates, most likely first when any rule cut, in ascending id otherwise.
void keep_top(std::vector<Candidate>& candidates, int32_t top_k, float top_p) {
  const size_t size = candidates.size();
  const bool cut_k = top_k > 0 && static_cast<size_t>(top_k) < size;
  if (!cut_k && top_p >= 1.0f) return;

  double total = 0;
  if (!cut_k) {
    for (const Candidate& candidate : candidates) total += candidate.weight;
  }
  std::make_heap(candidates.begin(), candidates.end(), less_likely);
  size_t end = size;  // candidates[end, size) are popped, the most likely at the very back
  if (cut_k) {
    while (size - end < static_cast<size_t>(top_k)) pop_into(candidates, end);
    for (size_t i = size; i-- > end;) total += candidates[i].weight;
  }
  size_t kept = 0;
  double cumulative = 0;
  while (kept < (cut_k ? size - end : size)) {
    if (!cut_k) pop_into(candidates, end);
    cumulative += candidates[size - 1 - kept].weight;
    ++kept;
    if (top_p < 1.0f && cumulative >= static_cast<double>(top_p) * total) break;
  }
  std::reverse(candidates.begin(), candidates.end());
  candidates.resize(kept);
}

int32_t draw(const std::vector<Candidate>& candidates, double u) {
  double total = 0;
  for (const Candidate& candidate : candidates) total += candidate.weight;
  double left = u * total;
  for (const Candidate& candidate : candidates) {
    left -= candidate.weight;
    if (left < 0) return candidate.token;
  }
  return candidates.back().token;  // only rounding of the running difference leads here
}

// Everything after the penalties: temperature, min-p, top-k, top-p, the draw. `logits` has a finite maximum.
int32_t sample_token(const float* logits, int64_t vocab, const SampleRow& row,
                     std::vector<Candidate>& candidates) {
  const int32_t best = argmax(logits, vocab);
  if (row.temperature == 0.0f) return best;
  candidates.clear();
  for (int64_t i = 0; i < vocab; ++i) {
    // The best has weight 1, so min-p compares with the weight itself.
    const double weight = std::exp((static_cast<double>(logits[i]) - logits[best]) / row.temperature);
    if (weight > 0 && weight >= row.min_p) candidates.push_back({weight, static_cast<int32_t>(i)});
  }
  keep_top(candidates, row.top_k, row.top_p);
  return draw(candidates, uniform(row.seed, row.counter));
}

}  // namespace

SampleScratch::SampleScratch(int64_t vocab) : logits(static_cast<size_t>(vocab)) {
  candidates.reserve(static_cast<size_t>(vocab));
}

void sample_row(SampleResult& result, const float* logits, int64_t vocab, const SampleRow& row,
                SampleScratch& scratch) {
  result.token = 0;
  result.logprob = 0;
  result.top_count = 0;
  result.drawn = !row.skipped;
  result.finite = true;
  if (row.skipped) return;
  result.finite = all_finite(logits, vocab);
  if (!result.finite) return;

  if (row.mode == SampleMode::score) {
    result.token = row.target;
  } else if (row.allowed.empty() && row.bias_token.empty() && !has_penalties(row)) {
    result.token = sample_token(logits, vocab, row, scratch.candidates);
  } else {
    if (row.allowed.empty()) {
      std::copy(logits, logits + vocab, scratch.logits.begin());
    } else {
      copy_allowed(scratch.logits.data(), logits, vocab, row.allowed);
    }
    apply_bias_and_penalties(scratch.logits.data(), row);
    const float top = scratch.logits[argmax(scratch.logits.data(), vocab)];
    result.finite = std::isfinite(top);  // false: every token is banned
    if (!result.finite) return;
    result.token = sample_token(scratch.logits.data(), vocab, row, scratch.candidates);
  }

  if (row.mode == SampleMode::score || row.top_logprobs >= 0) {
    const double normaliser = log_sum_exp(logits, vocab);
    result.logprob = static_cast<float>(logits[result.token] - normaliser);
    if (row.listed_token.empty()) {
      top_logprobs(result, logits, vocab, row.top_logprobs, normaliser);
    } else {
      listed_logprobs(result, logits, row.listed_token, normaliser);
    }
  }
}

std::array<uint32_t, 4> philox(uint64_t seed, std::array<uint32_t, 4> c) {
  auto key0 = static_cast<uint32_t>(seed);
  auto key1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = uint64_t{0xD2511F53u} * c[0];
    const uint64_t product1 = uint64_t{0xCD9E8D57u} * c[2];
    c = {static_cast<uint32_t>(product1 >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(product1),
         static_cast<uint32_t>(product0 >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(product0)};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return c;
}

double uniform(uint64_t seed, uint64_t counter) {
  const auto bits =
      philox(seed, {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0});
  const uint64_t mantissa = (uint64_t{bits[0]} << 32 | bits[1]) >> 11;  // 53 bits
  return static_cast<double>(mantissa) * 0x1p-53;
}

}  // namespace lorikeet
