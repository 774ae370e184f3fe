// Coded weights (backend/interface/coded_weights.h) out of a checkpoint's tensors: where each output's codes
// lie among the bytes, and its groups' numbers, taken apart beforehand.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "backend/interface/coded_weights.h"
#include "model/checkpoint.h"
#include "model/network.h"

namespace lorikeet {

// How codes lie in 32-bit words, lowest bits first.
enum class CodeLayout : uint8_t {
  bytes,    // [out, in], a byte each
  rows,     // [out, words]: a row's codes one after the other, across words too
  columns,  // [words, out]: the same down a column (GPTQ)
  awq,      // [in, out / 8], the outputs of a word in the order 0 2 4 6 1 3 5 7
};

struct CodedTensor {
  RawTensor codes;
  CodeLayout layout = CodeLayout::bytes;
  uint8_t flip = 0;           // bits that are turned over: 0x80 makes a signed byte an unsigned one
  std::vector<float> scale;   // [out, groups]
  std::vector<uint8_t> zero;  // [out, groups] where the format has zeros
  std::vector<float> offset;  // [out, groups] where it has offsets
};

std::shared_ptr<const CodedSource> coded_source(int64_t out, int64_t in, CodedFormat format,
                                                CodedTensor tensor);

// The rows of `whole` that make one part of a fused map.
std::shared_ptr<const CodedSource> coded_rows(std::shared_ptr<const CodedSource> whole, const PartRows& rows);

// Code `index` of a row of codes that lie one after the other.
int code_in_stream(const std::byte* stream, int64_t index, int bits);
// Where AWQ keeps output n among the eight of its word.
int awq_place(int64_t n);

}  // namespace lorikeet
