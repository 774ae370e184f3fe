// What coded weights stand for (backend/interface/coded_weights.h), literally: the definition for all
// backends.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/interface/coded_weights.h"

namespace lorikeet {

float e4m3_to_f32(uint8_t bits);
float e5m2_to_f32(uint8_t bits);
float code_value(const CodedFormat& format, uint8_t code);

// A row of a source, in memory of its own.
class CodedRowBuffer {
 public:
  explicit CodedRowBuffer(const CodedSource& source);

  // False where the row holds what is no finite number.
  bool read(int64_t row);
  // to [K], of the row that was read
  void decode(float* to) const;

  std::span<const uint8_t> codes() const { return codes_; }
  std::span<const float> scale() const { return scale_; }
  std::span<const float> zero() const { return zero_; }
  std::span<const float> offset() const { return offset_; }
  std::span<const float> scale_factor() const { return scale_factor_; }
  std::span<const float> offset_factor() const { return offset_factor_; }

 private:
  const CodedSource& source_;
  std::vector<uint8_t> codes_;
  std::vector<float> scale_, zero_, offset_, scale_factor_, offset_factor_;
};

}  // namespace lorikeet
