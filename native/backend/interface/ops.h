// The one interface between the decoder (model/) and a device (reference/, cpu/, later cuda/).
//
// A backend owns memory and arithmetic, nothing else: it knows no requests, no adapters by name and no files.
// Calls come from one thread (the step thread), except the *_create functions, which a loader thread may call
// while a step runs. Bad input is a Status, a broken invariant of ours is an assert. Nothing throws but the
// standard library where memory ends, and that in the *_create functions alone.
//
// A step is submitted, not executed: step_begin, its ops, step_end. An op says what is to be computed and
// returns nothing; the backend may do it at once (those on the CPU do), or record it and do it later. Lists
// among an op's arguments are read during the call, those of StepInput until the step has ended. Later ops of
// the step see what earlier ones wrote. The host sees nothing of it before step_end has returned,
// which is the one place where a step's faults and its results come back. After a fault the results and all
// that the step wrote mean nothing, and the next step may begin.
//
// Batch invariance (docs/architecture.md): every result of row t depends only on row t's own inputs. For each
// output element the order of additions is fixed and does not depend on T, on the position of the row in the
// step, on the segments beside it, or on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "backend/interface/status.h"
#include "backend/interface/step.h"
#include "backend/interface/tensor.h"
#include "backend/interface/weights.h"

namespace lorikeet {

// Norms of queries, keys and values on their way into attention, each over one head (width D, the same gain
// for all, or one each) or over all heads at once (width heads * D). Null: none.
struct HeadNorm {
  const NormGain* gain = nullptr;
  float epsilon = 0.0f;
  std::span<const NormSegment> segments;
};
struct HeadNorms {
  HeadNorm q, k, v;
  bool after_rope = false;
};

// Queries at far positions are scaled by 1 + beta * log(1 + floor((position + shift) / span)); beta 0: not.
struct QueryScaling {
  float beta = 0.0f;
  float span = 1.0f;
  int shift = 0;
};

// What the rows that rope_kv and attention read hold.
enum class Projected : uint8_t {
  qkv,  // queries, keys and values: [(HQ + 2 HKV) D]
  qk,   // queries and keys, which before their norm and rotation are the values, too: [(HQ + HKV) D]
  q,    // queries, of a layer that reads the keys and values of another: [HQ D]
};

struct AttentionDesc {
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  float scale = 1.0f;
  int window = 0;        // 0: full; otherwise position t sees (t - window, t]
  int chunk = 0;         // 0: full; otherwise position t sees [t - t % chunk, t]
  float softcap = 0.0f;  // 0: none
  // [HQ] or null: a logit for each head that takes part in the softmax and has no value.
  const Tensor* sinks = nullptr;
  // [HQ] or null: slope * (key position - query position) is added to a scaled score (Press et al. 2021).
  const Tensor* alibi_slopes = nullptr;
  // Falcon's, in whose training it was so: scale * (slope * key position), the product in bfloat16, is added.
  bool coarse_alibi = false;
  QueryScaling query_scaling = {};
  float clip = 0.0f;  // above 0: q, k and v are brought within [-clip, clip] before anything else
  Projected projected = Projected::qkv;
  // Rows have gates [HQ D] before all that, and what attention gives is multiplied with sigmoid(gate).
  bool gated = false;

  // The first position that `position` sees.
  int first_seen(int position) const {
    if (chunk > 0) return position - position % chunk;
    return window > 0 && position >= window ? position - window + 1 : 0;
  }
  int64_t q_width() const { return int64_t{q_heads} * head_dim; }
  int64_t kv_width() const { return int64_t{kv_heads} * head_dim; }
  // Where a row has its queries.
  int64_t q_begin() const { return gated ? q_width() : 0; }
  // Of a row.
  int64_t width() const {
    const int64_t others = projected == Projected::qkv ? 2 : projected == Projected::qk ? 1 : 0;
    return q_begin() + q_width() + others * kv_width();
  }
};

// Heads of latent attention. Of a query and a key `rope` dimensions turn, all heads' keys having the same
// ones; a value has dimensions of its own, at most as many.
struct LatentHeads {
  int heads = 0;
  int nope = 0;
  int rope = 0;
  int value_dim = 0;

