#include "backend/cpu/quantized_weight.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <vector>

#include "backend/shared/dtype.h"
#include "backend/shared/nf4.h"
#include "backend/shared/parallel.h"

namespace lorikeet::cpu {
namespace {

constexpr int64_t kScaleBytes = 2;
constexpr int kTableGroup = group_size(Quantization::int8);
constexpr int kInt4Zero = zero_point(Quantization::int4);
constexpr int64_t kRowsPerRange = 256;  // of a thread's turn: so much of the checkpoint lies in memory twice

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
  return {"out of memory for the model's weights", ErrorKind::out_of_memory};
}

}  // namespace

Result<QuantizedWeight> QuantizedWeight::pack(const WeightSource& source, int lanes, int threads) {
  const HostTensor& tensor = source.tensor;
  QuantizedWeight packed;
  packed.quantization_ = source.quantization;
  packed.n_ = tensor.rows;
  packed.k_ = tensor.cols;
  packed.lanes_ = lanes;
  const int64_t blocks = (tensor.rows + 2 * lanes - 1) / (2 * lanes);
  auto memory = Memory::allocate(static_cast<size_t>(blocks * packed.k_groups() * packed.group_bytes()));
  if (!memory) return no_memory();
  packed.memory_ = std::move(*memory);
  const WeightGroups groups(tensor, source.quantization, source.nf4_absmax, threads);
  std::atomic<bool> finite = true;
  const auto pack_blocks = [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end && finite.load(); ++block) {
      if (!packed.pack_block(groups, block)) finite.store(false);
    }
    groups.release_rows(begin * 2 * lanes, std::min(tensor.rows, end * 2 * lanes));
  };
  parallel_ranges(threads, blocks, pack_blocks, kRowsPerRange / (2 * lanes));
  if (!finite.load()) return not_finite();
  return packed;
}

// False when a weight is not finite.
bool QuantizedWeight::pack_block(const WeightGroups& from, int64_t block) {
  const int group = group_size(quantization_);
  const int64_t width = 2 * lanes_;
  std::vector<int8_t> q(static_cast<size_t>(from.groups() * group));
  std::vector<float> scale(static_cast<size_t>(from.groups()));
  for (int64_t column = 0; column < width; ++column) {
    const int64_t n = block * width + column;
    if (n < n_) {
      if (!from.read_row(q.data(), scale.data(), n)) return false;
    } else {
      std::fill(q.begin(), q.end(), int8_t{0});
      std::fill(scale.begin(), scale.end(), 0.0f);
    }
    auto* to = const_cast<uint8_t*>(block_at(block));
    for (int64_t g = 0; g < from.groups(); ++g, to += group_bytes()) {
      write_group(to, column, q.data() + g * group, scale[static_cast<size_t>(g)]);
    }
  }
  return true;
}

int64_t QuantizedWeight::group_bytes() const {
  return 2 * lanes_ * (kScaleBytes + group_size(quantization_) * stored_bits(quantization_) / 8);
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
  const bool nf4 = quantization_ == Quantization::nf4;
  for (int k = 0; k < group_size(quantization_); k += 8) {
    for (int i = 0; i < 4; ++i) {
      const int low = nf4 ? nf4_code_of(q[k + i]) : q[k + i] + kInt4Zero;
      const int high = nf4 ? nf4_code_of(q[k + 4 + i]) : q[k + 4 + i] + kInt4Zero;
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
  for (int64_t k = 0; k < count; ++k) {
    int value;
    if (quantization_ == Quantization::int8) {
      value = from[k / 4 * quad_bytes + k % 4] - zero_point(Quantization::int8);
    } else {
      const int byte = from[k / 8 * quad_bytes + k % 4];
      const int stored = k % 8 < 4 ? byte & 15 : byte >> 4;
      value =
          quantization_ == Quantization::nf4 ? kNf4Integers[static_cast<size_t>(stored)] : stored - kInt4Zero;
    }
    to[k * stride] = scale * static_cast<float>(value);
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

Result<QuantizedTable> QuantizedTable::pack(const HostTensor& tensor, int threads) {
  QuantizedTable table;
  table.cols_ = tensor.cols;
  const WeightGroups groups(tensor, Quantization::int8, {}, threads);
  table.row_bytes_ = groups.groups() * (kScaleBytes + kTableGroup);
  auto memory = Memory::allocate(static_cast<size_t>(tensor.rows * table.row_bytes_));
  if (!memory) return no_memory();
  table.memory_ = std::move(*memory);
  std::atomic<bool> finite = true;
  const auto pack_rows = [&](int64_t begin, int64_t end) {
    std::vector<int8_t> q(static_cast<size_t>(groups.groups() * kTableGroup));
    std::vector<float> scale(static_cast<size_t>(groups.groups()));
    auto* to = reinterpret_cast<uint8_t*>(table.memory_.data()) + begin * table.row_bytes_;
    for (int64_t n = begin; n < end && finite.load(); ++n) {
      if (!groups.read_row(q.data(), scale.data(), n)) finite.store(false);
      for (int64_t g = 0; g < groups.groups(); ++g, to += kScaleBytes + kTableGroup) {
        write_scale(to, scale[static_cast<size_t>(g)]);
        std::memcpy(to + kScaleBytes, q.data() + g * kTableGroup, kTableGroup);
      }
    }
    groups.release_rows(begin, end);
  };
  parallel_ranges(threads, tensor.rows, pack_rows, kRowsPerRange);
  if (!finite.load()) return not_finite();
  return table;
}

void QuantizedTable::read_row(float* to, int64_t row) const {
  constexpr int64_t kGroup = kTableGroup;
  const auto* from = reinterpret_cast<const uint8_t*>(memory_.data()) + row * row_bytes_;
  for (int64_t k = 0; k < cols_; k += kGroup, from += kScaleBytes + kGroup) {
    const float scale = read_scale(from);
    const auto* const q = reinterpret_cast<const int8_t*>(from + kScaleBytes);
    for (int64_t i = 0; i < std::min(kGroup, cols_ - k); ++i) to[k + i] = scale * static_cast<float>(q[i]);
  }
}

}  // namespace lorikeet::cpu
