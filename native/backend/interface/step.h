// One step as it is submitted: what goes in, what comes out, and how large either may become.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "backend/interface/weights.h"

namespace lorikeet {

enum class SampleMode : uint8_t { sample, score, hidden };

// What is wanted of one sampled row. `score` reports the log-probability of `target` and draws nothing; of
// `hidden` the head's input is wanted: the row never comes to `sample`.
struct SampleRow {
  SampleMode mode = SampleMode::sample;
  int32_t target = 0;
  float temperature = 0.0f;  // 0: greedy, the lowest id wins a tie
  float top_p = 1.0f;
  float min_p = 0.0f;
  int32_t top_k = 0;  // 0: all
  float repetition_penalty = 1.0f;
  float presence_penalty = 0.0f;
  float frequency_penalty = 0.0f;
  uint64_t seed = 0;
  uint64_t counter =
      0;  // index of the token in its request; (seed, counter) fixes the draw, whatever the batch
  int32_t top_logprobs = -1;  // alternatives to report; < 0: no log-probabilities at all
  // These are reported in this order in place of the most likely; at most kMaxTopLogprobs.
  std::span<const int32_t> listed_token;
  // Tokens seen so far, unique: how often generated (0: only in the prompt). For the penalties.
  std::span<const int32_t> history_token;
  std::span<const int32_t> history_count;
  std::span<const int32_t> bias_token;
  std::span<const float> bias_value;  // added to the logit; -inf bans the token
  // Bit t, lowest first, is 1 where token t may be drawn; empty: every token may. Bits beyond V mean nothing.
  std::span<const uint32_t> allowed;  // [ceil(V / 32)]
  bool skipped = false;               // nothing is drawn
  // Tokens that there are for this row: its first so many logits. 0: as many as there are logits.
  int64_t vocab = 0;
};
constexpr int kMaxTopLogprobs = 20;
struct SampleResult {
  int32_t token = 0;
  bool finite =
      true;  // false: the row's logits hold NaN or Inf, or every token is banned; token means nothing then
  bool drawn = true;     // false: the row was skipped, and nothing else means anything
  float logprob = 0.0f;  // of token (or target) under log_softmax of the raw logits
  int32_t top_count = 0;
  int32_t top_token[kMaxTopLogprobs];  // best first, ties by lowest id; or the row's listed_token
  float top_logprob[kMaxTopLogprobs];
};

// Whole pages of the cache, from[i] -> to[i] in all layers, before anything of the step reads or writes one
// (copy-on-write). No page is copied to twice, nor both to and from.
struct PageCopies {
  KvCache* kv = nullptr;
  std::span<const int32_t> from;
  std::span<const int32_t> to;
};

// All spans stay valid until the step has ended.
struct StepInput {
  std::span<const int32_t> token;  // [T]
  // [T] or empty: a row whose entry is not negative has, in place of `token`, what the step before drew for
  // its sampled row of that number: the host need not have seen it. Where that row's logits were not finite
  // or it was skipped (which the host learns from that step) the token is 0.
  std::span<const int32_t> token_from;
  std::span<const int32_t> position;    // [T]
  std::span<const int32_t> kv_slot;     // [T] page * page_tokens + offset where the row's K/V go
  std::span<const int32_t> q_start;     // [S + 1] rows of sequence s are [q_start[s], q_start[s + 1])
  std::span<const int32_t> kv_len;      // [S] tokens of the sequence in the cache after this step
  std::span<const int32_t> page_table;  // [S, page_table_stride]
  int32_t page_table_stride = 0;
  std::span<const int32_t> sample_row;  // [R] rows of T
  // [R] Until `sample` is called for a row, the host may still change its `allowed` and `skipped`: masks are
  // made while the step runs.
  std::span<const SampleRow> samples;
  PageCopies copies;
};

// A run of rows [row0, row0 + rows) whose module has adapter weights. Segments are sorted by row0 and do not
// overlap; rows in no segment are base-only and must cost nothing. Neighbours may have the same adapter with
// different scales. `scale` multiplies the adapter's low-rank delta (lora_bias is a part of it) and nothing
// else: only an adapter that has nothing else takes another than 1.
struct LinearSegment {
  int32_t row0 = 0;
  int32_t rows = 0;
  const AdapterLinear* adapter = nullptr;
  float scale = 1.0f;
};
struct ExpertsSegment {
  int32_t row0 = 0;
  int32_t rows = 0;
  const AdapterExperts* adapter = nullptr;
  float scale = 1.0f;
};
struct EmbeddingSegment {
  int32_t row0 = 0;
  int32_t rows = 0;
  const AdapterEmbedding* adapter = nullptr;
  float scale = 1.0f;
};
struct NormSegment {  // modules_to_save may replace a norm's gain
  int32_t row0 = 0;
  int32_t rows = 0;
  const NormGain* gain = nullptr;
};

// The largest step that will be submitted.
struct StepLimits {
  int32_t rows = 0;       // T
  int32_t sequences = 0;  // S, and segments
  int32_t samples = 0;    // R
  int32_t context = 0;    // tokens of one sequence
  int64_t kv_slots = 0;   // of the cache
};
// The most of each that any op of the network has.
struct NetworkShape {
  int64_t vocab = 0;          // with the tokens that adapters may add
  int64_t hidden = 0;         // of an embedding's row
  int64_t widest_input = 0;   // K of a linear map, experts' too
  int64_t widest_output = 0;  // N of one
  bool quantized = false;     // whether any is
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  int experts = 0;
  int chosen_experts = 0;
  int64_t expert_width = 0;
  bool whole_qkv = true;           // every layer's rows are Projected::qkv
  bool gated_attention = false;    // AttentionDesc::gated, of any
  bool coarse_alibi = false;       // AttentionDesc::coarse_alibi, of any
  bool chunked_attention = false;  // AttentionDesc::chunk, of any
  bool latent_attention = false;   // LatentHeads, of any
  bool group_best_one = false;     // RouterDesc::group_best other than 2, of any
  bool scaled_inputs = false;      // RouterDesc::scales_inputs, of any
  RecurrentState recurrent = {};
};

}  // namespace lorikeet