  int head_dim() const { return nope + rope; }
  int64_t q_width() const { return int64_t{heads} * head_dim(); }
  int64_t kv_width() const { return int64_t{heads} * (nope + value_dim); }
  int64_t value_width() const { return int64_t{heads} * value_dim; }
};

// A gated delta net (Yang et al. 2025), for each value head h and its key head: with x the row's q | k | v
// after a causal convolution of `taps` tokens in each channel and SiLU, q and k of length 1, q divided by
// sqrt(KD),
//   S = exp(-exp(log_decay) softplus(a + time_bias)) S;  S += k (sigmoid(b) (v - k S))';  o = q S
// and out = norm(o) silu(z). S [KD, VD] is what the sequence remembers, 0 before its first token.
struct DeltaNetDesc {
  int key_heads = 0;
  int value_heads = 0;  // a multiple of them: neighbours share one
  int key_dim = 0;
  int value_dim = 0;
  int taps = 0;
  const Tensor* convolution = nullptr;  // [taps, q | k | v]: the last tap is the row's own
  const Tensor* log_decay = nullptr;    // [HV]
  const Tensor* time_bias = nullptr;    // [HV]

  int64_t key_width() const { return int64_t{key_heads} * key_dim; }
  int64_t value_width() const { return int64_t{value_heads} * value_dim; }
  int64_t mixed_width() const { return 2 * key_width() + value_width(); }
  // Of a row: q [HK KD] | k [HK KD] | v [HV VD] | z [HV VD] | b [HV] | a [HV].
  int64_t row_width() const { return mixed_width() + value_width() + 2 * value_heads; }
  // What the cache keeps of a token: q | k | v | b | a.
  RecurrentState state() const {
    return {value_heads, key_dim, value_dim, static_cast<int>(mixed_width()) + 2 * value_heads};
  }
};

// A gated convolution over the last `taps` tokens in each channel (LFM2): of a row b | c | x
//   y = c * (sum over taps of weight * (b x) of their tokens + bias)
struct ShortConvolutionDesc {
  int channels = 0;
  int taps = 0;
  const Tensor* weight = nullptr;  // [taps, C]: the last tap is the row's own
  const Tensor* bias = nullptr;    // [C] or null

  int64_t row_width() const { return int64_t{3} * channels; }
  // What the cache keeps of a token: b x. There is no state beside it.
  RecurrentState state() const { return {0, 0, 0, channels}; }
};

// f of a gated (act(gate) * up, Shazeer 2020) or plain map.
enum class ActivationKind : uint8_t {
  silu,
  gelu,       // x Phi(x)
  gelu_tanh,  // its approximation by tanh
  relu,
  relu_squared,
  sigmoid,
  // gpt-oss, gated only: g = min(gate, limit), u = clamp(up, -limit, limit): g sigmoid(alpha g) (u + 1)
  clamped_swiglu,
  // Apertus, plain only (Huang and Schlag 2024), alpha_p and alpha_n after their softplus:
  // x > 0: alpha_p x^2 + beta x, else alpha_n (expm1(min(x, eps)) - x) + beta x
  xielu,
};
struct Activation {
  ActivationKind kind = ActivationKind::silu;
  float alpha = 0.0f;                                 // clamped_swiglu: alpha; xielu: alpha_p
  float limit = 0.0f;                                 // clamped_swiglu
  float alpha_n = 0.0f, beta = 0.0f, epsilon = 0.0f;  // xielu
};

// y = W x, y += W x, y = f(W x), or (a map of two parts of equal width, gate and up) y [rows, N / 2] =
// f(gate) * up.
enum class LinearOutput : uint8_t { store, add, activate, glu };

// How a row's experts are chosen from its router's logits, and weighed.
enum class RouterScore : uint8_t { softmax, sigmoid };
struct RouterDesc {
  int experts = 0;
  int chosen = 0;  // by each row
  RouterScore score = RouterScore::softmax;
  bool renormalize = false;  // the weights of the chosen sum to 1
  float scale = 1.0f;        // of the weights, after that
  // More than one: experts are chosen out of the best chosen_groups of so many groups of equal size.
  int groups = 1;
  int chosen_groups = 1;
  int group_best = 2;                    // of a group so many of its best scores are added up for that choice
  bool scales_inputs = false;            // the weights multiply what experts read, not what they give
  const Tensor* choice_bias = nullptr;   // [E] or null: added to the scores for the choice alone
  const Tensor* expert_scale = nullptr;  // [E] or null: multiplies the weights in the end
};
// y [rows, H] = (or, `add`, +=) the sum over each row's experts of weight * down(f(gate) * up).
struct ExpertsCall {
  TensorView y;
  TensorView x;       // [rows, H]
  TensorView logits;  // [rows, E]
  RouterDesc router;
  Activation activation;
  bool add = false;
  std::span<const ExpertsSegment> segments = {};
};

struct Caps {
  std::string device;  // e.g. "cpu avx512 2 threads"
  std::string isa;
  int threads = 1;
  bool multiplies_codes = false;  // weights may come in codes (LinearPart::coded)
  // Adapters may have fewer or more tokens than the base (LinearDesc::room, AdapterEmbeddingDesc::vocab).
  bool resizes_vocabulary = false;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Caps caps() const = 0;

