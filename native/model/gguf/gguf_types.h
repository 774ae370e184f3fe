// The element types of GGUF tensors. All but three keep blocks of values beside a scale, and what a block
// stands for is defined here to the bit, in float32, as ggml's own reference code does it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lorikeet {

struct GgufType {
  uint32_t id = 0;
  const char* name = nullptr;
  uint64_t values = 1;  // of a block
  uint64_t bytes = 0;   // of a block
  bool is_read = false;
  // Block -> values; null: F32, F16 and BF16, which are read as they are.
  void (*decode)(const std::byte* block, float* values) = nullptr;
};

// Null: no type of GGUF.
const GgufType* find_gguf_type(uint32_t id);
const GgufType* find_gguf_type(std::string_view name);
// "F32, F16, ..": those that are read.
std::string read_gguf_types();

}  // namespace lorikeet
