#include "model/mxfp4_checkpoint.h"

#include <array>
#include <bit>
#include <cmath>
#include <nlohmann/json.hpp>

namespace lorikeet {

namespace {

constexpr int64_t kBlock = 32;  // values to a scale
constexpr int64_t kBlockBytes = kBlock / 2;
constexpr int kMostScale = 252;  // six times a larger one is beyond bf16

// What each code of E2M1 stands for at each scale, as bf16 bits: exact, also where it is no normal number.
using Table = std::array<std::array<uint16_t, 16>, kMostScale + 1>;

Table make_table() {
  constexpr std::array<float, 8> kMagnitudes = {0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  Table table{};
  for (int scale = 0; scale <= kMostScale; ++scale) {
    for (size_t code = 0; code < 16; ++code) {
      const float magnitude = std::ldexp(kMagnitudes[code & 7], scale - 127);
      const float value = code < 8 ? magnitude : -magnitude;
      table[static_cast<size_t>(scale)][code] = static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
    }
  }
  return table;
}

Status check(const std::string& name, const RawTensor& tensor, const std::vector<int64_t>& shape) {
  if (tensor.dtype != "U8")
    return Error{"tensor " + name + " has dtype " + tensor.dtype + "; MXFP4 needs U8"};
  if (tensor.shape != shape) {
    return Error{"tensor " + name + " has shape " + shape_text(tensor.shape) + ", but config.json needs " +
                 shape_text(shape)};
  }
  return {};
}

}  // namespace

bool has_mxfp4(const Checkpoint& checkpoint, const std::string& name) {
  return checkpoint.has(name + "_blocks");
}

Result<std::vector<std::vector<uint16_t>>> take_mxfp4(Checkpoint& checkpoint, const std::string& name,
                                                      int64_t experts, int64_t out, int64_t in) {
  if (in % kBlock != 0)
    return Error{name + " has rows of " + std::to_string(in) + ", no multiple of MXFP4's 32"};
  Result<RawTensor> blocks = checkpoint.take_raw(name + "_blocks");
  if (!blocks) return blocks.error();
  Result<RawTensor> scales = checkpoint.take_raw(name + "_scales");
  if (!scales) return scales.error();
  const int64_t per_row = in / kBlock;
  if (Status s = check(name + "_blocks", *blocks, {experts, out, per_row, kBlockBytes}); !s) return s.error();
  if (Status s = check(name + "_scales", *scales, {experts, out, per_row}); !s) return s.error();

  static const Table table = make_table();
  std::vector<std::vector<uint16_t>> weights(static_cast<size_t>(experts));
  const auto* codes = reinterpret_cast<const uint8_t*>(blocks->bytes.data());
  const auto* scale = reinterpret_cast<const uint8_t*>(scales->bytes.data());
  for (std::vector<uint16_t>& weight : weights) {
    weight.resize(static_cast<size_t>(out * in));
    const uint8_t* const first = codes;
    for (uint16_t* value = weight.data(); value != weight.data() + weight.size(); ++scale) {
      if (*scale > kMostScale)
        return Error{"tensor " + name + "_scales holds " + std::to_string(*scale) + ", a scale out of range"};
      const std::array<uint16_t, 16>& values = table[*scale];
      for (int64_t i = 0; i < kBlockBytes; ++i, ++codes) {
        *value++ = values[*codes & 15];
        *value++ = values[*codes >> 4];
      }
    }
    // Bytes that were read once need not stay in memory.
    blocks->done_with(reinterpret_cast<const std::byte*>(first), reinterpret_cast<const std::byte*>(codes));
  }
  return weights;
}

}  // namespace lorikeet
