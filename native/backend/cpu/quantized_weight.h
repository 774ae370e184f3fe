// A quantized weight matrix (backend/shared/quantization.h) in the order in which the product reads it.
//
// Outputs are cut into blocks of 2 W, two blocks to a tile like packed.h's, each block a run of groups along
// K:
//   [block][group]{ bfloat16 scale [2 W], quads }
//   int8: [k / 4][2][W][4]       one byte per weight, q + 128
//   int4: [k / 8][2][W][4]       one byte per two: q + 8 of k in the low half, of k + 4 in the high half
//   nf4:  the same with the code in place of q + 8
// so a vector holds four consecutive inputs of W outputs. Outputs beyond n and inputs beyond k have q = 0.
#pragma once

#include <cstdint>
#include <span>

#include "backend/cpu/memory.h"
#include "backend/cpu/packed.h"
#include "backend/interface/status.h"
#include "backend/interface/weights.h"
#include "backend/shared/quantization.h"

namespace lorikeet::cpu {

struct WeightSource {
  HostTensor tensor;  // [n, k]
  Quantization quantization = Quantization::none;
  std::span<const float> nf4_absmax = {};  // LinearPart's
};

class QuantizedWeight {
 public:
  // Fails when memory runs out or a weight is not finite.
  static Result<QuantizedWeight> pack(const WeightSource& source, int lanes, int threads);

  Quantization quantization() const { return quantization_; }
  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int64_t tile_outputs() const { return 4 * lanes_; }
  int64_t tiles() const { return (n_ + tile_outputs() - 1) / tile_outputs(); }
  int64_t k_groups() const { return (k_ + group_size(quantization_) - 1) / group_size(quantization_); }
  // Blocks of a tile: the last tile has one where that is enough.
  int blocks(int64_t tile) const { return n_ - tile * tile_outputs() > tile_outputs() / 2 ? 2 : 1; }
  const uint8_t* block(int64_t tile, int block) const { return block_at(2 * tile + block); }
  int64_t group_bytes() const;
  size_t bytes() const { return memory_.bytes(); }
  // to [k] = row `n` of the matrix, dequantized
  void read_row(float* to, int64_t n) const;
  // to [k][2 W per block of the tile] in float32, as PackedWeight lays out a tile
  void read_tile(float* to, int64_t tile) const;

 private:
  const uint8_t* block_at(int64_t block) const;
  bool pack_block(const WeightGroups& from, int64_t block);
  void write_group(uint8_t* group, int64_t column, const int8_t* q, float scale) const;
  void read_group(float* to, int64_t stride, const uint8_t* group, int64_t column, int64_t count) const;

  Quantization quantization_ = Quantization::none;
  int64_t n_ = 0;
  int64_t k_ = 0;
  int64_t lanes_ = 0;
  Memory memory_;
};

// An embedding table [rows, cols] in int8, row by row: [row][group]{ bfloat16 scale, int8 [64] }.
class QuantizedTable {
 public:
  static Result<QuantizedTable> pack(const HostTensor& tensor, int threads);
  void read_row(float* to, int64_t row) const;
  size_t bytes() const { return memory_.bytes(); }
  bool empty() const { return memory_.empty(); }

 private:
  int64_t cols_ = 0;
  int64_t row_bytes_ = 0;
  Memory memory_;
};

}  // namespace lorikeet::cpu
