#include "backend/cpu/coded_weight.h"

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>

#include "backend/shared/coded_integers.h"
#include "backend/shared/dtype.h"
#include "backend/shared/parallel.h"

namespace lorikeet::cpu {
namespace {

constexpr int64_t kRowsPerRange = 256;  // of a thread's turn: so much of the checkpoint lies in memory twice
constexpr int kWordBits = 4;            // of a plane's codes that lie in words of eight
constexpr int64_t kWordCodes = 8;
constexpr int64_t kWordBytes = 4;

int64_t whole_steps(int64_t k) {
  return (k + kCodedStep - 1) / kCodedStep * kCodedStep;
}

// Where in its word a code lies.
constexpr int64_t byte_of_word(int64_t k) {
  return k % kWordBytes;
}
constexpr int shift_of_word(int64_t k) {
  return k % kWordCodes < kWordBytes ? 0 : kWordBits;
}

// A power of two that divides a byte.
int low_bits_of(int bits) {
  return bits >= 8 ? 8 : bits >= 4 ? 4 : 2;
}

bool take(std::optional<Memory> from, Memory& to) {
  if (from) to = std::move(*from);
  return from.has_value();
}

}  // namespace

bool CodedWeight::Numbers::allocate(DType element, int64_t rows_of_block, int64_t outputs) {
  type = element;
  rows = rows_of_block;
  return take(Memory::allocate(static_cast<size_t>(rows * outputs) * dtype_bytes(type)), memory);
}

CodedNumbers CodedWeight::Numbers::at(int64_t block, int64_t width) const {
  if (empty()) return {nullptr, 0};
  return {memory.data() + block * rows * width * static_cast<int64_t>(dtype_bytes(type)),
          static_cast<int>(type)};
}

void CodedWeight::Numbers::write(int64_t block, int64_t width, int64_t column,
                                 std::span<const float> values) const {
  if (empty()) return;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t index = (block * rows + row) * width + column;
    const float value = values[static_cast<size_t>(row)];
    if (type == DType::int8) {
      memory.data()[index] = static_cast<std::byte>(static_cast<int8_t>(value));
    } else {
      store_f32(memory.data(), type, index, value);
    }
  }
}

float CodedWeight::Numbers::read(int64_t row, int64_t block, int64_t width, int64_t column) const {
  return load_f32(memory.data(), type, (block * rows + row) * width + column);
}

bool CodedWeight::Plane::allocate(int bits_of_code, int64_t k, int64_t outputs) {
  bits = bits_of_code;
  rows = ((bits == kWordBits ? whole_steps(k) : k) * bits + 7) / 8;
  return take(Memory::allocate(static_cast<size_t>(rows * outputs)), memory);
}

uint8_t* CodedWeight::Plane::at(int64_t block, int64_t width) const {
  return memory.empty() ? nullptr : reinterpret_cast<uint8_t*>(memory.data()) + block * rows * width;
}

// The bits of the codes from `shift` on.
void CodedWeight::Plane::write(uint8_t* block, int64_t width, int64_t column, std::span<const uint8_t> codes,
                               int shift) const {
  if (bits == kWordBits) return write_words(block, width, column, codes, shift);
  const int mask = (1 << bits) - 1;
  const size_t codes_of_byte = static_cast<size_t>(8 / bits);
  for (size_t k = 0; k < codes.size(); k += codes_of_byte) {
    int byte = 0;
    for (size_t i = 0; i < codes_of_byte && k + i < codes.size(); ++i) {
      byte |= ((codes[k + i] >> shift) & mask) << (static_cast<int>(i) * bits);
    }
    block[static_cast<int64_t>(k / codes_of_byte) * width + column] = static_cast<uint8_t>(byte);
  }
}

