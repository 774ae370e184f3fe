// What the KV cache keeps of a key or a value, for all backends. In int8 a vector of head_dim is quantized
// like a group of activations (backend/shared/quantization.h, quantize_activations): integers in [-127, 127]
// and one float32 scale, which is NaN where an element is not finite. A page keeps its scales, so copying
// pages copies them.
#pragma once

#include <cstddef>

#include "backend/interface/weights.h"
#include "backend/shared/dtype.h"
#include "backend/shared/recurrent_page.h"

namespace lorikeet {

// Beside the elements of one vector.
constexpr size_t kv_scale_bytes(DType type) {
  return type == DType::int8 ? sizeof(float) : 0;
}

// Of one layer: keys and values, or what a recurrent one keeps, whose type is always float32.
constexpr size_t kv_page_bytes(const KvLayer& layer, int page_tokens, DType type) {
  const size_t vectors = size_t{2} * static_cast<size_t>(layer.kv_heads) * static_cast<size_t>(page_tokens);
  const size_t vector_bytes = static_cast<size_t>(layer.head_dim) * dtype_bytes(type) + kv_scale_bytes(type);
  return vectors * vector_bytes + recurrent_page_bytes(layer.recurrent, page_tokens);
}

// Of all layers.
inline size_t kv_page_bytes(const KvDesc& desc) {
  size_t bytes = 0;
  for (const KvLayer& layer : desc.layers) bytes += kv_page_bytes(layer, desc.page_tokens, desc.type);
  return bytes;
}

}  // namespace lorikeet
