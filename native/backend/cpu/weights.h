// What this backend holds for the opaque types of backend/interface.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "backend/cpu/coded_weight.h"
#include "backend/cpu/memory.h"
#include "backend/cpu/packed.h"
#include "backend/cpu/quantized_weight.h"
#include "backend/interface/ops.h"
#include "backend/shared/host_tensor.h"
#include "backend/shared/recurrent_sequence.h"

namespace lorikeet::cpu {

// A float32 vector padded with zeros to whole tiles; empty where the term is absent.
struct PaddedVector {
  Memory memory;
  const float* at(int64_t index) const { return memory.empty() ? nullptr : memory.f32() + index; }
  size_t bytes() const { return memory.bytes(); }
};

// A base weight as it is, quantized, or in a checkpoint's own codes. All are cut into the same tiles of
// outputs.
class BaseWeight {
 public:
  BaseWeight(PackedWeight weight) : weight_(std::move(weight)) {}     // NOLINT: each is a base weight
  BaseWeight(QuantizedWeight weight) : weight_(std::move(weight)) {}  // NOLINT
  BaseWeight(CodedWeight weight) : weight_(std::move(weight)) {}      // NOLINT

  // Null when it is another.
  const PackedWeight* packed() const { return std::get_if<PackedWeight>(&weight_); }
  const QuantizedWeight* quantized() const { return std::get_if<QuantizedWeight>(&weight_); }
  const CodedWeight* coded() const { return std::get_if<CodedWeight>(&weight_); }

  int64_t n() const {
    return std::visit([](const auto& weight) { return weight.n(); }, weight_);
  }
  int64_t k() const {
    return std::visit([](const auto& weight) { return weight.k(); }, weight_);
  }
  int64_t tile_outputs() const {
    return std::visit([](const auto& weight) { return weight.tile_outputs(); }, weight_);
  }
  int64_t tiles() const {
    return std::visit([](const auto& weight) { return weight.tiles(); }, weight_);
  }
  size_t bytes() const {
    return std::visit([](const auto& weight) { return weight.bytes(); }, weight_);
  }
  // to [k] = row `n`, dequantized
  void read_row(float* to, int64_t n) const {
    std::visit([&](const auto& weight) { weight.read_row(to, n); }, weight_);
  }

 private:
  std::variant<PackedWeight, QuantizedWeight, CodedWeight> weight_;
};

struct CpuLinear final : Linear {
  struct Part {
    BaseWeight weight;
    PaddedVector bias;
    int64_t output0 = 0;
    int64_t tile0 = 0;  // parts start at tiles of their own
  };
  std::vector<Part> parts;
  int64_t k = 0;
  int64_t n = 0;
  int64_t room = 0;  // LinearDesc's
  int64_t tiles = 0;
  Quantization quantization = Quantization::none;  // of every part
  // Some parts are multiplied in integers, with activations in this order (backend/shared/coded_integers.h).
  bool coded_in_integers = false;
  std::vector<int32_t> input_order;

  int64_t inputs() const override { return k; }
  int64_t outputs() const override { return n; }
  size_t bytes() const override;
};

struct CpuAdapterLinear final : AdapterLinear {
  struct Part {
    int rank = 0;
    // [rank] into s = factor * A x: the scale, in int8 times those of A's row and B's column. One rounding,
    // as folding it into B, and B keeps its own type.
    std::vector<float> factor;
    int s_offset = 0;  // of this part's s in its row
    PackedRows a;
    PackedWeight b;
    PaddedVector lora_bias;            // scale folded in
    PaddedVector ratio;                // DoRA: magnitude / ||W + scale B A||_row
    std::optional<BaseWeight> weight;  // never quantized
    PaddedVector bias;
    std::vector<int32_t> replaced_rows;
    Memory replaced_row_values;  // [replaced_rows, K] float32
  };
  std::vector<std::optional<Part>> parts;  // by the base's parts
  int rank_total = 0;
  bool replaces_rows = false;

  size_t bytes() const override;
};

struct CpuEmbedding final : Embedding {
  int64_t vocab = 0;
  int64_t hidden = 0;
  // One of four: the tied head's weight, a table in codes, a quantized one, a table [vocab, hidden] as it
  // was.
  const BaseWeight* head = nullptr;
  std::optional<CodedWeight> coded;
  QuantizedTable quantized;
  DType dtype = DType::f32;
  Memory table;

  size_t bytes() const override { return table.bytes() + quantized.bytes() + (coded ? coded->bytes() : 0); }
};

struct CpuAdapterEmbedding final : AdapterEmbedding {
  int64_t vocab = 0;  // of this adapter
  int rank = 0;
  Memory a;      // [vocab, rank] float32, scale folded in
  Memory b;      // [rank, hidden] float32
  Memory ratio;  // [hidden], DoRA
  DType weight_dtype = DType::f32;
  Memory weight;                    // [vocab, hidden]
  std::vector<int32_t> token_rows;  // ascending
  Memory token_values;              // [token_rows, hidden] float32

  size_t bytes() const override;
};

struct CpuNormGain final : NormGain {
  NormKind kind = NormKind::rms;
  int64_t width = 0;
  int64_t copies = 1;
  Memory gain;  // [copies * width], the offset added
  Memory bias;  // [copies * width] or empty

  int64_t row_width() const { return copies * width; }
  size_t bytes() const override { return gain.bytes() + bias.bytes(); }
};

// Per layer [pages][2][kv_heads], then keys as [head_dim][page_tokens] (a vector holds consecutive tokens, so
// scores need no sum across lanes) and values as [page_tokens][head_dim]. In int8 a page ends with its scales
// [2][kv_heads][page_tokens].
struct CpuKvCache final : KvCache {
  KvDesc desc;
  std::vector<size_t> page_bytes;   // [layers]
  std::vector<size_t> layer_begin;  // [layers] where a layer's pages start
  Memory memory;

  int kv_heads(int layer) const { return desc.layers[static_cast<size_t>(layer)].kv_heads; }
  int head_dim(int layer) const { return desc.layers[static_cast<size_t>(layer)].head_dim; }
  int64_t block_elements(int layer) const { return int64_t{desc.page_tokens} * head_dim(layer); }
  std::byte* page(int layer, int64_t page) const;
  std::byte* keys(int layer, int64_t page, int kv_head) const;
  std::byte* values(int layer, int64_t page, int kv_head) const;
  // Of a recurrent layer.
  RecurrentPages recurrent(int layer) const;
  // [page_tokens], int8 only
  float* key_scales(int layer, int64_t page, int kv_head) const;
  float* value_scales(int layer, int64_t page, int kv_head) const;
  // Whole pages, all layers.
  void copy(std::span<const int32_t> from, std::span<const int32_t> to) const;
  size_t bytes() const override { return memory.bytes(); }
};

struct CpuTensor final : HostMemoryTensor {
  CpuTensor(int64_t rows, int64_t cols, Memory own)
      : HostMemoryTensor(rows, cols, own.f32()), memory(std::move(own)) {}

  Memory memory;
};

}  // namespace lorikeet::cpu
