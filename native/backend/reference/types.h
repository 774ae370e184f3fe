// What the reference backend keeps: everything as float32 in checkpoint layout. It defines right, not fast.
#pragma once

#include <cassert>
#include <optional>
#include <utility>
#include <vector>

#include "backend/interface/ops.h"
#include "backend/shared/dtype.h"
#include "backend/shared/host_tensor.h"
#include "backend/shared/kv_type.h"
#include "backend/shared/quantization.h"
#include "backend/shared/recurrent_sequence.h"

namespace lorikeet::reference {

using Floats = std::vector<float>;

inline size_t bytes_of(const Floats& values) {
  return values.size() * sizeof(float);
}
inline size_t bytes_of(const std::optional<Floats>& values) {
  return values ? bytes_of(*values) : 0;
}

Floats to_floats(const HostTensor& tensor);
// The values of the tensor after quantization along its rows.
Result<Floats> to_floats(const HostTensor& tensor, Quantization quantization,
                         std::span<const float> nf4_absmax = {});
std::optional<Floats> to_floats(const std::optional<HostTensor>& tensor);
Result<Floats> to_floats(const CodedSource& source);

struct RefLinear final : Linear {
  struct Part {
    int64_t first = 0;  // index of the part's first output
    int64_t n = 0;
    Floats weight;               // [n, K], dequantized
    std::optional<Floats> bias;  // [n]
    // [n, K] or empty: what a dense merge adds to a part that sees its activations quantized. Sees them as
    // they are.
    Floats merged = {};
    bool in_integers = false;  // sees them quantized, in input_order
  };
  Quantization quantization = Quantization::none;
  bool coded_in_integers = false;    // some part is
  std::vector<int32_t> input_order;  // IntegerInputs'
  int64_t k = 0;
  int64_t n = 0;
  int64_t room = 0;  // LinearDesc's
  std::vector<Part> parts;

  int64_t inputs() const override { return k; }
  int64_t outputs() const override { return n; }
  size_t bytes() const override;
};

struct RefAdapterLinear final : AdapterLinear {
  struct Part {
    int part = 0;
    int rank = 0;
    Floats a;                         // [rank, K]
    Floats b;                         // [n, rank], scale folded in
    std::optional<Floats> lora_bias;  // [n], scale folded in
    std::optional<Floats> ratio;      // [n] DoRA: magnitude / ||W' + s B A||_row
    std::optional<Floats> weight;     // [n, K]
    std::optional<Floats> bias;       // [n]
    std::vector<int32_t> replaced_rows;
    Floats replaced_row_values;  // [replaced_rows, K]
    mutable Floats ax;           // [rank] A x of the row that is being computed
  };
  std::vector<Part> parts;

  size_t bytes() const override;
};

struct RefEmbedding final : Embedding {
  int64_t vocab = 0;
  int64_t hidden = 0;
  Floats own;                       // [V, H]; empty when tied
  const RefLinear* head = nullptr;  // the tied head, whose only part is the table
  const float* row(int64_t token) const {
    return (head != nullptr ? head->parts.front().weight.data() : own.data()) + token * hidden;
  }

  size_t bytes() const override { return bytes_of(own); }
};

struct RefAdapterEmbedding final : AdapterEmbedding {
  int64_t vocab = 0;  // of this adapter
  int rank = 0;
  Floats a;                      // [rank, V]
  Floats b;                      // [H, rank], scale folded in
  std::optional<Floats> ratio;   // [H]
  std::optional<Floats> weight;  // [V, H]
  std::vector<int32_t> token_rows;
  Floats token_row_values;  // [token_rows, H]

  size_t bytes() const override;
};

struct RefNormGain final : NormGain {
  NormKind kind = NormKind::rms;
  int64_t width = 0;
  float offset = 0;  // stands in `gain` already
  Floats gain;       // [copies * width]
  Floats bias;       // [copies * width] or empty

  size_t bytes() const override { return bytes_of(gain) + bytes_of(bias); }
  // y [copies * width] = norm(x); y may be x
  void apply(float* y, const float* x, float epsilon) const;
};

// In place, x [count]: what lies side by side in a row and has the same gains.
void normalize_heads(float* x, int64_t count, const HeadNorm& norm, int64_t row);

struct RefKvCache final : KvCache {
  KvDesc desc;
  // Each [pages][2][kv_heads][page_tokens] vectors: head_dim elements, in int8 followed by their scale.
  std::vector<std::vector<std::byte>> layers;

  size_t bytes() const override;
  // The head's vector; `which` 0 is K, 1 is V.
  void store(int layer, int32_t slot, int which, int kv_head, const float* from);
  // to [head_dim], dequantized
  void load(double* to, int layer, int32_t slot, int which, int kv_head) const;
  // Whole pages, all layers.
  void copy(std::span<const int32_t> from, std::span<const int32_t> to);
  // Of a recurrent layer.
  RecurrentPages recurrent(int layer) {
    const KvLayer& shape = desc.layers[static_cast<size_t>(layer)];
    return {layers[static_cast<size_t>(layer)].data(), kv_page_bytes(shape, desc.page_tokens, desc.type),
            desc.page_tokens, shape.recurrent};
  }

 private:
  size_t offset(int layer, int32_t slot, int which, int kv_head) const;
};

struct RefRotation final : Rotation {
  RotationDesc desc;
};

struct RefTensor final : HostMemoryTensor {
  RefTensor(int64_t rows, int64_t cols, Floats values)
      : HostMemoryTensor(rows, cols, values.data()), own(std::move(values)) {}

  Floats own;  // moving a vector leaves its elements where they are
};

}  // namespace lorikeet::reference