void CodedWeight::Plane::write_words(uint8_t* block, int64_t width, int64_t column,
                                     std::span<const uint8_t> codes, int shift) const {
  uint8_t* to = block + column * kWordBytes;
  for (size_t k = 0; k < codes.size(); k += kWordCodes, to += width * kWordBytes) {
    uint8_t word[kWordBytes] = {};
    for (size_t i = 0; i < kWordCodes && k + i < codes.size(); ++i) {
      const auto code = static_cast<uint8_t>((codes[k + i] >> shift) & 15);
      word[byte_of_word(static_cast<int64_t>(i))] |=
          static_cast<uint8_t>(code << shift_of_word(static_cast<int64_t>(i)));
    }
    std::memcpy(to, word, sizeof word);
  }
}

int CodedWeight::Plane::read(const uint8_t* block, int64_t width, int64_t column, int64_t k) const {
  if (bits == kWordBits) {
    const uint8_t* const word = block + (k / kWordCodes * width + column) * kWordBytes;
    return (word[byte_of_word(k)] >> shift_of_word(k)) & 15;
  }
  return (block[k * bits / 8 * width + column] >> (k * bits % 8)) & ((1 << bits) - 1);
}

Status CodedWeight::allocate(int64_t outputs) {
  const int low = low_bits_of(format_.bits), high = format_.bits - low;
  const bool factors = format_.factor_groups > 0;
  const DType type = factors ? DType::int8 : format_.scale_type;
  bool held = low_.allocate(low, k_, outputs) && scale_.allocate(type, format_.groups, outputs);
  if (high > 0) held = held && high_.allocate(high, k_, outputs);
  if (format_.zeros) {
    held = held && take(Memory::allocate(static_cast<size_t>(format_.groups * outputs)), zeros_);
  }
  if (format_.offsets) held = held && offset_.allocate(type, format_.groups, outputs);
  if (factors) held = held && scale_factor_.allocate(format_.scale_type, format_.factors(), outputs);
  if (factors && format_.offsets)
    held = held && offset_factor_.allocate(format_.scale_type, format_.factors(), outputs);
  if (!held) return Error{"out of memory for the model's weights", ErrorKind::out_of_memory};
  return {};
}

Result<CodedWeight> CodedWeight::pack(const CodedSource& source, int lanes, int threads,
                                      const std::vector<int32_t>* integer_order) {
  CodedWeight packed;
  packed.n_ = source.rows();
  packed.k_ = source.cols();
  packed.lanes_ = lanes;
  packed.format_ = source.format();
  if (integer_order != nullptr) {
    packed.in_integers_ = true;
    packed.order_ = *integer_order;
    packed.format_.group_of_input.clear();
  }
  const int64_t width = packed.width();
  const int64_t blocks = (packed.n_ + width - 1) / width;
  if (Status s = packed.allocate(blocks * width); !s) return s.error();
  std::atomic<bool> finite = true;
  const auto pack_blocks = [&](int64_t begin, int64_t end) {
    CodedRowBuffer row(source);
    for (int64_t block = begin; block < end && finite.load(); ++block) {
      if (!packed.pack_block(row, block)) finite.store(false);
    }
    source.release_rows(begin * width, std::min(packed.n_, end * width));
  };
  parallel_ranges(threads, blocks, pack_blocks, kRowsPerRange / width);
  if (!finite.load()) return Error{"a coded weight is NaN or infinite"};
  return packed;
}

// Outputs beyond n stay zero: code, scale and all. False when a number is not finite.
bool CodedWeight::pack_block(CodedRowBuffer& row, int64_t block) {
  std::vector<uint8_t> ordered(order_.size());
  for (int64_t column = 0; column < width() && block * width() + column < n_; ++column) {
    if (!row.read(block * width() + column)) return false;
    for (size_t i = 0; i < ordered.size(); ++i) ordered[i] = row.codes()[static_cast<size_t>(order_[i])];
    const std::span<const uint8_t> codes = ordered.empty() ? row.codes() : ordered;
    low_.write(low_.at(block, width()), width(), column, codes, 0);
    if (high_.bits > 0) high_.write(high_.at(block, width()), width(), column, codes, low_.bits);
    scale_.write(block, width(), column, row.scale());
    offset_.write(block, width(), column, row.offset());
    scale_factor_.write(block, width(), column, row.scale_factor());
    offset_factor_.write(block, width(), column, row.offset_factor());
    if (!format_.zeros) continue;
    for (int64_t g = 0; g < format_.groups; ++g) {
      zeros_.data()[(block * format_.groups + g) * width() + column] =
          static_cast<std::byte>(static_cast<uint8_t>(row.zero()[static_cast<size_t>(g)]));
    }
  }
  return true;
}

