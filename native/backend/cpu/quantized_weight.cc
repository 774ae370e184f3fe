#include "backend/cpu/quantized_weight.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "backend/dtype.h"

namespace lorikeet::cpu {
namespace {

constexpr int64_t kScaleBytes = 2;

float read_scale(const uint8_t* from) {
  uint16_t bits;
  std::memcpy(&bits, from, kScaleBytes);
  return bf16_to_f32(bits);
}

void write_scale(uint8_t* to, float scale) {
  const uint16_t bits = f32_to_bf16(scale);  // exact
  std::memcpy(to, &bits, kScaleBytes);
}

Error not_finite() {
  return Error{"a weight is NaN or infinite, so it cannot be quantized"};
}

Error no_memory() {
  return Error{"out of memory for the model's weights"};
}

}  // namespace

Result<QuantizedWeight> QuantizedWeight::pack(const HostTensor& tensor, Quantization quantization,
                                              int lanes) {
  QuantizedWeight packed;
  packed.quantization_ = quantization;
  packed.n_ = tensor.rows;
  packed.k_ = tensor.cols;
  packed.lanes_ = lanes;
  const int64_t width = 2 * lanes;
  const int64_t groups = packed.k_groups();
  const int64_t blocks = (tensor.rows + width - 1) / width;
  auto memory = Memory::allocate(static_cast<size_t>(blocks * groups * packed.group_bytes()));
  if (!memory) return no_memory();
  packed.memory_ = std::move(*memory);
  const int group = group_size(quantization);
  std::vector<float> row(static_cast<size_t>(groups * group));
  int8_t q[kMaxGroup];
  for (int64_t n = 0; n < blocks * width; ++n) {
    if (n < tensor.rows) {
      load_padded_row(row.data(), tensor, n, group);
    } else {
      std::fill(row.begin(), row.end(), 0.0f);
    }
    auto* to = const_cast<uint8_t*>(packed.block_at(n / width));
    for (int64_t g = 0; g < groups; ++g, to += packed.group_bytes()) {
      const float scale = quantize_weights(q, row.data() + g * group, quantization);
      if (!std::isfinite(scale)) return not_finite();
      packed.write_group(to, n % width, q, scale);
    }
  }
  return packed;
}

int64_t QuantizedWeight::group_bytes() const {
  const int bits = quantization_ == Quantization::int4 ? 4 : 8;
  return 2 * lanes_ * (kScaleBytes + group_size(quantization_) * bits / 8);
}

const uint8_t* QuantizedWeight::block_at(int64_t block) const {
  return reinterpret_cast<const uint8_t*>(memory_.data()) + block * k_groups() * group_bytes();
}

void QuantizedWeight::write_group(uint8_t* group, int64_t column, const int8_t* q, float scale) const {
  write_scale(group + column * kScaleBytes, scale);
  const int64_t quad_bytes = 2 * lanes_ * 4;
  uint8_t* const to = group + 2 * lanes_ * kScaleBytes + column * 4;
  if (quantization_ == Quantization::int8) {
    for (int k = 0; k < group_size(Quantization::int8); ++k) {
      to[k / 4 * quad_bytes + k % 4] = static_cast<uint8_t>(q[k] + zero_point(Quantization::int8));
    }
    return;
  }
  for (int k = 0; k < group_size(Quantization::int4); k += 8) {
    for (int i = 0; i < 4; ++i) {
      const int low = q[k + i] + zero_point(Quantization::int4),
                high = q[k + 4 + i] + zero_point(Quantization::int4);
      to[k / 8 * quad_bytes + i] = static_cast<uint8_t>(low | (high << 4));
    }
  }
}

// The first `count` inputs of a group of one output, `stride` floats apart.
void QuantizedWeight::read_group(float* to, int64_t stride, const uint8_t* group, int64_t column,
                                 int64_t count) const {
  const float scale = read_scale(group + column * kScaleBytes);
  const int64_t quad_bytes = 2 * lanes_ * 4;
  const uint8_t* const from = group + 2 * lanes_ * kScaleBytes + column * 4;
  const int zero = zero_point(quantization_);
  for (int64_t k = 0; k < count; ++k) {
    int stored;
    if (quantization_ == Quantization::int8) {
      stored = from[k / 4 * quad_bytes + k % 4];
    } else {
      const int byte = from[k / 8 * quad_bytes + k % 4];
      stored = k % 8 < 4 ? byte & 15 : byte >> 4;
    }
    to[k * stride] = scale * static_cast<float>(stored - zero);
  }
}

void QuantizedWeight::read_row(float* to, int64_t n) const {
  const int64_t group = group_size(quantization_);
  const uint8_t* from = block_at(n / (2 * lanes_));
  for (int64_t k = 0; k < k_; k += group, from += group_bytes()) {
    read_group(to + k, 1, from, n % (2 * lanes_), std::min(group, k_ - k));
  }
}

void QuantizedWeight::read_tile(float* to, int64_t tile) const {
  const int64_t group = group_size(quantization_);
  const int64_t width = blocks(tile) * 2 * lanes_;
  for (int64_t n = 0; n < width; ++n) {
    const uint8_t* from = block(tile, static_cast<int>(n / (2 * lanes_)));
    for (int64_t k = 0; k < k_; k += group, from += group_bytes()) {
      read_group(to + k * width + n, width, from, n % (2 * lanes_), std::min(group, k_ - k));
    }
  }
}

Result<QuantizedTable> QuantizedTable::pack(const HostTensor& tensor) {
  constexpr int kGroup = group_size(Quantization::int8);
  QuantizedTable table;
  table.cols_ = tensor.cols;
  const int64_t groups = (tensor.cols + kGroup - 1) / kGroup;
  table.row_bytes_ = groups * (kScaleBytes + kGroup);
  auto memory = Memory::allocate(static_cast<size_t>(tensor.rows * table.row_bytes_));
  if (!memory) return no_memory();
  table.memory_ = std::move(*memory);
  auto* to = reinterpret_cast<uint8_t*>(table.memory_.data());
  std::vector<float> row(static_cast<size_t>(groups * kGroup));
  for (int64_t n = 0; n < tensor.rows; ++n) {
    load_padded_row(row.data(), tensor, n, kGroup);
    for (int64_t g = 0; g < groups; ++g, to += kScaleBytes + kGroup) {
      const float scale = quantize_weights(reinterpret_cast<int8_t*>(to + kScaleBytes),
                                           row.data() + g * kGroup, Quantization::int8);
      if (!std::isfinite(scale)) return not_finite();
      write_scale(to, scale);
    }
  }
  return table;
}

void QuantizedTable::read_row(float* to, int64_t row) const {
  constexpr int64_t kGroup = group_size(Quantization::int8);
  const auto* from = reinterpret_cast<const uint8_t*>(memory_.data()) + row * row_bytes_;
  for (int64_t k = 0; k < cols_; k += kGroup, from += kScaleBytes + kGroup) {
    const float scale = read_scale(from);
    const auto* const q = reinterpret_cast<const int8_t*>(from + kScaleBytes);
    for (int64_t i = 0; i < std::min(kGroup, cols_ - k); ++i) to[k + i] = scale * static_cast<float>(q[i]);
  }
}

}  // namespace lorikeet::cpu
