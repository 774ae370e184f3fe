#include "backend/shared/quantization.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "backend/shared/dtype.h"
#include "backend/shared/nf4.h"
#include "backend/shared/parallel.h"

namespace lorikeet {
namespace {

constexpr uint32_t kMagnitude = 0x7fffffffu;
constexpr uint32_t kInfinity = 0x7f800000u;

uint32_t largest_magnitude(const float* x, int count) {
  uint32_t largest = 0;
  for (int i = 0; i < count; ++i) largest = std::max(largest, std::bit_cast<uint32_t>(x[i]) & kMagnitude);
  return largest;
}

float round_to_bf16(float value) {
  return bf16_to_f32(f32_to_bf16(value));
}

// Nearest integer, ties to even, of |x| < 2^22; unlike rint() it vectorizes on every machine.
[[gnu::always_inline]] inline float nearest(float x) {
  constexpr float kShift = 12582912.0f;  // 1.5 * 2^23
  return (x + kShift) - kShift;
}

[[gnu::always_inline]] inline float quantized(float w, float inverse, float lowest, float highest) {
  return std::min(std::max(nearest(w * inverse), lowest), highest);
}

float write(int8_t* q, const float* w, int count, float scale, float lowest, float highest) {
  const float inverse = scale == 0 ? 0.0f : 1.0f / scale;
  for (int i = 0; i < count; ++i) q[i] = static_cast<int8_t>(quantized(w[i], inverse, lowest, highest));
  return scale;
}

// Sum of squared errors of a group of int4 under a scale, in units of `largest`, so that nothing overflows.
[[gnu::always_inline]] inline float error_of(const float* w, float scale, float largest) {
  constexpr int kLanes = 8;
  const float inverse = 1.0f / scale;
  float sums[kLanes] = {};
  for (int i = 0; i < group_size(Quantization::int4); i += kLanes) {
    for (int j = 0; j < kLanes; ++j) {
      const float error = w[i + j] * inverse - quantized(w[i + j], inverse, -8.0f, 7.0f);
      sums[j] += error * error;
    }
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  return total * (scale / largest) * (scale / largest);
}

// Fifteen or sixteen steps are so few that the best scale is worth a search: the largest weight may land
// between 6.5 and 8.5 steps from zero, on either side.
[[gnu::always_inline]] inline float search_int4_scale(const float* w, float largest) {
  float best = 0;
  float best_error = std::numeric_limits<float>::infinity();
  for (const float steps : {8.0f, -8.0f, 7.5f, -7.5f, 7.0f, 8.5f, -8.5f, 6.5f, -6.5f}) {
    const float scale = round_to_bf16(largest / steps);
    const float error = error_of(w, scale, largest);
    if (error < best_error) {
      best = scale;
      best_error = error;
    }
  }
  return best;
}

#if defined(__x86_64__)
// The same operations on twice as many lanes, so the same bits; a model's load waits mostly for this search.
[[gnu::target("avx2")]] float search_int4_scale_avx2(const float* w, float largest) {
  return search_int4_scale(w, largest);
}
#endif

float int4_scale(const float* w, float largest) {
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return search_int4_scale_avx2(w, largest);
#endif
  return search_int4_scale(w, largest);
}

float largest_of(const float* w, int count) {
  return std::bit_cast<float>(largest_magnitude(w, count));
}

}  // namespace

void load_padded_row(float* to, const HostTensor& tensor, int64_t row, int group) {
  const int64_t first = row * tensor.cols;
  const int64_t padded = (tensor.cols + group - 1) / group * group;
  const auto load = [&](auto dtype) {
    for (int64_t i = 0; i < tensor.cols; ++i) to[i] = load_f32(tensor.data, dtype(), first + i);
  };
  switch (tensor.dtype) {  // outside the loop, so that each loop vectorizes
    case DType::f32:
      load([] { return DType::f32; });
      break;
    case DType::f16:
      load([] { return DType::f16; });
      break;
    case DType::bf16:
      load([] { return DType::bf16; });
      break;
    case DType::int8:
      load([] { return DType::int8; });
      break;
  }
  std::fill(to + tensor.cols, to + padded, 0.0f);
}

float quantize_weights(int8_t* q, const float* w, Quantization quantization) {
  const int count = group_size(quantization);
  const uint32_t bits = largest_magnitude(w, count);
  if (bits >= kInfinity) return std::numeric_limits<float>::quiet_NaN();
  const auto largest = std::bit_cast<float>(bits);
  // So small a scale would have no finite inverse; such a group is zero.
  if (largest < 0x1p-100f) return write(q, w, count, 0.0f, 0.0f, 0.0f);
  if (quantization == Quantization::int4) return write(q, w, count, int4_scale(w, largest), -8.0f, 7.0f);
  return write(q, w, count, round_to_bf16(largest / 127.0f), -127.0f, 127.0f);
}

std::vector<float> nf4_block_maxima(const HostTensor& tensor, int threads) {
  const int64_t blocks = (tensor.cols + kNf4Block - 1) / kNf4Block;
  std::vector<float> maxima(static_cast<size_t>(tensor.rows * blocks));
  parallel_ranges(threads, tensor.rows, [&](int64_t begin, int64_t end) {
    std::vector<float> row(static_cast<size_t>(blocks * kNf4Block));
    for (int64_t n = begin; n < end; ++n) {
      load_padded_row(row.data(), tensor, n, kNf4Block);
      for (int64_t block = 0; block < blocks; ++block) {
        maxima[static_cast<size_t>(n * blocks + block)] =
            largest_of(row.data() + block * kNf4Block, kNf4Block);
      }
    }
  });
  return maxima;
}

WeightGroups::WeightGroups(const HostTensor& tensor, Quantization quantization,
                           std::span<const float> nf4_absmax, int threads)
    : tensor_(tensor),
      quantization_(quantization),
      packed_(!nf4_absmax.empty()),
      groups_((tensor.cols + group_size(quantization) - 1) / group_size(quantization)),
      absmax_(nf4_absmax) {
  if (quantization == Quantization::nf4 && !packed_) {
    own_absmax_ =
        unnest_absmax(nest_absmax(nf4_block_maxima(tensor, threads)), dynamic_map(), kNf4NestedBlock);
    absmax_ = own_absmax_;
  }
}

bool WeightGroups::read_row(int8_t* q, float* scale, int64_t row) const {
  if (packed_) {
    read_packed_row(q, row);
  } else if (!quantize_row(q, scale, row)) {
    return false;
  }
  if (quantization_ != Quantization::nf4) return true;
  for (int64_t g = 0; g < groups_; ++g) {
    scale[g] = round_to_bf16(absmax_[static_cast<size_t>(row * groups_ + g)] / kNf4Multiplier);
    if (!std::isfinite(scale[g])) return false;
  }
  return true;
}

void WeightGroups::read_packed_row(int8_t* q, int64_t row) const {
  const auto* const codes = reinterpret_cast<const uint8_t*>(tensor_.data);
  for (int64_t k = 0; k < tensor_.cols; ++k) {
    q[k] = kNf4Integers[nf4_packed_code(codes, row * tensor_.cols + k)];
  }
}

bool WeightGroups::quantize_row(int8_t* q, float* scale, int64_t row) const {
  const int group = group_size(quantization_);
  std::vector<float> w(static_cast<size_t>(groups_ * group));
  load_padded_row(w.data(), tensor_, row, group);
  for (int64_t g = 0; g < groups_; ++g, q += group) {
    const float* const from = w.data() + g * group;
    if (quantization_ == Quantization::nf4) {
      const float largest = largest_of(from, group);
      if (!std::isfinite(largest)) return false;
      nf4_integers(q, from, largest);
    } else {
      scale[g] = quantize_weights(q, from, quantization_);
      if (!std::isfinite(scale[g])) return false;
    }
  }
  return true;
}

void WeightGroups::release_rows(int64_t begin, int64_t end) const {
  if (tensor_.done_with == nullptr) return;
  const int64_t bits = packed_ ? 4 : 8 * static_cast<int64_t>(dtype_bytes(tensor_.dtype));
  tensor_.done_with(tensor_.data + begin * tensor_.cols * bits / 8,
                    tensor_.data + end * tensor_.cols * bits / 8);
}

ActivationScale activation_scale(uint32_t largest_bits) {
  if (largest_bits >= kInfinity) return {std::numeric_limits<float>::quiet_NaN(), 0.0f};
  const auto largest = std::bit_cast<float>(largest_bits);
  if (largest < 0x1p-100f) return {0.0f, 0.0f};
  return {largest / 127.0f, 127.0f / largest};
}

float quantize_activations(int8_t* q, const float* x, int count) {
  const ActivationScale factors = activation_scale(largest_magnitude(x, count));
  for (int i = 0; i < count; ++i) {
    q[i] = factors.inverse == 0 ? int8_t{0} : static_cast<int8_t>(nearest(x[i] * factors.inverse));
  }
  return factors.scale;
}

}  // namespace lorikeet
