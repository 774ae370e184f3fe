#include "model/gguf/gguf_types.h"

#include <array>
#include <bit>
#include <cstring>

#include "backend/shared/dtype.h"

namespace lorikeet {

namespace {

constexpr int kBlock = 32;
constexpr int kSuper = 256;  // values of a block whose scales have scales

constexpr std::array<int8_t, 16> kIq4 = {-127, -104, -83, -65, -49, -35, -22, -10,
                                         1,    13,   25,  38,  53,  69,  89,  113};
constexpr std::array<int8_t, 16> kE2m1Twice = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

int byte_at(const std::byte* at, int index) {
  return static_cast<int>(at[index]);
}

float half_at(const std::byte* at) {
  uint16_t bits;
  std::memcpy(&bits, at, sizeof bits);
  return f16_to_f32(bits);
}

// Of a block of 32 in nibbles: the low ones are values 0 to 15, the high ones 16 to 31.
int nibble(const std::byte* codes, int i) {
  return byte_at(codes, i % 16) >> (i / 16 * 4) & 15;
}

int bit(const std::byte* bits, int i) {
  return byte_at(bits, i / 8) >> (i % 8) & 1;
}

void q4_0(const std::byte* block, float* to) {
  const float d = half_at(block);
  for (int i = 0; i < kBlock; ++i) to[i] = d * static_cast<float>(nibble(block + 2, i) - 8);
}

void q4_1(const std::byte* block, float* to) {
  const float d = half_at(block), m = half_at(block + 2);
  for (int i = 0; i < kBlock; ++i) to[i] = d * static_cast<float>(nibble(block + 4, i)) + m;
}

void q5_0(const std::byte* block, float* to) {
  const float d = half_at(block);
  for (int i = 0; i < kBlock; ++i)
    to[i] = d * static_cast<float>((nibble(block + 6, i) | bit(block + 2, i) << 4) - 16);
}

void q5_1(const std::byte* block, float* to) {
  const float d = half_at(block), m = half_at(block + 2);
  for (int i = 0; i < kBlock; ++i)
    to[i] = d * static_cast<float>(nibble(block + 8, i) | bit(block + 4, i) << 4) + m;
}

void q8_0(const std::byte* block, float* to) {
  const float d = half_at(block);
  for (int i = 0; i < kBlock; ++i) to[i] = static_cast<float>(static_cast<int8_t>(block[2 + i])) * d;
}

// Code i of a super-block in twos: of each 32 bytes the lowest two bits of all, then the next two of all.
int pair_of_bits(const std::byte* codes, int i) {
  return byte_at(codes, i / 128 * 32 + i % 32) >> (i / 32 % 4 * 2) & 3;
}

// Code i of a super-block in fours: of each 32 bytes the low nibbles, then the high ones.
int super_nibble(const std::byte* codes, int i) {
  return byte_at(codes, i / 64 * 32 + i % 32) >> (i / 32 % 2 * 4) & 15;
}

// Bit i of a super-block: of 32 bytes the lowest bits of all, then the next ones of all.
int super_bit(const std::byte* bits, int i) {
  return byte_at(bits, i % 32) >> (i / 32) & 1;
}

void q2_k(const std::byte* block, float* to) {
  const std::byte* const scales = block;
  const float d = half_at(block + 80), dmin = half_at(block + 82);
  for (int i = 0; i < kSuper; ++i) {
    const int scale = byte_at(scales, i / 16);
    const float dl = d * static_cast<float>(scale & 15), ml = dmin * static_cast<float>(scale >> 4);
    to[i] = dl * static_cast<float>(pair_of_bits(block + 16, i)) - ml;
  }
}

void q3_k(const std::byte* block, float* to) {
  const std::byte* const scales = block + 96;
  const float d = half_at(block + 108);
  for (int i = 0; i < kSuper; ++i) {
    const int g = i / 16;
    const int low = byte_at(scales, g % 8) >> (g / 8 * 4) & 15;
    const int high = byte_at(scales, 8 + g % 4) >> (g / 4 * 2) & 3;
    const float dl = d * static_cast<float>((low | high << 4) - 32);
    const int q = pair_of_bits(block + 32, i) - (super_bit(block, i) != 0 ? 0 : 4);
    to[i] = dl * static_cast<float>(q);
  }
}

struct ScaleAndMin {
  int scale, min;
};

// The eight pairs of 6 bits each in the 12 bytes of Q4_K and Q5_K.
ScaleAndMin scale_and_min(const std::byte* packed, int g) {
  if (g < 4) return {byte_at(packed, g) & 63, byte_at(packed, g + 4) & 63};
  const int low = byte_at(packed, g + 4);
  return {(low & 15) | (byte_at(packed, g - 4) >> 2 & 48), low >> 4 | (byte_at(packed, g) >> 2 & 48)};
}

template <class Code>
void with_minima(const std::byte* block, float* to, Code code) {
  const float d = half_at(block), dmin = half_at(block + 2);
  for (int g = 0; g < kSuper / 32; ++g) {
    const auto [scale, min] = scale_and_min(block + 4, g);
    const float dl = d * static_cast<float>(scale), ml = dmin * static_cast<float>(min);
    for (int i = g * 32; i < g * 32 + 32; ++i) to[i] = dl * static_cast<float>(code(i)) - ml;
  }
}

void q4_k(const std::byte* block, float* to) {
  with_minima(block, to, [&](int i) { return super_nibble(block + 16, i); });
}

void q5_k(const std::byte* block, float* to) {
  with_minima(block, to, [&](int i) { return super_nibble(block + 48, i) | super_bit(block + 16, i) << 4; });
}

void q6_k(const std::byte* block, float* to) {
  const float d = half_at(block + 208);
  for (int i = 0; i < kSuper; ++i) {
    const int low = byte_at(block, i / 128 * 64 + i % 64) >> (i / 64 % 2 * 4) & 15;
    const int q = (low | pair_of_bits(block + 128, i) << 4) - 32;
    const float scale = static_cast<float>(static_cast<int8_t>(block[192 + i / 16]));
    to[i] = d * scale * static_cast<float>(q);
  }
}

void iq4_nl(const std::byte* block, float* to) {
  const float d = half_at(block);
  for (int i = 0; i < kBlock; ++i)
    to[i] = d * static_cast<float>(kIq4[static_cast<size_t>(nibble(block + 2, i))]);
}

void iq4_xs(const std::byte* block, float* to) {
  const float d = half_at(block);
  const int high = byte_at(block, 2) | byte_at(block, 3) << 8;
  for (int g = 0; g < kSuper / 32; ++g) {
    const int low = byte_at(block, 4 + g / 2) >> (g % 2 * 4) & 15;
    const float dl = d * static_cast<float>((low | (high >> (2 * g) & 3) << 4) - 32);
    for (int i = 0; i < 32; ++i)
      to[g * 32 + i] = dl * static_cast<float>(kIq4[static_cast<size_t>(nibble(block + 8 + g * 16, i))]);
  }
}

// Half of 2^(e - 127), since the table holds twice what E2M1 does.
float half_e8m0(int e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

void mxfp4(const std::byte* block, float* to) {
  const float d = half_e8m0(byte_at(block, 0));
  for (int i = 0; i < kBlock; ++i)
    to[i] = d * static_cast<float>(kE2m1Twice[static_cast<size_t>(nibble(block + 1, i))]);
}

constexpr GgufType kTypes[] = {
    {0, "F32", 1, 4, true},
    {1, "F16", 1, 2, true},
    {30, "BF16", 1, 2, true},
    {8, "Q8_0", 32, 34, true, q8_0},
    {2, "Q4_0", 32, 18, true, q4_0},
    {3, "Q4_1", 32, 20, true, q4_1},
    {6, "Q5_0", 32, 22, true, q5_0},
    {7, "Q5_1", 32, 24, true, q5_1},
    {10, "Q2_K", 256, 84, true, q2_k},
    {11, "Q3_K", 256, 110, true, q3_k},
    {12, "Q4_K", 256, 144, true, q4_k},
    {13, "Q5_K", 256, 176, true, q5_k},
    {14, "Q6_K", 256, 210, true, q6_k},
    {20, "IQ4_NL", 32, 18, true, iq4_nl},
    {23, "IQ4_XS", 256, 136, true, iq4_xs},
    {39, "MXFP4", 32, 17, true, mxfp4},
    // Known by name alone, for the refusal.
    {9, "Q8_1"},
    {15, "Q8_K"},
    {16, "IQ2_XXS"},
    {17, "IQ2_XS"},
    {18, "IQ3_XXS"},
    {19, "IQ1_S"},
    {21, "IQ3_S"},
    {22, "IQ2_S"},
    {24, "I8"},
    {25, "I16"},
    {26, "I32"},
    {27, "I64"},
    {28, "F64"},
    {29, "IQ1_M"},
    {31, "Q4_0_4_4"},
    {32, "Q4_0_4_8"},
    {33, "Q4_0_8_8"},
    {34, "TQ1_0"},
    {35, "TQ2_0"},
    {36, "IQ4_NL_4_4"},
    {40, "NVFP4"},
    {41, "Q1_0"},
};

}  // namespace

const GgufType* find_gguf_type(uint32_t id) {
  for (const GgufType& type : kTypes) {
    if (type.id == id) return &type;
  }
  return nullptr;
}

const GgufType* find_gguf_type(std::string_view name) {
  for (const GgufType& type : kTypes) {
    if (type.name == name) return &type;
  }
  return nullptr;
}

std::string read_gguf_types() {
  std::string names;
  for (const GgufType& type : kTypes) {
    if (type.is_read) names += (names.empty() ? "" : ", ") + std::string(type.name);
  }
  return names;
}

}  // namespace lorikeet
