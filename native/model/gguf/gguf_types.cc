#include "model/gguf/gguf_types.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "backend/shared/dtype.h"

namespace lorikeet {

namespace {

constexpr int kBlock = 32;
constexpr int kSuper = 256;  // values of a block whose scales have a scale

constexpr float kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr float kE2m1Twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

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

template <class Code>
void set_codes(const CodedRow& to, int count, Code code) {
  for (int i = 0; i < count; ++i) to.codes[i] = static_cast<uint8_t>(code(i));
}

void q4_0(const std::byte* block, const CodedRow& to) {
  to.scale[0] = half_at(block);
  set_codes(to, kBlock, [&](int i) { return nibble(block + 2, i); });
}

void q4_1(const std::byte* block, const CodedRow& to) {
  to.scale[0] = half_at(block);
  to.offset[0] = half_at(block + 2);
  set_codes(to, kBlock, [&](int i) { return nibble(block + 4, i); });
}

void q5_0(const std::byte* block, const CodedRow& to) {
  to.scale[0] = half_at(block);
  set_codes(to, kBlock, [&](int i) { return nibble(block + 6, i) | bit(block + 2, i) << 4; });
}

void q5_1(const std::byte* block, const CodedRow& to) {
  to.scale[0] = half_at(block);
  to.offset[0] = half_at(block + 2);
  set_codes(to, kBlock, [&](int i) { return nibble(block + 8, i) | bit(block + 4, i) << 4; });
}

void q8_0(const std::byte* block, const CodedRow& to) {
  to.scale[0] = half_at(block);
  set_codes(to, kBlock, [&](int i) { return byte_at(block, 2 + i) ^ 0x80; });
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

void q2_k(const std::byte* block, const CodedRow& to) {
  to.scale_factor[0] = half_at(block + 80);
  to.offset_factor[0] = -half_at(block + 82);
  for (int g = 0; g < kSuper / 16; ++g) {
    to.scale[g] = static_cast<float>(byte_at(block, g) & 15);
    to.offset[g] = static_cast<float>(byte_at(block, g) >> 4);
  }
  set_codes(to, kSuper, [&](int i) { return pair_of_bits(block + 16, i); });
}

void q3_k(const std::byte* block, const CodedRow& to) {
  const std::byte* const scales = block + 96;
  to.scale_factor[0] = half_at(block + 108);
  for (int g = 0; g < kSuper / 16; ++g) {
    const int low = byte_at(scales, g % 8) >> (g / 8 * 4) & 15;
    const int high = byte_at(scales, 8 + g % 4) >> (g / 4 * 2) & 3;
    to.scale[g] = static_cast<float>((low | high << 4) - 32);
  }
  set_codes(to, kSuper, [&](int i) { return pair_of_bits(block + 32, i) | super_bit(block, i) << 2; });
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

void set_scales_and_minima(const std::byte* block, const CodedRow& to) {
  to.scale_factor[0] = half_at(block);
  to.offset_factor[0] = -half_at(block + 2);
  for (int g = 0; g < kSuper / 32; ++g) {
    const auto [scale, min] = scale_and_min(block + 4, g);
    to.scale[g] = static_cast<float>(scale);
    to.offset[g] = static_cast<float>(min);
  }
}

void q4_k(const std::byte* block, const CodedRow& to) {
  set_scales_and_minima(block, to);
  set_codes(to, kSuper, [&](int i) { return super_nibble(block + 16, i); });
}

void q5_k(const std::byte* block, const CodedRow& to) {
  set_scales_and_minima(block, to);
  set_codes(to, kSuper, [&](int i) { return super_nibble(block + 48, i) | super_bit(block + 16, i) << 4; });
}

void q6_k(const std::byte* block, const CodedRow& to) {
  to.scale_factor[0] = half_at(block + 208);
  for (int g = 0; g < kSuper / 16; ++g) to.scale[g] = static_cast<float>(static_cast<int8_t>(block[192 + g]));
  set_codes(to, kSuper, [&](int i) {
    const int low = byte_at(block, i / 128 * 64 + i % 64) >> (i / 64 % 2 * 4) & 15;
    return low | pair_of_bits(block + 128, i) << 4;
  });
}

void iq4_nl(const std::byte* block, const CodedRow& to) {
  to.scale[0] = half_at(block);
  set_codes(to, kBlock, [&](int i) { return nibble(block + 2, i); });
}

void iq4_xs(const std::byte* block, const CodedRow& to) {
  to.scale_factor[0] = half_at(block);
  const int high = byte_at(block, 2) | byte_at(block, 3) << 8;
  for (int g = 0; g < kSuper / 32; ++g) {
    const int low = byte_at(block, 4 + g / 2) >> (g % 2 * 4) & 15;
    to.scale[g] = static_cast<float>((low | (high >> (2 * g) & 3) << 4) - 32);
  }
  set_codes(to, kSuper, [&](int i) { return nibble(block + 8 + i / 32 * 16, i % 32); });
}

// Half of 2^(e - 127), since the table holds twice what E2M1 does. Exact in bfloat16, where it is no normal
// number too.
float half_e8m0(int e) {
  return std::bit_cast<float>(e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23);
}

void mxfp4(const std::byte* block, const CodedRow& to) {
  to.scale[0] = half_e8m0(byte_at(block, 0));
  set_codes(to, kBlock, [&](int i) { return nibble(block + 1, i); });
}

constexpr CodeKind kTable = CodeKind::table;

constexpr GgufType kTypes[] = {
    {0, "F32", 1, 4, true},
    {1, "F16", 1, 2, true},
    {30, "BF16", 1, 2, true},
    {8, "Q8_0", 32, 34, true, {.bits = 8, .group = 32, .zero = 128, .unpack = q8_0}},
    {2, "Q4_0", 32, 18, true, {.bits = 4, .group = 32, .zero = 8, .unpack = q4_0}},
    {3, "Q4_1", 32, 20, true, {.bits = 4, .group = 32, .offsets = true, .unpack = q4_1}},
    {6, "Q5_0", 32, 22, true, {.bits = 5, .group = 32, .zero = 16, .unpack = q5_0}},
    {7, "Q5_1", 32, 24, true, {.bits = 5, .group = 32, .offsets = true, .unpack = q5_1}},
    {10,
     "Q2_K",
     256,
     84,
     true,
     {.bits = 2, .group = 16, .offsets = true, .factor_groups = 16, .unpack = q2_k}},
    {11, "Q3_K", 256, 110, true, {.bits = 3, .group = 16, .zero = 4, .factor_groups = 16, .unpack = q3_k}},
    {12,
     "Q4_K",
     256,
     144,
     true,
     {.bits = 4, .group = 32, .offsets = true, .factor_groups = 8, .unpack = q4_k}},
    {13,
     "Q5_K",
     256,
     176,
     true,
     {.bits = 5, .group = 32, .offsets = true, .factor_groups = 8, .unpack = q5_k}},
    {14, "Q6_K", 256, 210, true, {.bits = 6, .group = 16, .zero = 32, .factor_groups = 16, .unpack = q6_k}},
    {20, "IQ4_NL", 32, 18, true, {.bits = 4, .group = 32, .kind = kTable, .table = kIq4, .unpack = iq4_nl}},
    {23,
     "IQ4_XS",
     256,
     136,
     true,
     {.bits = 4, .group = 32, .factor_groups = 8, .kind = kTable, .table = kIq4, .unpack = iq4_xs}},
    {39,
     "MXFP4",
     32,
     17,
     true,
     {.bits = 4,
      .group = 32,
      .kind = kTable,
      .scale_type = DType::bf16,
      .table = kE2m1Twice,
      .unpack = mxfp4}},
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

CodedFormat GgufType::format(int64_t cols) const {
  CodedFormat format;
  format.kind = blocks.kind;
  format.bits = blocks.bits;
  if (blocks.table != nullptr) std::copy_n(blocks.table, format.table.size(), format.table.begin());
  format.group = blocks.group;
  format.groups = cols / blocks.group;
  format.zero = blocks.zero;
  format.offsets = blocks.offsets;
  format.scale_type = blocks.scale_type;
  format.factor_groups = blocks.factor_groups;
  return format;
}

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
