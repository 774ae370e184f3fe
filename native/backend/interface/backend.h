// The one interface between the decoder (model/) and a device (reference/, cpu/, later cuda/).
//
// A backend owns memory and arithmetic, nothing else: it knows no requests, no adapters by name and no files.
// Calls come from one thread (the step thread), except the *_create functions, which a loader thread may call
// while a step runs. Nothing here throws; bad input is a Status, a broken invariant of ours is an assert.
//
// Letters in shapes: T rows (tokens) of the step, S sequences, R sampled rows, K inputs, N outputs, V
// vocabulary, HQ/HKV query and key/value heads, D head_dim, F ffn width, P pages.
//
// Batch invariance (docs/architecture.md): every result of row t depends only on row t's own inputs. For each
// output element the order of additions is fixed and does not depend on T, on the position of the row in the
// step, on the segments beside it, or on the number of threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/interface/status.h"

namespace lorikeet {

// Elements of tensors and of the KV cache. int8: integers, and what they stand for is a scale elsewhere times
// them; only an adapter's A and B (AdapterPartDesc) and the cache (backend/shared/kv_type.h) are.
enum class DType : uint8_t { f32, f16, bf16, int8 };
enum class Quantization : uint8_t {
  none,
  int8,
  int4,
  nf4
};  // backend/shared/quantization.h says what they mean

// A tensor in host memory in checkpoint layout, row-major. Only looked at during the call that takes it.
struct HostTensor {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;  // 1 for a vector
  int64_t cols = 0;
  // Where set, whoever has read bytes for the last time says so, on any thread: their memory may go while the
  // rest of a large tensor is still being repacked. Reading them again is slow, not wrong.
  void (*done_with)(const std::byte* begin, const std::byte* end) = nullptr;
};

// One linear map stacked from parts along N, e.g. q|k|v or gate|up: y = [W0; W1; ..] x + [b0; b1; ..].
struct LinearPart {
  HostTensor weight;               // [n, K]
  std::optional<HostTensor> bias;  // [n]
  // Not empty: the checkpoint holds the weight in NF4 already (backend/shared/nf4.h). weight.data is then its
  // packed codes, this the largest value of each block [n, K / 64], and the map's quantization nf4.
  std::vector<float> nf4_absmax = {};
};
struct LinearDesc {
  std::vector<LinearPart> parts;
  Quantization quantization = Quantization::none;
};

class Linear;
// With `tied_head` (the Linear made of the same tensor, which must outlive the table) the rows are read out
// of the head's own weight, so a tied model holds the table once. Otherwise `quantization` is none or int8.
struct EmbeddingDesc {
  HostTensor table;  // [V, H]
  const Linear* tied_head = nullptr;
  Quantization quantization = Quantization::none;
};

// What an adapter does to one part of a linear map (contracts/adapter-manifest.ts gives the formula).
struct AdapterPartDesc {
  int part = 0;  // index into LinearDesc::parts
  int rank = 0;  // 0: no low-rank delta
  float scale = 1.0f;
  HostTensor a;  // [rank, K]
  HostTensor b;  // [n, rank]
  // [rank] of both in int8: what row r of A times column r of B has to be multiplied by. Empty otherwise.
  std::span<const float> component_scale;
  std::optional<HostTensor> lora_bias;  // [n]
  std::optional<HostTensor> magnitude;  // [n], DoRA
  std::optional<HostTensor> weight;     // [n, K], replaces the part's weight
  std::optional<HostTensor> bias;       // [n], replaces the part's bias
  // Outputs that become a row's own product with x (trainable_token_indices on the output head): y[i] = row
  // x. Only for a map that has no bias and is used with LinearOutput::store.
  std::vector<int32_t> replaced_rows = {};
  std::optional<HostTensor> replaced_row_values = {};  // [replaced_rows.size(), K]
};
struct AdapterEmbeddingDesc {
  int rank = 0;
  float scale = 1.0f;
  HostTensor a;                                // [rank, V]
  HostTensor b;                                // [H, rank]
  std::optional<HostTensor> magnitude;         // [H]
  std::optional<HostTensor> weight;            // [V, H]
  std::vector<int32_t> token_rows;             // rows replaced one by one (trainable_token_indices)
  std::optional<HostTensor> token_row_values;  // [token_rows.size(), H]
};

// Weights after the backend's own repacking. Opaque; the byte count is what the device really holds.
class Linear {
 public:
  virtual ~Linear() = default;
  virtual int64_t inputs() const = 0;
  virtual int64_t outputs() const = 0;
  virtual size_t bytes() const = 0;
};
class Embedding {
 public:
  virtual ~Embedding() = default;
  virtual size_t bytes() const = 0;
};
class NormGain {
 public:
  virtual ~NormGain() = default;
  virtual size_t bytes() const = 0;
};

// rms: y = x / sqrt(mean(x^2) + epsilon) * gain (Zhang and Sennrich 2019).
// layer: y = (x - mean(x)) / sqrt(variance(x) + epsilon) * gain + bias (Ba et al. 2016).
enum class NormKind : uint8_t { rms, layer };
struct NormDesc {
  NormKind kind = NormKind::rms;
  int64_t width = 0;   // values of a row that are normalized together
  int64_t copies = 1;  // a row holds so many groups of them, one after the other, with gains of their own
  std::optional<HostTensor> gain;  // [copies * width]; without one it is 1
  std::optional<HostTensor> bias;  // [copies * width]
  float offset = 0.0f;             // added to the gain: Gemma keeps w of (1 + w)
};
class AdapterLinear {
 public:
  virtual ~AdapterLinear() = default;
  virtual size_t bytes() const = 0;
};
class AdapterEmbedding {
 public:
  virtual ~AdapterEmbedding() = default;
  virtual size_t bytes() const = 0;
};

struct KvLayer {
  int kv_heads = 0;
  int head_dim = 0;
};
struct KvDesc {
  std::vector<KvLayer> layers;
  int pages = 0;
  int page_tokens = 0;
  DType type = DType::f32;
};
// Per layer: [pages][2][kv_heads][page_tokens][head_dim], in int8 also scales
// [pages][2][kv_heads][page_tokens].
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual size_t bytes() const = 0;
};

