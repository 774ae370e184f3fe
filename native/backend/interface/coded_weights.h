// Weights as other tools pack them: small codes with numbers that groups of inputs share. A device keeps them
// so, and multiplies with exactly the values that they stand for:
//
//   w[n, k] = (value(code[n, k]) - zero) * scale + offset
//
// in float32, the difference exact, the product and the sum each rounded once. zero, scale and offset belong
// to one output and one group of inputs.
//
// How a reader of a checkpoint fills it: it derives from CodedSource, describes the format in `format`, and
// gives one row at a time, taken apart into one byte for each code and one float for each number, in whatever
// order its file has them. Nothing is unpacked whole: a backend asks for rows on several threads, packs them
// in the order in which its product reads them, and says which it is done with. E.g.
//   GPTQ, AWQ      integer, 4 bits, group 128, zeros, scale_type f16
//   a symmetric one  the same with zero = 8 for all in place of `zeros`
//   FP8            e4m3, 8 bits, group 128 or the whole row, scale_type f32 (blocks of rows: the same scale
//   for each) MLX            integer, 4 bits, group 64, offsets, scale_type f16 or bf16 GGUF Q4_K integer, 4
//   bits, group 32, offsets, factor_groups 8, scale_type f16: a scale is the 6-bit integer and its
//                  factor d; an offset is the 6-bit integer and its factor -dmin
//   GGUF Q6_K      integer, 6 bits, zero 32, group 16, factor_groups 16, scale_type f16
//   GGUF IQ4_NL    table, 4 bits, group 32, scale_type f16
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "backend/interface/tensor.h"

namespace lorikeet {

enum class CodeKind : uint8_t {
  integer,  // the code itself, unsigned
  table,    // a number of CodedFormat::table; codes of 4 bits at most
  e4m3,     // 8-bit floats of the OCP (Micikevicius et al. 2022); E4M3 has no infinities
  e5m2,
};
constexpr int kCodeKinds = 4;

struct CodedFormat {
  CodeKind kind = CodeKind::integer;
  int bits = 4;  // of a code: 2, 3, 4, 5, 6 or 8; what the device stores
  std::array<float, 16> table = {};
  // Inputs of a group: input k belongs to group k / group. Or, where not empty, to group_of_input[k] (GPTQ's
  // act-order).
  int64_t group = 0;
  std::vector<int32_t> group_of_input = {};  // [K]
  int64_t groups = 0;                        // of a row
  float zero = 0;                            // an integer, of all groups; 0 with `zeros`
  bool zeros = false;                        // each group has a zero of its own: an integer in [0, 255]
  bool offsets = false;                      // each group has an offset; without, it is 0
  // f32, f16 or bf16, whichever holds every scale and every offset exactly; with factors every factor.
  DType scale_type = DType::f32;
  // Above 0: scales and offsets are integers in [-128, 127], each times a factor that so many consecutive
  // groups share.
  int factor_groups = 0;

  int64_t factors() const { return factor_groups == 0 ? 0 : (groups + factor_groups - 1) / factor_groups; }
};

// Where a row goes; a null pointer where the format has no such numbers.
struct CodedRow {
  uint8_t* codes = nullptr;        // [K], each below 2^bits
  float* scale = nullptr;          // [groups]
  float* zero = nullptr;           // [groups] with `zeros`
  float* offset = nullptr;         // [groups] with `offsets`
  float* scale_factor = nullptr;   // [factors]
  float* offset_factor = nullptr;  // [factors] with `offsets`
};

class CodedSource {
 public:
  CodedSource(int64_t rows, int64_t cols, CodedFormat format)
      : rows_(rows), cols_(cols), format_(std::move(format)) {}
  virtual ~CodedSource() = default;
  CodedSource(const CodedSource&) = delete;
  CodedSource& operator=(const CodedSource&) = delete;

  int64_t rows() const { return rows_; }  // outputs
  int64_t cols() const { return cols_; }  // inputs
  const CodedFormat& format() const { return format_; }

  // On any thread. False where the row holds what is no finite number.
  virtual bool read_row(const CodedRow& to, int64_t row) const = 0;
  // Nobody will read rows [begin, end) again: their memory may go.
  virtual void release_rows(int64_t begin, int64_t end) const = 0;

 protected:
  CodedFormat& format() { return format_; }

 private:
  int64_t rows_;
  int64_t cols_;
  CodedFormat format_;
};

}  // namespace lorikeet
