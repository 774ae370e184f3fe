// NF4: 4-bit numbers at the quantiles of a normal distribution (Dettmers et al. 2023, "QLoRA", appendix E),
// in blocks of 64 with the block's largest absolute value; and double quantization, which keeps those largest
// values in 8 bits. Both as bitsandbytes defines and stores them.
//
// The product of a quantized map multiplies integers, so a code stands for kNf4Integers[code] / 112: of all
// multipliers up to 127, 112 comes closest to the sixteen values (0.0017 of the block's largest value in the
// mean square, 0.0038 at most; their own distance from each other is 0.08 and more). -1, 0 and 1 are exact.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace lorikeet {

constexpr int kNf4Block = 64;         // weights with one largest value
constexpr int kNf4NestedBlock = 256;  // largest values with one scale
constexpr float kNf4Multiplier = 112;

constexpr std::array<float, 16> kNf4Values = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};
constexpr int kNf4Zero = 7;  // the code of 0

// round(112 * value)
constexpr std::array<int8_t, 16> kNf4Integers = [] {
  std::array<int8_t, 16> integers{};
  for (size_t code = 0; code < integers.size(); ++code) {
    const float scaled = kNf4Values[code] * kNf4Multiplier;
    integers[code] = static_cast<int8_t>(scaled < 0 ? scaled - 0.5f : scaled + 0.5f);
  }
  return integers;
}();

// q [kNf4Block]: the integers of the codes nearest to a block's weights over their largest absolute value;
// halfway between two, the lower one's.
void nf4_integers(int8_t* q, const float* w, float largest);

// By integer + 128: the code of one of kNf4Integers.
constexpr std::array<uint8_t, 256> kNf4Codes = [] {
  std::array<uint8_t, 256> codes{};
  for (size_t code = 0; code < kNf4Integers.size(); ++code) {
    codes[static_cast<size_t>(kNf4Integers[code] + 128)] = static_cast<uint8_t>(code);
  }
  return codes;
}();
inline uint8_t nf4_code_of(int8_t integer) {
  return kNf4Codes[static_cast<size_t>(integer + 128)];
}

// The codes of a packed tensor: two a byte, the first in the high half.
inline uint8_t nf4_packed_code(const uint8_t* packed, int64_t index) {
  const uint8_t byte = packed[index / 2];
  return index % 2 == 0 ? byte >> 4 : byte & 15;
}

// The blocks' largest values in 8 bits: map[code] * absmax[block of 256] + offset.
struct NestedAbsmax {
  std::vector<uint8_t> codes;
  std::vector<float> absmax;
  float offset = 0;
};

// bitsandbytes' signed dynamic map (Dettmers 2016, "8-Bit Approximations for Parallelism in Deep Learning"):
// seven decades, the larger the finer. Ascending.
const std::array<float, 256>& dynamic_map();

NestedAbsmax nest_absmax(std::span<const float> absmax);
// `map` has 256 values and `nested.absmax` one for each `block` codes.
std::vector<float> unnest_absmax(const NestedAbsmax& nested, std::span<const float> map, int block);

}  // namespace lorikeet
