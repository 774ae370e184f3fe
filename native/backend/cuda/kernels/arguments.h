// What the host hands to kernels in structures: read by the host's compiler and by nvcc. Addresses are of
// device memory.
#pragma once

#include <cstdint>

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

struct AttentionArguments {
  float* out = nullptr;        // [rows, q_heads head_dim]
  const float* qkv = nullptr;  // [rows, qkv_stride]
  float* partial = nullptr;    // [rows of the launch][splits][q_heads][head_dim + 2]
  const int32_t* position = nullptr;
  const int32_t* sequence = nullptr;    // of each row
  const int32_t* page_table = nullptr;  // [sequences, page_stride]
  const float* sinks = nullptr;         // [q_heads] or null
  const float* slopes = nullptr;        // [q_heads] or null
  CacheArguments cache;
  int64_t qkv_stride = 0;
  int32_t page_stride = 0;
  int32_t row0 = 0;    // of the launch
  int32_t splits = 0;  // room for so many of a row
  int32_t q_heads = 0;
  int32_t window = 0;
  float scale = 1.0f;
  float softcap = 0.0f;
  int32_t unused = 0;
};

// y [rows, n] = or += w x + bias of a quantized map. Every size of inputs is filled up to whole chunks of 64.
struct QuantizedProduct {
  float* y = nullptr;
  const void* w = nullptr;
  const uint16_t* scale = nullptr;
  const float* bias = nullptr;      // [n] or null
  const int8_t* x = nullptr;        // [rows, 64 chunks]
  const int32_t* offset = nullptr;  // [rows, groups of weights]: -zero point * the sum of the group's x
  const float* x_scale = nullptr;   // [rows, groups of 256]
  int64_t y_stride = 0;
  int32_t chunks = 0;
  int32_t n = 0;
  int32_t rows = 0;
  int32_t add = 0;
};

// kNf4Integers (backend/shared/nf4.h) + 128, the first in the lowest byte.
constexpr uint32_t kNf4Bytes[4] = {0x54453210u, 0x80766b60u, 0xa69c9289u, 0xf0d1bfb1u};

// Positions of one split of attention: splits begin at its multiples, whatever the batch.
constexpr int kSplitPositions = 128;
// Query heads of one KV head that a block takes at a time.
constexpr int kSplitHeads = 16;
constexpr int kNormThreads = 128;

}  // namespace lorikeet::cuda