// Activations on the device, row-major [rows, cols], float32 on the CPU backends.
class Buffer {
 public:
  virtual ~Buffer() = default;
  virtual float* f32() = 0;  // host address on CPU backends
  virtual size_t bytes() const = 0;
};

// A run of rows [row0, row0 + rows) whose module has adapter weights. Segments are sorted by row0 and do not
// overlap; rows in no segment are base-only and must cost nothing.
struct LinearSegment {
  int32_t row0 = 0;
  int32_t rows = 0;
  const AdapterLinear* adapter = nullptr;
};
struct EmbeddingSegment {
  int32_t row0 = 0;
  int32_t rows = 0;
  const AdapterEmbedding* adapter = nullptr;
};
struct NormSegment {  // modules_to_save may replace a norm's gain
  int32_t row0 = 0;
  int32_t rows = 0;
  const NormGain* gain = nullptr;
};

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

// The step's plan as the layers need it. All spans stay valid until the step ends.
struct StepView {
  std::span<const int32_t> token;       // [T]
  std::span<const int32_t> position;    // [T]
  std::span<const int32_t> kv_slot;     // [T] page * page_tokens + offset where the row's K/V go
  std::span<const int32_t> q_start;     // [S + 1] rows of sequence s are [q_start[s], q_start[s + 1])
  std::span<const int32_t> kv_len;      // [S] tokens of the sequence in the cache after this step
  std::span<const int32_t> page_table;  // [S, page_table_ld]
  int32_t page_table_ld = 0;
};

// Rotates the first R = 2 * inv_freq.size() dimensions of a head: pairs (i, i + R/2), Hugging Face's layout,
// or (2i, 2i + 1) when interleaved. R = 0: no rotation.
struct RopeDesc {
  std::vector<float> inv_freq;    // [R / 2], already scaled (llama3, linear, yarn, longrope)
  float attention_factor = 1.0f;  // yarn and longrope multiply cos and sin
  bool interleaved = false;
};

// Queries at far positions are scaled by 1 + beta * log(1 + floor((position + shift) / span)); beta 0: not.
struct QueryScaling {
  float beta = 0.0f;
  float span = 1.0f;
  int shift = 0;
};

struct AttentionDesc {
  int q_heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  float scale = 1.0f;
  int window = 0;        // 0: full; otherwise position t sees (t - window, t]
  float softcap = 0.0f;  // 0: none
  // [HQ] or empty: a logit for each head that takes part in the softmax and has no value.
  std::span<const float> sinks = {};
  // [HQ] or empty: slope * (key position - query position) is added to a scaled score (Press et al. 2021).
  std::span<const float> alibi_slopes = {};
  QueryScaling query_scaling = {};
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

enum class SampleMode : uint8_t { sample, score };

// One sampled row. `score` reports the log-probability of `target` and draws nothing.
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
  // Tokens seen so far, unique: how often generated (0: only in the prompt). For the penalties.
  std::span<const int32_t> history_token;
  std::span<const int32_t> history_count;
  std::span<const int32_t> bias_token;
  std::span<const float> bias_value;  // added to the logit; -inf bans the token
};
constexpr int kMaxTopLogprobs = 20;
struct SampleResult {
  int32_t token = 0;
  bool finite =
      true;  // false: the row's logits hold NaN or Inf, or every token is banned; token means nothing then
  float logprob = 0.0f;  // of token (or target) under log_softmax of the raw logits
  int32_t top_count = 0;
  int32_t top_token[kMaxTopLogprobs];  // best first; ties by lowest id
  float top_logprob[kMaxTopLogprobs];
};

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
  std::span<const float> choice_bias = {};  // [E] or empty: added to the scores for the choice alone
};
struct ExpertDesc {
  LinearDesc up;    // two parts, gate and up [F, H]
  LinearDesc down;  // [H, F]
};
class Experts {
 public:
  virtual ~Experts() = default;
  virtual size_t bytes() const = 0;
};
// y [rows, H] = (or, `add`, +=) the sum over each row's experts of weight * down(f(gate) * up).
struct ExpertsCall {
  float* y = nullptr;
  const float* x = nullptr;       // [rows, H]
  const float* logits = nullptr;  // [rows, E]
  int64_t rows = 0;
  RouterDesc router;
  Activation activation;
  bool add = false;
};

