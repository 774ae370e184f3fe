// What the quantizations of linear maps mean, in one place for all backends.
//
// Weights are cut along K into groups. A group is a scale in bfloat16 and one integer per weight: w = scale *
// q, with q in
// [-127, 127] (int8), [-8, 7] (int4) or the sixteen integers of NF4 (backend/shared/nf4.h, which also says
// where the scales of that come from). Scale times q is exact in float32.
//
// The product quantizes each row of activations along longer groups, so that most groups of weights end with
// one product instead of two: x = scale * q, q in [-127, 127], scale in float32. Sums inside a group of
// weights are integers, exact in any order; the groups' sums are added in float32 in ascending order:
//   y = sum over activation groups of scale_x * (sum over its weight groups of float(sum of q_w q_x) *
//   scale_w)
// every operation rounded once. Low-rank deltas and replaced weights see the activations as they were.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/interface/weights.h"

namespace lorikeet {

constexpr int kMaxGroup = 64;
// Activations per scale: a multiple of every group of weights.
constexpr int kActivationGroup = 256;

// Weights per group. Eight bits lose little in a longer group, and each group costs a conversion and two
// products.
constexpr int group_size(Quantization quantization) {
  return quantization == Quantization::int4 ? 32 : 64;
}
// What makes every weight an unsigned number in the product.
constexpr int zero_point(Quantization quantization) {
  return quantization == Quantization::int4 ? 8 : 128;
}
// Of a weight, without its share of the scale.
constexpr int stored_bits(Quantization quantization) {
  return quantization == Quantization::int8 ? 8 : 4;
}
// The head and the embedding stay at 8 bits: they decide between tokens, and are a fixed share of the bytes.
constexpr Quantization head_quantization(Quantization model) {
  return model == Quantization::none ? Quantization::none : Quantization::int8;
}

// to [cols, zero-padded to whole groups] = row `row` of the tensor
void load_padded_row(float* to, const HostTensor& tensor, int64_t row, int group);

// q [group_size] of w [group_size] in int8 or int4; returns the scale, which bfloat16 holds exactly. Not
// finite when a weight is not.
float quantize_weights(int8_t* q, const float* w, Quantization quantization);

// The largest absolute value of each block of NF4 [rows, blocks of a row], before double quantization; NaN or
// infinite where a weight is.
std::vector<float> nf4_block_maxima(const HostTensor& tensor, int threads);

// A weight matrix as groups of integers, row by row, whatever the checkpoint holds it in. All backends read
// weights through this.
class WeightGroups {
 public:
  // NF4's largest values go into 8 bits over the whole tensor, so quantizing to it reads the tensor once
  // beforehand, on that many threads. The tensor and `nf4_absmax` (as LinearPart's) must outlive this.
  WeightGroups(const HostTensor& tensor, Quantization quantization, std::span<const float> nf4_absmax,
               int threads);

  int64_t groups() const { return groups_; }  // of a row
  // q [groups, group_size] with zeros beyond the row's end, scale [groups]. False when a weight is not
  // finite.
  bool read_row(int8_t* q, float* scale, int64_t row) const;
  // Tells the owner of the tensor that these rows will not be read again.
  void release_rows(int64_t begin, int64_t end) const;

 private:
  void read_packed_row(int8_t* q, int64_t row) const;
  bool quantize_row(int8_t* q, float* scale, int64_t row) const;

  HostTensor tensor_;
  Quantization quantization_;
  bool packed_;
  int64_t groups_;
  std::vector<float> own_absmax_;
  std::span<const float> absmax_;  // [rows, groups] of NF4
};

// q [count] of x [count]; returns the scale. Values that are not finite make the scale NaN, so that the
// product is too. An int8 KV cache keeps keys and values the same way.
float quantize_activations(int8_t* q, const float* x, int count);

// The factors between a group of activations and its integers, from the largest absolute value's bits.
// Comparing bits orders NaN above everything.
struct ActivationScale {
  float scale;
  float inverse;
};
ActivationScale activation_scale(uint32_t largest_bits);

}  // namespace lorikeet
