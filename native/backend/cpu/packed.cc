#include "backend/cpu/packed.h"

#include <algorithm>
#include <cstring>

#include "backend/shared/dtype.h"
#include "backend/shared/parallel.h"

namespace lorikeet::cpu {
namespace {

constexpr int64_t kTilesPerRange = 4;  // of a thread's turn: so much of the checkpoint lies in memory twice

// Where value j of a group of 2 W lies.
int64_t slot_of(int64_t j, int64_t lanes, DType dtype) {
  if (dtype != DType::bf16) return j;
  return j < lanes ? 2 * j : 2 * (j - lanes) + 1;
}

// Bits only: U has the element's size. Source elements may be unaligned.
template <class U>
void pack_tile(std::byte* to, const HostTensor& from, int64_t first_output, int64_t groups, int64_t lanes) {
  constexpr int64_t kBlock = 32;  // of k: keeps the block that is written in the first-level cache
  U* const out = reinterpret_cast<U*>(to);
  const int64_t width = groups * 2 * lanes;
  const int64_t outputs = std::min(width, from.rows - first_output);
  for (int64_t begin = 0; begin < from.cols; begin += kBlock) {
    const int64_t count = std::min(kBlock, from.cols - begin);
    for (int64_t j = 0; j < outputs; ++j) {
      U block[kBlock];
      std::memcpy(block,
                  from.data + ((first_output + j) * from.cols + begin) * static_cast<int64_t>(sizeof(U)),
                  static_cast<size_t>(count) * sizeof(U));
      const int64_t group = j / (2 * lanes);
      U* const column = out + begin * width + group * 2 * lanes + slot_of(j % (2 * lanes), lanes, from.dtype);
      for (int64_t k = 0; k < count; ++k) column[k * width] = block[k];
    }
  }
}

// Outputs j and W + j of each group of bfloat16 beside each other.
void interleave_row(std::byte* to, const std::byte* from, int64_t cols, int64_t lanes) {
  constexpr int64_t kLargestGroup = 32;
  auto* const out = reinterpret_cast<uint16_t*>(to);
  for (int64_t begin = 0; begin < cols; begin += 2 * lanes) {
    uint16_t group[kLargestGroup] = {};
    std::memcpy(group, from + 2 * begin, static_cast<size_t>(std::min(2 * lanes, cols - begin)) * 2);
    for (int64_t j = 0; j < lanes; ++j) {
      out[begin + 2 * j] = group[j];
      out[begin + 2 * j + 1] = group[lanes + j];
    }
  }
}

}  // namespace

std::optional<PackedWeight> PackedWeight::pack(const HostTensor& tensor, int lanes, int threads) {
  PackedWeight packed;
  packed.dtype_ = tensor.dtype;
  packed.n_ = tensor.rows;
  packed.k_ = tensor.cols;
  packed.tile_outputs_ = 4 * lanes;
  const int64_t padded = (tensor.rows + 2 * lanes - 1) / (2 * lanes) * (2 * lanes);
  auto memory = Memory::allocate(static_cast<size_t>(padded * tensor.cols) * dtype_bytes(tensor.dtype));
  if (!memory) return std::nullopt;
  packed.memory_ = std::move(*memory);
  const auto pack_tiles = [&](int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; ++tile) {
      auto* const to = const_cast<std::byte*>(packed.tile(tile));
      const int64_t first = tile * packed.tile_outputs_;
      switch (dtype_bytes(tensor.dtype)) {
        case 1:
          pack_tile<uint8_t>(to, tensor, first, packed.groups(tile), lanes);
          break;
        case 2:
          pack_tile<uint16_t>(to, tensor, first, packed.groups(tile), lanes);
          break;
        default:
          pack_tile<uint32_t>(to, tensor, first, packed.groups(tile), lanes);
          break;
      }
    }
    if (tensor.done_with == nullptr) return;
    const auto row_bytes = tensor.cols * static_cast<int64_t>(dtype_bytes(tensor.dtype));
    tensor.done_with(tensor.data + begin * packed.tile_outputs_ * row_bytes,
                     tensor.data + std::min(tensor.rows, end * packed.tile_outputs_) * row_bytes);
  };
  parallel_ranges(threads, packed.tiles(), pack_tiles, kTilesPerRange);
  return packed;
}

const std::byte* PackedWeight::tile(int64_t tile) const {
  return memory_.data() + tile * tile_outputs_ * k_ * static_cast<int64_t>(dtype_bytes(dtype_));
}

void PackedWeight::read_row(float* to, int64_t n) const {
  const int64_t lanes = tile_outputs_ / 4;
  const int64_t tile_index = n / tile_outputs_;
  const int64_t width = groups(tile_index) * 2 * lanes;
  const int64_t inside = n % tile_outputs_;
  const int64_t group = inside / (2 * lanes);
  const int64_t column = group * 2 * lanes + slot_of(inside % (2 * lanes), lanes, dtype_);
  const std::byte* const from = tile(tile_index);
  for (int64_t k = 0; k < k_; ++k) to[k] = load_f32(from, dtype_, k * width + column);
}

std::optional<PackedRows> PackedRows::pack(const HostTensor& tensor, int lanes) {
  PackedRows packed;
  packed.dtype_ = tensor.dtype;
  packed.stride_ = (tensor.cols + 2 * lanes - 1) / (2 * lanes) * (2 * lanes);
  auto memory =
      Memory::allocate(static_cast<size_t>(tensor.rows * packed.stride_) * dtype_bytes(tensor.dtype));
  if (!memory) return std::nullopt;
  packed.memory_ = std::move(*memory);
  for (int64_t row = 0; row < tensor.rows; ++row) {
    auto* const to = const_cast<std::byte*>(packed.row(row));
    const auto row_bytes = tensor.cols * static_cast<int64_t>(dtype_bytes(tensor.dtype));
    const std::byte* const from = tensor.data + row * row_bytes;
    if (tensor.dtype == DType::bf16) {
      interleave_row(to, from, tensor.cols, lanes);
    } else {
      std::memcpy(to, from, static_cast<size_t>(row_bytes));
    }
  }
  return packed;
}

const std::byte* PackedRows::row(int64_t row) const {
  return memory_.data() + row * stride_ * static_cast<int64_t>(dtype_bytes(dtype_));
}

}  // namespace lorikeet::cpu