  // ---- memory and weights ----
  // Everything that a step within the limits needs beside tensors, weights, adapters and the cache; what
  // adapters of larger ranks need more is taken when they are created. So no step allocates. First of all
  // calls; again for other limits, between steps.
  virtual Status reserve(const StepLimits& limits, const NetworkShape& shape) = 0;
  // Bytes of that. Any thread, while a step runs.
  virtual size_t scratch_bytes() const = 0;

  virtual Result<std::unique_ptr<Tensor>> tensor_create(int64_t rows, int64_t cols) = 0;
  // Between steps; `values` are the view's elements, row by row.
  virtual Status upload(TensorView to, std::span<const float> values) = 0;
  virtual Status download(std::span<float> values, TensorView from) = 0;

  virtual Result<std::unique_ptr<Linear>> linear_create(const LinearDesc& desc) = 0;
  virtual Result<std::unique_ptr<Embedding>> embedding_create(const EmbeddingDesc& desc) = 0;
  virtual Result<std::unique_ptr<NormGain>> norm_create(const NormDesc& desc) = 0;
  virtual Result<std::unique_ptr<Rotation>> rotation_create(const RotationDesc& desc) = 0;
  virtual Result<std::unique_ptr<Experts>> experts_create(std::span<const ExpertDesc> experts) = 0;
  // Thread-safe against a running step. DoRA's ratio magnitude / ||W + s B A||_row is computed here, with the
  // base's dequantized weight.
  virtual Result<std::unique_ptr<AdapterLinear>> adapter_linear_create(
      const Linear& base, std::span<const AdapterPartDesc> parts) = 0;
  virtual Result<std::unique_ptr<AdapterEmbedding>> adapter_embedding_create(
      const Embedding& base, const AdapterEmbeddingDesc& desc) = 0;
  // Each expert at most once; those that are not named are the base's alone.
  virtual Result<std::unique_ptr<AdapterExperts>> adapter_experts_create(
      const Experts& base, std::span<const AdapterExpertDesc> experts) {
    (void)base, (void)experts;
    return Error{"adapters of experts are not implemented on this device"};
  }
  // Whatever makes the next adapter quicker to load. On a thread of low priority, beside loads and steps.
  virtual void adapters_prepare() {}
  virtual Result<std::unique_ptr<KvCache>> kv_create(const KvDesc& desc) = 0;