struct Caps {
  std::string device;  // e.g. "cpu avx512 2 threads"
  std::string isa;
  int threads = 1;
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual Caps caps() const = 0;

  // ---- memory and weights ----
  virtual Result<std::unique_ptr<Buffer>> buffer_create(int64_t rows, int64_t cols) = 0;
  virtual Result<std::unique_ptr<Linear>> linear_create(const LinearDesc& desc) = 0;
  virtual Result<std::unique_ptr<Embedding>> embedding_create(const EmbeddingDesc& desc) = 0;
  virtual Result<std::unique_ptr<NormGain>> norm_create(const NormDesc& desc) = 0;
  virtual Result<std::unique_ptr<Experts>> experts_create(std::span<const ExpertDesc> experts) = 0;
  // Thread-safe against a running step. DoRA's ratio magnitude / ||W + s B A||_row is computed here, with the
  // base's dequantized weight.
  virtual Result<std::unique_ptr<AdapterLinear>> adapter_linear_create(
      const Linear& base, std::span<const AdapterPartDesc> parts) = 0;
  virtual Result<std::unique_ptr<AdapterEmbedding>> adapter_embedding_create(
      const Embedding& base, const AdapterEmbeddingDesc& desc) = 0;
  // Bytes of working memory that steps have made it take beside Buffers: it grows to the largest and stays.
  // Any thread, while a step runs.
  virtual size_t scratch_bytes() const = 0;
  // Whatever makes the next adapter quicker to load. On a thread of low priority, beside loads and steps.
  virtual void adapters_prepare() {}
  virtual Result<std::unique_ptr<KvCache>> kv_create(const KvDesc& desc) = 0;
  // Copies whole pages inside the cache (copy-on-write): from[i] -> to[i], all layers.
  virtual void kv_copy(KvCache& kv, std::span<const int32_t> from, std::span<const int32_t> to) = 0;

  // ---- a step ----
  virtual void step_begin(const StepView& step) = 0;
  // y [T, H] = table[token]
  virtual void embed(float* y, const Embedding& table, std::span<const EmbeddingSegment> segments) = 0;
  // y [T, H] += table[position + offset]
  virtual void embed_positions(float* y, const Embedding& table, int32_t offset) = 0;
  // y [rows, H] = norm(x), in place where y is x. When `residual` is given: residual += x first and y =
  // norm(residual). Sums in float32, fixed order.
  virtual void norm(float* y, const float* x, float* residual, int64_t rows, const NormGain& gain,
                    float epsilon, std::span<const NormSegment> segments) = 0;
  // y [rows, N] = or += W x + b with the segments' adapters, or the activation or GLU of it. x [rows, K].
  virtual void linear(float* y, const float* x, int64_t rows, const Linear& weight,
                      std::span<const LinearSegment> segments, LinearOutput output,
                      const Activation& activation = {}) = 0;
  // The adapters of the linear op after the next one: a backend may bring their weights nearer while it
  // computes that. Changes no result.
  virtual void linear_soon(std::span<const LinearSegment> segments) { (void)segments; }
  // qkv [T, (HQ + 2 HKV) D]: normalizes, rotates q and k in place by the rows' positions, writes k and v to
  // the rows' KV slots.
  virtual void rope_kv(float* qkv, KvCache& kv, int layer, const RopeDesc& rope,
                       const AttentionDesc& attention, const HeadNorms& norms = {}) = 0;
  // out [T, HQ D]: causal attention of each row over its sequence's pages.
  virtual void attention(float* out, const float* qkv, const KvCache& kv, int layer,
                         const AttentionDesc& desc) = 0;
  virtual void experts(const ExpertsCall& call, const Experts& experts) = 0;
  // y [rows, cols] *= sigmoid(gate [rows])
  virtual void gate_rows(float* y, const float* gate, int64_t rows, int64_t cols) = 0;
  // y [count] += factor * x
  virtual void add_scaled(float* y, const float* x, int64_t count, float factor) = 0;
  // y [count] *= factor
  virtual void scale(float* y, int64_t count, float factor) = 0;
  // y [count] = cap * tanh(y / cap)
  virtual void soft_cap(float* y, int64_t count, float cap) = 0;
  // to [index.size(), cols] = from[index]
  virtual void gather_rows(float* to, const float* from, std::span<const int32_t> index, int64_t cols) = 0;
  // logits [rows.size(), V], read only. Holtzman et al. 2020 (top-p), vLLM's meaning of the penalties.
  virtual void sample(std::span<SampleResult> results, const float* logits, int64_t vocab,
                      std::span<const SampleRow> rows) = 0;
};

struct BackendOptions {
  int threads = 1;
  std::string isa;  // "" picks the best that the machine has; "portable", "avx2", "avx512", "avx512vnni"
                    // force one (tests)
};
Result<std::unique_ptr<Backend>> make_reference_backend(const BackendOptions& options);
Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options);

}  // namespace lorikeet
