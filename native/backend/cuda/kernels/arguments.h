// What the host hands to kernels in structures: read by the host's compiler and by nvcc. Addresses are of
// device memory.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define LORIKEET_ANYWHERE __host__ __device__
#else
#define LORIKEET_ANYWHERE
#endif

namespace lorikeet::cuda {

// Element types of rows in device memory; the numbers are those of DType.
enum class Element : int32_t { f32, f16, bf16, int8 };
// The numbers are those of Quantization.
enum class Format : int32_t { none, int8, int4, nf4 };

// y [rows, n] = (or, `add`, +=) scale * factor[n] * (w [n, k] x [rows, k]), in float32.
struct DenseProduct {
  const float* x = nullptr;
  float* y = nullptr;
  const void* w = nullptr;         // row by row
  const float* factor = nullptr;   // [n] or null
  const float* bias = nullptr;     // [n] or null, added last
  const int32_t* index = nullptr;  // [n] or null: the columns of y
  const int32_t* x_row = nullptr;  // [rows] or null: the rows of x
  int64_t x_stride = 0;
  int64_t y_stride = 0;
  int64_t k = 0;
  int32_t n = 0;
  int32_t rows = 0;
  float scale = 1.0f;
  Element type = Element::f32;
  int32_t add = 0;
  int32_t unused = 0;
};

// acc [rows, n] = (acc + scale * lora_bias) * ratio + bias, each [n] or null.
struct Finish {
  float* acc = nullptr;
  const float* lora_bias = nullptr;
  const float* ratio = nullptr;
  const float* bias = nullptr;
  int64_t stride = 0;
  int32_t n = 0;
  int32_t rows = 0;
  float scale = 1.0f;
  int32_t unused = 0;
};

// A weight matrix [n, k] on the device.
struct Matrix {
  const void* w = nullptr;
  const uint16_t* scale = nullptr;  // of a quantized one
  int64_t k = 0;
  int64_t n = 0;
  Format format = Format::none;
  Element type = Element::f32;  // where it is not quantized
};

// What an adapter does to the embedding of rows [row0, row0 + rows).
struct EmbeddingItem {
  const void* a = nullptr;                 // [rank, V]
  const void* b = nullptr;                 // [H, rank]
  const float* ratio = nullptr;            // [H] or null
  const void* weight = nullptr;            // [V, H] or null
  const int32_t* token_row = nullptr;      // [token_rows]
  const float* token_row_value = nullptr;  // [token_rows, H]
  int32_t row0 = 0;
  int32_t rows = 0;
  int32_t rank = 0;
  int32_t token_rows = 0;
  float adapter_scale = 1.0f;
  float segment_scale = 1.0f;
  Element a_type = Element::f32;
  Element b_type = Element::f32;
  Element weight_type = Element::f32;
  int32_t unused = 0;
};

// The numbers are those of ActivationKind.
struct ActivationArguments {
  int32_t kind = 0;
  float alpha = 0, limit = 0, alpha_n = 0, beta = 0, epsilon = 0;
};

// One norm over groups of `width` values.
struct NormArguments {
  const float* gain = nullptr;
  const float* bias = nullptr;  // or null
  int64_t width = 0;
  int32_t copies = 1;
  int32_t layer = 0;  // 0: root mean square, 1: mean and variance
  float epsilon = 0;
  int32_t unused = 0;
};

// A layer's part of the cache: pages of `page_bytes`, each [2][kv_heads][page_tokens][head_dim] elements and,
// in int8, as many scales as vectors.
struct CacheArguments {
  uint8_t* layer = nullptr;
  int64_t page_bytes = 0;
  int32_t page_tokens = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  Element type = Element::f32;
};

struct RopeArguments {
  float* qkv = nullptr;  // [rows, (q_heads + 2 kv_heads) head_dim]
  const int32_t* position = nullptr;
  const int32_t* kv_slot = nullptr;
  const float* inv_freq = nullptr;  // [pairs]
  CacheArguments cache;
  NormArguments q_norm, k_norm, v_norm;  // gain null: none
  int32_t row0 = 0;
  int32_t q_heads = 0;
  int32_t pairs = 0;
  int32_t interleaved = 0;
  int32_t norm_after = 0;
  int32_t query_shift = 0;
  float attention_factor = 1.0f;
  float clip = 0.0f;
  float query_beta = 0.0f;
  float query_span = 1.0f;
};

// Rows [row0, row0 + rows) at consecutive positions of one sequence.
struct RowTile {
  int32_t row0 = 0;
  int32_t rows = 0;
};

struct AttentionArguments {
  float* out = nullptr;        // [rows, q_heads head_dim]
  const float* qkv = nullptr;  // [rows, qkv_stride]
  float* partial = nullptr;    // [rows of the launch][splits][partial_floats]
  const int32_t* position = nullptr;
  const int32_t* sequence = nullptr;    // of each row
  const int32_t* page_table = nullptr;  // [sequences, page_stride]
  const float* sinks = nullptr;         // [q_heads] or null
  const float* slopes = nullptr;        // [q_heads] or null
  CacheArguments cache;
  int64_t qkv_stride = 0;
  const RowTile* tiles = nullptr;
  int32_t page_stride = 0;
  int32_t row0 = 0;  // of the launch
  int32_t first_tile = 0;
  int32_t splits = 0;  // room for so many of a row
  int32_t q_heads = 0;
  int32_t window = 0;
  float scale = 1.0f;
  float softcap = 0.0f;
};

// ---- mixtures of experts: rows that chose an expert stand at `places`, sorted by expert ----

struct RouterArguments {
  const float* logits = nullptr;  // [rows, experts]
  const float* bias = nullptr;    // [experts] or null
  const float* factor = nullptr;  // [experts] or null: of the weights in the end
  int32_t* expert = nullptr;      // [rows, chosen]
  float* weight = nullptr;        // [rows, chosen]
  int32_t experts = 0;
  int32_t chosen = 0;
  int32_t groups = 1;
  int32_t chosen_groups = 1;
  int32_t sigmoid = 0;
  int32_t renormalize = 0;
  float scale = 1.0f;
  int32_t unused = 0;
};

// Places [first, first + rows) of one expert: what a block of a product takes.
struct ExpertItem {
  int32_t expert = 0;
  int32_t first = 0;
  int32_t rows = 0;
  int32_t unused = 0;
};

struct SortArguments {
  const int32_t* chosen = nullptr;  // [places] experts, as rows chose them
  int32_t* place = nullptr;         // [places] where each choice went
  int32_t* row = nullptr;           // [places] whose choice it was
  int32_t* expert = nullptr;        // [places]
  ExpertItem* items = nullptr;      // [most_items], those that are not needed of no rows
  int32_t places = 0;
  int32_t chosen_of_row = 0;
  int32_t row0 = 0;
  int32_t item_rows = 0;
  int32_t most_items = 0;
  int32_t unused = 0;
};

// One map of one expert.
struct ExpertMap {
  Matrix matrix;
  const float* bias = nullptr;  // or null
};

// What an adapter does to one part of one map of one expert; rank 0: nothing.
struct ExpertPart {
  const void* a = nullptr;           // [rank, K]
  const void* b = nullptr;           // [n, rank]
  const float* factor = nullptr;     // [rank] or null
  const float* lora_bias = nullptr;  // [n] or null, the scale in it
  const float* ratio = nullptr;      // [n] or null
  int32_t first = 0;                 // of the map's outputs
  int32_t n = 0;
  int32_t rank = 0;
  int32_t s_offset = 0;  // of its A x among those of all parts
  float scale = 1.0f;
  Element a_type = Element::f32;
  Element b_type = Element::f32;
  int32_t unused = 0;
};

struct ExpertSegment {
  const ExpertPart* parts = nullptr;  // [experts][parts of the map]
  int32_t row0 = 0;
  int32_t rows = 0;
  float scale = 1.0f;
  int32_t unused = 0;
};

// What the adapters of all segments, which ascend, do to one of the maps.
struct ExpertDeltas {
  const ExpertSegment* segments = nullptr;
  const ExpertMap* maps = nullptr;
  const int32_t* row = nullptr;     // [places]
  const int32_t* expert = nullptr;  // [places]
  int32_t segment_count = 0;
  int32_t parts = 0;
  int32_t places = 0;
  int32_t unused = 0;
};

// y [rows, n] = or += w x + bias of a quantized map. Every size of inputs is filled up to whole chunks of 64.
struct QuantizedProduct {
  float* y = nullptr;
  const void* w = nullptr;
  const uint16_t* scale = nullptr;
  const float* bias = nullptr;     // [n] or null
  const int8_t* x = nullptr;       // [rows, 64 chunks]
  const float* x_scale = nullptr;  // [groups of 256, scale_stride]
  int64_t y_stride = 0;
  const ExpertMap* experts = nullptr;  // of experts: w, scale and bias are those of each item's
  const ExpertItem* items = nullptr;
  int32_t chunks = 0;
  int32_t n = 0;
  int32_t rows = 0;
  int32_t add = 0;
  int32_t bare = 0;  // of experts: without their biases
  int32_t scale_stride = 0;
  int32_t tiles = 1;  // of 16 outputs, of a block of product_*_rows8
  int32_t unused = 0;
};

// kNf4Integers (backend/shared/nf4.h), the first in the lowest byte.
constexpr uint32_t kNf4Bytes[4] = {0xd4c5b290u, 0x00f6ebe0u, 0x261c1209u, 0x70513f31u};

// Positions of one split of attention: splits begin at its multiples, whatever the batch.
constexpr int kSplitPositions = 128;
// What a split of a row gives: two numbers of each head, then its values; filled up to whole sectors.
LORIKEET_ANYWHERE constexpr int64_t partial_floats(int64_t q_heads, int64_t head_dim) {
  return (q_heads * (head_dim + 2) + 7) / 8 * 8;
}
// Rows of a prompt that a block of attention takes together, and queries (rows times heads) at a time.
constexpr int kTileRows = 8;
constexpr int kSplitQueries = 32;
constexpr int kNormThreads = 128;
// Blocks of dense products: a lane takes so many inputs in a row, so many lanes share an output of k inputs,
// and so many outputs are a block's.
constexpr int kDenseWarps = 8, kDenseThreads = 32 * kDenseWarps, kDenseInputs = 8;
LORIKEET_ANYWHERE constexpr int dense_lanes(int64_t k) {
  int lanes = 1;
  while (lanes < 32 && lanes * kDenseInputs < k) lanes *= 2;
  return lanes;
}
// Whether all lanes of a warp share an output, and rows of weights can be read eight inputs at a time.
LORIKEET_ANYWHERE constexpr bool dense_is_long(int64_t k) {
  return dense_lanes(k) == 32 && k % kDenseInputs == 0;
}
LORIKEET_ANYWHERE constexpr int dense_outputs(int64_t k) {
  return kDenseWarps * (32 / dense_lanes(k));
}
// Outputs of a warp of dense products of long rows: of one row of activations, of eight, of an adapter's row.
constexpr int kDenseOutputs1 = 4, kDenseOutputs8 = 8, kDenseOutputsOfItem = 2;
// Tiles of 16 outputs of a block of quantized products of up to 8 rows.
constexpr int kMostTiles8 = 8;
// Warps of the blocks of quantized products of 32 and of 64 rows, each with 16 outputs.
constexpr int kMostTileWarps32 = 16, kTileWarps64 = 8;
// Of a mixture: the router keeps them in shared memory.
constexpr int kMostExperts = 1024;

}  // namespace lorikeet::cuda
