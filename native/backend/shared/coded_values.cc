#include "backend/shared/coded_values.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace lorikeet {

namespace {

// A sign, and a magnitude whose fields begin where float32's do but for the exponent's bias.
float narrow_float(uint8_t bits, int shift, float factor) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x80) << 24;
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7f) << shift;
  return std::bit_cast<float>(sign | magnitude) * factor;
}

bool finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

}  // namespace

float e4m3_to_f32(uint8_t bits) {
  if ((bits & 0x7f) == 0x7f) return std::bit_cast<float>(0x7fc00000u);
  return narrow_float(bits, 20, 0x1p120f);
}

float e5m2_to_f32(uint8_t bits) {
  if ((bits & 0x7f) >= 0x7c) {
    return std::bit_cast<float>((bits & 3) != 0      ? 0x7fc00000u
                                : (bits & 0x80) != 0 ? 0xff800000u
                                                     : 0x7f800000u);
  }
  return narrow_float(bits, 21, 0x1p112f);
}

float code_value(const CodedFormat& format, uint8_t code) {
  switch (format.kind) {
    case CodeKind::integer:
      break;
    case CodeKind::table:
      return format.table[code];
    case CodeKind::e4m3:
      return e4m3_to_f32(code);
    case CodeKind::e5m2:
      return e5m2_to_f32(code);
  }
  return static_cast<float>(code);
}

CodedRowBuffer::CodedRowBuffer(const CodedSource& source) : source_(source) {
  const CodedFormat& format = source.format();
  const auto groups = static_cast<size_t>(format.groups), factors = static_cast<size_t>(format.factors());
  codes_.resize(static_cast<size_t>(source.cols()));
  scale_.resize(groups);
  if (format.zeros) zero_.resize(groups);
  if (format.offsets) offset_.resize(groups);
  scale_factor_.resize(factors);
  if (format.offsets) offset_factor_.resize(factors);
}

bool CodedRowBuffer::read(int64_t row) {
  const auto at = [](std::vector<float>& values) { return values.empty() ? nullptr : values.data(); };
  const CodedRow to{codes_.data(), at(scale_), at(zero_), at(offset_), at(scale_factor_), at(offset_factor_)};
  if (!source_.read_row(to, row)) return false;
  if (!finite(scale_) || !finite(offset_) || !finite(scale_factor_) || !finite(offset_factor_)) return false;
  const CodeKind kind = source_.format().kind;
  if (kind != CodeKind::e4m3 && kind != CodeKind::e5m2) return true;
  const int first_not_finite = kind == CodeKind::e4m3 ? 0x7f : 0x7c;
  return std::all_of(codes_.begin(), codes_.end(),
                     [&](uint8_t code) { return (code & 0x7f) < first_not_finite; });
}

void CodedRowBuffer::decode(float* to) const {
  const CodedFormat& format = source_.format();
  for (size_t k = 0; k < codes_.size(); ++k) {
    const auto group = format.group_of_input.empty() ? k / static_cast<size_t>(format.group)
                                                     : static_cast<size_t>(format.group_of_input[k]);
    const size_t factor = format.factor_groups == 0 ? 0 : group / static_cast<size_t>(format.factor_groups);
    const float scale = scale_factor_.empty() ? scale_[group] : scale_[group] * scale_factor_[factor];
    const float zero = zero_.empty() ? format.zero : zero_[group];
    to[k] = (code_value(format, codes_[k]) - zero) * scale;
    if (offset_.empty()) continue;
    to[k] += offset_factor_.empty() ? offset_[group] : offset_[group] * offset_factor_[factor];
  }
}

}  // namespace lorikeet
