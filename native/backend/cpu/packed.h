// A weight matrix in the order in which the product reads it.
//
// Outputs are cut into tiles of 4 W (W: lanes of the instruction set), a tile into one or two groups of 2 W:
//   [tile][k][group][2 W]
// so that for one k a tile is a run of consecutive memory and one vector holds W consecutive outputs. Inside
// a group of bfloat16, output j and output W + j share a 32-bit word (low and high half): a shift and a mask
// then widen a whole vector. The other types lie in order, int8 as integers: their scales are the caller's.
// Outputs beyond n are zero.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "backend/cpu/memory.h"
#include "backend/interface/tensor.h"

namespace lorikeet::cpu {

class PackedWeight {
 public:
  // tensor [n, k]. nullopt when memory runs out.
  static std::optional<PackedWeight> pack(const HostTensor& tensor, int lanes, int threads = 1);

  DType dtype() const { return dtype_; }
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int64_t tile_outputs() const { return tile_outputs_; }
  int64_t tiles() const { return (n_ + tile_outputs_ - 1) / tile_outputs_; }
  // The last tile has one group where that is enough.
  int groups(int64_t tile) const { return n_ - tile * tile_outputs_ > tile_outputs_ / 2 ? 2 : 1; }
  const std::byte* tile(int64_t tile) const;
  size_t bytes() const { return memory_.bytes(); }
  // to [k] = row `n` of the matrix
  void read_row(float* to, int64_t n) const;

 private:
  DType dtype_ = DType::f32;
  int64_t n_ = 0;
  int64_t k_ = 0;
  int64_t tile_outputs_ = 0;
  Memory memory_;
};

// Rows packed along k in groups of 2 W, each padded with zeros to a whole number of groups: [rows, stride].
class PackedRows {
 public:
  static std::optional<PackedRows> pack(const HostTensor& tensor, int lanes);

  DType dtype() const { return dtype_; }
  int64_t stride() const { return stride_; }
  const std::byte* row(int64_t row) const;
  size_t bytes() const { return memory_.bytes(); }

 private:
  DType dtype_ = DType::f32;
  int64_t stride_ = 0;
  Memory memory_;
};

}  // namespace lorikeet::cpu