  // ---- a step ----
  virtual void step_begin(const StepInput& input) = 0;
  // y [T, H] = table[token]. Tokens beyond the table stand only in segments whose adapter has them.
  virtual void embed(TensorView y, const Embedding& table, std::span<const EmbeddingSegment> segments) = 0;
  // y [T, H] += table[position + offset]
  virtual void embed_positions(TensorView y, const Embedding& table, int32_t offset) = 0;
  // y [rows, H] = norm(x), in place where y is x. When `residual` is given: residual += x first and y =
  // norm(residual). Sums in float32, fixed order.
  virtual void norm(TensorView y, TensorView x, TensorView residual, const NormGain& gain, float epsilon,
                    std::span<const NormSegment> segments) = 0;
  // y [rows, N] = or += W x + b with the segments' adapters, or the activation or GLU of it. x [rows, K].
  // Where the map has room, y is [rows, N + room] and stored: what lies behind N is written where a segment's
  // adapter has outputs there, and means nothing elsewhere.
  virtual void linear(TensorView y, TensorView x, const Linear& weight,
                      std::span<const LinearSegment> segments, LinearOutput output,
                      const Activation& activation = {}) = 0;
  // The adapters of the linear op after the next one: a backend may bring their weights nearer while it
  // computes that. Changes no result.
  virtual void linear_soon(std::span<const LinearSegment> segments) { (void)segments; }
  // qkv [T, attention.width()]: normalizes, rotates q and k in place by the rows' positions, writes k and v
  // to the rows' KV slots of the cache's `layer`. Of queries alone nothing is written.
  virtual void rope_kv(TensorView qkv, KvCache& kv, int layer, const Rotation& rotation,
                       const AttentionDesc& attention, const HeadNorms& norms = {}) = 0;
  // out [T, HQ D]: causal attention of each row over its sequence's pages; qkv as rope_kv left it.
  virtual void attention(TensorView out, TensorView qkv, const KvCache& kv, int layer,
                         const AttentionDesc& desc) = 0;
  // y [rows, n] = columns [column, column + n) of x [rows, ..]
  virtual void take_columns(TensorView y, TensorView x, int64_t column) = 0;
  // qkv [T, 3 HQ D], D being heads.head_dim(): each head's rope | nope of queries, the same of keys, and
  // values with zeros behind them. q [T, HQ (nope | rope)], kv [T, HQ (nope | value)]; what turns of the keys
  // is the end of latent's rows.
  virtual void join_heads(TensorView qkv, TensorView q, TensorView kv, TensorView latent,
                          const LatentHeads& heads) = 0;
  // y [T, HQ value_dim] = the beginning of each head of x [T, HQ D]
  virtual void trim_heads(TensorView y, TensorView x, const LatentHeads& heads) = 0;
  // out [T, HV VD]: what a recurrent layer makes of its rows `in`, those of a sequence in their order. Each
  // row finds the state behind the token before it, whatever the host has computed and dropped since, as long
  // as tokens in the sequence's pages are those that it goes on from; the cache has it as `layer`.
  virtual void delta_net(TensorView out, TensorView in, KvCache& kv, int layer, const DeltaNetDesc& desc,
                         const HeadNorm& norm) = 0;
  // out [T, C] of rows `in` [T, 3 C]; the cache has the tokens before them as `layer`.
  virtual void short_convolution(TensorView out, TensorView in, KvCache& kv, int layer,
                                 const ShortConvolutionDesc& desc) = 0;
  virtual void experts(const ExpertsCall& call, const Experts& experts) = 0;
  // y [rows, cols] *= sigmoid(gate [rows, 1])
  virtual void gate_rows(TensorView y, TensorView gate) = 0;
  // y [rows, n] *= columns [column, column + n) of x [rows, ..]
  virtual void multiply(TensorView y, TensorView x, int64_t column) = 0;
  // y += factor * x
  virtual void add_scaled(TensorView y, TensorView x, float factor) = 0;
  // y *= factor
  virtual void scale(TensorView y, float factor) = 0;
  // y = cap * tanh(y / cap)
  virtual void soft_cap(TensorView y, float cap) = 0;
  // to [R, cols] = the step's sampled rows of from [T, cols]
  virtual void gather_sampled(TensorView to, TensorView from) = 0;
  // Chooses tokens for sampled rows [first, first + logits.rows) of the step: logits [.., V], read only.
  // Holtzman et al. 2020 (top-p), vLLM's meaning of the penalties.
  virtual void sample(TensorView logits, int32_t first) = 0;
  // Waits until the step is done. results [R], or as many of the first as the host wants.
  virtual Status step_end(std::span<SampleResult> results) = 0;
};

// Numbers that ops read, [1, values].
inline Result<std::unique_ptr<Tensor>> tensor_of(Backend& backend, std::span<const float> values) {
  auto tensor = backend.tensor_create(1, static_cast<int64_t>(values.size()));
  if (!tensor) return tensor;
  if (Status s = backend.upload(whole(**tensor), values); !s) return s.error();
  return tensor;
}

}  // namespace lorikeet
