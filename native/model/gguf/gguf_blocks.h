// The weights of a GGUF tensor in blocks, as a backend takes them (backend/interface/coded_weights.h): in
// their codes, out of the mapped file.
#pragma once

#include <atomic>
#include <memory>
#include <span>

#include "backend/interface/coded_weights.h"
#include "model/gguf/gguf_types.h"

namespace lorikeet {

struct GgufRows {
  std::span<const std::byte> bytes;  // [rows], each whole blocks
  int64_t rows = 0;
  int64_t cols = 0;
  int64_t paired_heads = 0;  // TensorInfo's; 0 or a divisor of half the rows
  void (*done_with)(const std::byte* begin, const std::byte* end) = nullptr;  // HostTensor's
};

// The bytes must outlive the source.
std::shared_ptr<const CodedSource> gguf_source(const GgufType& type, const GgufRows& rows);

// Row of the file that holds row `row` of the network, of whose heads each has its rows in neighbouring
// pairs.
int64_t paired_row(int64_t row, int64_t rows, int64_t heads);

}  // namespace lorikeet
