// What a device keeps from step to step: the model's weights, adapters' and the KV cache, and what each is
// made of.
//
// Letters in shapes: T rows (tokens) of the step, S sequences, R sampled rows, K inputs, N outputs, V
// vocabulary, H hidden width, HQ/HKV query and key/value heads, D head_dim, F ffn width, E experts, P pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "backend/interface/coded_weights.h"
#include "backend/interface/tensor.h"

namespace lorikeet {

// backend/shared/quantization.h says what they mean.
enum class Quantization : uint8_t { none, int8, int4, nf4 };

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
class Experts {
 public:
  virtual ~Experts() = default;
  virtual size_t bytes() const = 0;
};
class Rotation {
 public:
  virtual ~Rotation() = default;
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
class AdapterExperts {
 public:
  virtual ~AdapterExperts() = default;
  virtual size_t bytes() const = 0;
};
// Per layer: [pages][2][kv_heads][page_tokens][head_dim], in int8 also scales
// [pages][2][kv_heads][page_tokens]. Of a recurrent layer: RecurrentState.
class KvCache {
 public:
  virtual ~KvCache() = default;
  virtual size_t bytes() const = 0;
};

// One linear map stacked from parts along N, e.g. q|k|v or gate|up: y = [W0; W1; ..] x + [b0; b1; ..].
struct LinearPart {
  HostTensor weight;               // [n, K]
  std::optional<HostTensor> bias;  // [n]
  // Not empty: the checkpoint holds the weight in NF4 already (backend/shared/nf4.h). weight.data is then its
  // packed codes, this the largest value of each block [n, K / 64], and the map's quantization nf4.
  std::vector<float> nf4_absmax = {};
  // Not null: the weight is this, and is kept so whatever the map's quantization, which must be none then.
  // Of `weight` only the shape counts.
  std::shared_ptr<const CodedSource> coded = nullptr;
};
struct LinearDesc {
  std::vector<LinearPart> parts;
  Quantization quantization = Quantization::none;
  // Outputs beyond those of the parts that an adapter's replaced_rows may lie in.
  int64_t room = 0;
  // Parts in codes see their activations in 8 bits where their codes allow it
  // (backend/shared/coded_integers.h).
  bool integer_activations = false;
};

// With `tied_head` (the Linear made of the same tensor, which must outlive the table) the rows are read out
// of the head's own weight, so a tied model holds the table once. Otherwise `quantization` is none or int8.
struct EmbeddingDesc {
  HostTensor table;  // [V, H]
  const Linear* tied_head = nullptr;
  Quantization quantization = Quantization::none;
  std::shared_ptr<const CodedSource> coded = nullptr;  // LinearPart's
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

struct ExpertDesc {
  LinearDesc up;    // two parts, gate and up [F, H]
  LinearDesc down;  // [H, F]
};

// Rotates the first R = 2 * inv_freq.size() dimensions of a head: pairs (i, i + R/2), Hugging Face's layout,
// or (2i, 2i + 1) when interleaved. R = 0: no rotation.
struct RotationDesc {
  std::vector<float> inv_freq;    // [R / 2], already scaled (llama3, linear, yarn, longrope)
  float attention_factor = 1.0f;  // yarn and longrope multiply cos and sin
  bool interleaved = false;
};

// What an adapter does to one part of a linear map (contracts/adapter-manifest.ts gives the formula).
struct AdapterPartDesc {
  int part = 0;  // index into LinearDesc::parts
  int rank = 0;  // 0: no low-rank delta
  float scale = 1.0f;
  HostTensor a;  // [rank, K]
  HostTensor b;  // [n, rank]
  // [rank] what row r of A times column r of B has to be multiplied by besides: of both in int8, and of the
  // deltas of several adapters as one. Otherwise empty.
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
// Of one expert; its parts as those of ExpertDesc.
struct AdapterExpertDesc {
  int expert = 0;
  std::vector<AdapterPartDesc> up;
  std::vector<AdapterPartDesc> down;
};
struct AdapterEmbeddingDesc {
  int rank = 0;
  float scale = 1.0f;
  // V here; 0: the table's. What lies beyond the table needs `weight`, or rows for each of its tokens.
  int64_t vocab = 0;
  HostTensor a;                                // [rank, V]
  HostTensor b;                                // [H, rank]
  std::optional<HostTensor> magnitude;         // [H]
  std::optional<HostTensor> weight;            // [V, H]
  std::vector<int32_t> token_rows;             // rows replaced one by one (trainable_token_indices)
  std::optional<HostTensor> token_row_values;  // [token_rows.size(), H]
};

// What the cache keeps of a recurrent layer, all of it float32: in each page the `inputs` numbers of each of
// its tokens, and the state [heads][key_dim][value_dim] behind the last token that was computed in the page
// (backend/shared/recurrent_page.h).
struct RecurrentState {
  int heads = 0;  // 0: there is no state, the inputs are all
  int key_dim = 0;
  int value_dim = 0;
  int inputs = 0;  // 0: the layer is not recurrent
};
// Keys and values, or a state.
struct KvLayer {
  int kv_heads = 0;
  int head_dim = 0;
  RecurrentState recurrent = {};
};
struct KvDesc {
  std::vector<KvLayer> layers;
  int pages = 0;
  int page_tokens = 0;
  DType type = DType::f32;
};

}  // namespace lorikeet