size_t CodedWeight::bytes() const {
  return low_.memory.bytes() + high_.memory.bytes() + zeros_.bytes() + scale_.memory.bytes() +
         offset_.memory.bytes() + scale_factor_.memory.bytes() + offset_factor_.memory.bytes() +
         (format_.group_of_input.size() + order_.size()) * sizeof(int32_t);
}

void CodedWeight::read_row(float* to, int64_t n) const {
  const int64_t block = n / width(), column = n % width();
  const uint8_t* const low = low_.at(block, width());
  const uint8_t* const high = high_.at(block, width());
  const auto number = [&](const Numbers& own, const Numbers& factor, int64_t group) {
    const float value = own.read(group, block, width(), column);
    return factor.empty() ? value
                          : value * factor.read(group / format_.factor_groups, block, width(), column);
  };
  int64_t known = -1;
  float scale = 0, zero = 0, offset = 0;  // of group `known`
  for (int64_t k = 0; k < k_; ++k) {
    const int64_t group =
        format_.group_of_input.empty() ? k / format_.group : format_.group_of_input[static_cast<size_t>(k)];
    if (group != known) {
      known = group;
      scale = number(scale_, scale_factor_, group);
      zero = zeros_.empty()
                 ? format_.zero
                 : static_cast<float>(zeros_.data()[(block * format_.groups + group) * width() + column]);
      offset = offset_.empty() ? 0.0f : number(offset_, offset_factor_, group);
    }
    int code = low_.read(low, width(), column, k);
    if (high != nullptr) code |= high_.read(high, width(), column, k) << low_.bits;
    float& value = to[order_.empty() ? k : order_[static_cast<size_t>(k)]];
    value = (code_value(format_, static_cast<uint8_t>(code)) - zero) * scale;
    if (!offset_.empty()) value += offset;
  }
}

void CodedWeight::decode(const Kernels& kernels, float* to, int64_t tile, int64_t begin, int64_t end) const {
  assert(order_.empty() || (begin == 0 && end == k_));
  const int count = blocks(tile);
  for (int i = 0; i < count; ++i) {
    const int64_t block = 2 * tile + i;
    kernels.decode_codes[static_cast<int>(format_.kind)](
        {.to = to + i * width(),
         .to_stride = count * width(),
         .low = low_.at(block, width()),
         .high = high_.at(block, width()),
         .low_bits = low_.bits,
         .high_bits = high_.bits,
         .table = format_.table.data(),
         .zero = format_.zero,
         .zeros = zeros_.empty()
                      ? nullptr
                      : reinterpret_cast<const uint8_t*>(zeros_.data()) + block * format_.groups * width(),
         .scale = scale_.at(block, width()),
         .offset = offset_.at(block, width()),
         .scale_factor = scale_factor_.at(block, width()),
         .offset_factor = offset_factor_.at(block, width()),
         .group = format_.group,
         .factor_groups = format_.factor_groups,
         .group_of_input = format_.group_of_input.empty() ? nullptr : format_.group_of_input.data(),
         .place = order_.empty() ? nullptr : order_.data(),
         .begin = begin,
         .end = end});
  }
}

CodedProduct CodedWeight::integer_product(int64_t tile, int block_of_tile) const {
  const int64_t block = 2 * tile + block_of_tile;
  CodedProduct product{};
  product.codes = low_.at(block, width());
  if (zeros_.empty())
    product.zero = static_cast<int32_t>(format_.zero);
  else
    product.zeros = reinterpret_cast<const uint8_t*>(zeros_.data()) + block * format_.groups * width();
  product.scale = scale_.at(block, width());
  product.offset = offset_.at(block, width());
  product.group = format_.groups == 1 ? whole_steps(k_) : format_.group;
  return product;
}

}  // namespace lorikeet::cpu
