// The element types of GGUF tensors. All but three keep blocks of codes beside numbers that groups of them
// share, and what a block stands for is defined here to the bit, in float32, as ggml's own reference code
// does it: by the format of its codes (backend/interface/coded_weights.h) and by how a block is taken apart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "backend/interface/coded_weights.h"

namespace lorikeet {

// The numbers of CodedFormat that do not depend on a row's length.
struct GgufBlocks {
  int bits = 0;  // 0: no blocks, but F32, F16 or BF16, which are read as they are
  int64_t group = 0;
  float zero = 0;
  bool offsets = false;
  int factor_groups = 0;  // of a block, where its scales have a scale
  CodeKind kind = CodeKind::integer;
  DType scale_type = DType::f16;
  const float* table = nullptr;  // [16]
  void (*unpack)(const std::byte* block, const CodedRow& to) = nullptr;
};

struct GgufType {
  uint32_t id = 0;
  const char* name = nullptr;
  uint64_t values = 1;  // of a block
  uint64_t bytes = 0;   // of a block
  bool is_read = false;
  GgufBlocks blocks = {};

  bool in_blocks() const { return blocks.bits > 0; }
  // Of rows of so many values, whole blocks.
  CodedFormat format(int64_t cols) const;
};

// Null: no type of GGUF.
const GgufType* find_gguf_type(uint32_t id);
const GgufType* find_gguf_type(std::string_view name);
// "F32, F16, ..": those that are read.
std::string read_gguf_types();

}  // namespace lorikeet
