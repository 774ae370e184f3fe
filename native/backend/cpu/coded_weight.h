// A coded weight matrix (backend/interface/coded_weights.h) in the order in which the product reads it.
//
// Outputs are cut into blocks of 2 W, two blocks to a tile like packed.h's. Where codes are no whole number
// of powers of two long, their low and their high bits lie apart, in a plane each. A plane of four bits holds
// words: byte j of a word has input 8 w + j in its low and input 8 w + 4 + j in its high half, as the dot
// product of bytes takes them. The others hold for each input the codes of a block's outputs side by side,
// the first input lowest:
//   four bits  [block][words of a row, whole steps of 32 inputs][2 W][4]
//   others     [block][k * bits / 8][2 W]
// and what groups share, each kind in memory of its own: [block][groups][2 W], [block][factors][2 W].
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/kernels.h"
#include "backend/cpu/memory.h"
#include "backend/cpu/quantized_kernels.h"
#include "backend/interface/coded_weights.h"
#include "backend/interface/status.h"
#include "backend/shared/coded_values.h"

namespace lorikeet::cpu {

class CodedWeight {
 public:
  // Fails when memory runs out or a number is not finite. With an order (IntegerInputs') it is multiplied in
  // integers, and its inputs stand in that order.
  static Result<CodedWeight> pack(const CodedSource& source, int lanes, int threads,
                                  const std::vector<int32_t>* integer_order = nullptr);

  int64_t n() const { return n_; }
  int64_t k() const { return k_; }
  int64_t tile_outputs() const { return 4 * lanes_; }
  int64_t tiles() const { return (n_ + tile_outputs() - 1) / tile_outputs(); }
  // Blocks of a tile: the last tile has one where that is enough.
  int blocks(int64_t tile) const { return n_ - tile * tile_outputs() > tile_outputs() / 2 ? 2 : 1; }
  size_t bytes() const;
  bool in_integers() const { return in_integers_; }
  // to [k] = row `n` of the matrix
  void read_row(float* to, int64_t n) const;
  // to [end - begin][2 W per block of the tile] in float32, as PackedWeight lays out a tile. All inputs at
  // once where they do not stand in their own order.
  void decode(const Kernels& kernels, float* to, int64_t tile, int64_t begin, int64_t end) const;
  // What the product in integers has to know of a tile's block. The rest is the caller's.
  CodedProduct integer_product(int64_t tile, int block) const;
  const uint8_t* codes(int64_t tile, int block) const { return low_.at(2 * tile + block, width()); }

 private:
  // [block][rows][2 W] elements
  struct Numbers {
    Memory memory;
    DType type = DType::f32;
    int64_t rows = 0;

    bool empty() const { return memory.empty(); }
    bool allocate(DType element, int64_t rows_of_block, int64_t outputs);
    CodedNumbers at(int64_t block, int64_t width) const;
    void write(int64_t block, int64_t width, int64_t column, std::span<const float> values) const;
    float read(int64_t row, int64_t block, int64_t width, int64_t column) const;
  };
  struct Plane {
    Memory memory;
    int bits = 0;
    int64_t rows = 0;  // of a block, 2 W bytes each

    bool allocate(int bits_of_code, int64_t k, int64_t outputs);
    uint8_t* at(int64_t block, int64_t width) const;
    void write(uint8_t* block, int64_t width, int64_t column, std::span<const uint8_t> codes,
               int shift) const;
    int read(const uint8_t* block, int64_t width, int64_t column, int64_t k) const;

   private:
    void write_words(uint8_t* block, int64_t width, int64_t column, std::span<const uint8_t> codes,
                     int shift) const;
  };

  Status allocate(int64_t outputs);
  bool pack_block(CodedRowBuffer& row, int64_t block);
  int64_t width() const { return 2 * lanes_; }

  int64_t n_ = 0;
  int64_t k_ = 0;
  int64_t lanes_ = 0;
  CodedFormat format_;
  bool in_integers_ = false;
  std::vector<int32_t> order_;  // [k] the input that stands there; empty: as they are
  Plane low_, high_;
  Memory zeros_;  // bytes [block][groups][2 W]
  Numbers scale_, offset_, scale_factor_, offset_factor_;
};

}  // namespace lorikeet::cpu
