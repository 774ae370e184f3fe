#include "model/coded_tensor.h"

#include <algorithm>
#include <cstring>

namespace lorikeet {

namespace {

constexpr int kWordBits = 32;
constexpr int kCodesOfAwqWord = 8;

uint32_t word_at(const std::byte* data, int64_t index) {
  uint32_t word;
  std::memcpy(&word, data + index * static_cast<int64_t>(sizeof word), sizeof word);
  return word;
}

class TensorSource final : public CodedSource {
 public:
  TensorSource(int64_t out, int64_t in, CodedFormat format, CodedTensor tensor)
      : CodedSource(out, in, std::move(format)), tensor_(std::move(tensor)) {}

  bool read_row(const CodedRow& to, int64_t row) const override {
    read_codes(to.codes, row);
    const int64_t groups = format().groups;
    std::copy_n(tensor_.scale.begin() + row * groups, groups, to.scale);
    if (to.zero != nullptr) std::copy_n(tensor_.zero.begin() + row * groups, groups, to.zero);
    if (to.offset != nullptr) std::copy_n(tensor_.offset.begin() + row * groups, groups, to.offset);
    return true;
  }

  void release_rows(int64_t begin, int64_t end) const override {
    const auto& [bytes, dtype, shape, done_with] = tensor_.codes;
    if (done_with == nullptr) return;
    const bool by_rows = tensor_.layout == CodeLayout::bytes || tensor_.layout == CodeLayout::rows;
    if (by_rows) return done_with(bytes.data() + begin * row_bytes(), bytes.data() + end * row_bytes());
    // Every row is spread over all of the tensor.
    if (released_.fetch_add(end - begin) + end - begin == rows())
      done_with(bytes.data(), bytes.data() + bytes.size());
  }

 private:
  int64_t row_bytes() const { return static_cast<int64_t>(tensor_.codes.bytes.size()) / rows(); }

  void read_codes(uint8_t* to, int64_t row) const {
    const std::byte* const data = tensor_.codes.bytes.data();
    switch (tensor_.layout) {
      case CodeLayout::bytes:
        std::memcpy(to, data + row * cols(), static_cast<size_t>(cols()));
        for (int64_t k = 0; tensor_.flip != 0 && k < cols(); ++k) to[k] ^= tensor_.flip;
        break;
      case CodeLayout::rows:
        for (int64_t k = 0; k < cols(); ++k)
          to[k] = static_cast<uint8_t>(code_in_stream(data + row * row_bytes(), k, format().bits));
        break;
      case CodeLayout::columns:
        read_column(to, data, row);
        break;
      case CodeLayout::awq:
        for (int64_t k = 0; k < cols(); ++k) {
          const uint32_t word = word_at(data, (k * rows() + row) / kCodesOfAwqWord);
          to[k] = static_cast<uint8_t>((word >> (4 * awq_place(row))) & 15u);
        }
        break;
    }
  }

  void read_column(uint8_t* to, const std::byte* data, int64_t row) const {
    const int bits = format().bits;
    uint64_t held = 0;  // bits that are still to be given out
    int count = 0;
    int64_t next = row;
    for (int64_t k = 0; k < cols(); ++k) {
      if (count < bits) {
        held |= static_cast<uint64_t>(word_at(data, next)) << count;
        count += kWordBits;
        next += rows();
      }
      to[k] = static_cast<uint8_t>(held & ((uint64_t{1} << bits) - 1));
      held >>= bits;
      count -= bits;
    }
  }

  const CodedTensor tensor_;
  mutable std::atomic<int64_t> released_{0};
};

class RowsSource final : public CodedSource {
 public:
  RowsSource(std::shared_ptr<const CodedSource> whole, const PartRows& part)
      : CodedSource(part.count, whole->cols(), whole->format()), whole_(std::move(whole)), part_(part) {}

  bool read_row(const CodedRow& to, int64_t row) const override {
    return whole_->read_row(to, part_.row(row));
  }
  void release_rows(int64_t begin, int64_t end) const override {
    if (part_.contiguous()) return whole_->release_rows(part_.first + begin, part_.first + end);
    for (int64_t row = begin; row < end; ++row) whole_->release_rows(part_.row(row), part_.row(row) + 1);
  }

 private:
  std::shared_ptr<const CodedSource> whole_;
  PartRows part_;
};

}  // namespace

std::shared_ptr<const CodedSource> coded_source(int64_t out, int64_t in, CodedFormat format,
                                                CodedTensor tensor) {
  return std::make_shared<TensorSource>(out, in, std::move(format), std::move(tensor));
}

std::shared_ptr<const CodedSource> coded_rows(std::shared_ptr<const CodedSource> whole,
                                              const PartRows& rows) {
  if (rows.contiguous() && rows.count == whole->rows()) return whole;
  return std::make_shared<RowsSource>(std::move(whole), rows);
}

int code_in_stream(const std::byte* stream, int64_t index, int bits) {
  const int64_t bit = index * bits;
  const int shift = static_cast<int>(bit % 8);
  uint32_t held = static_cast<uint32_t>(stream[bit / 8]);
  if (shift + bits > 8) held |= static_cast<uint32_t>(stream[bit / 8 + 1]) << 8;
  return static_cast<int>((held >> shift) & ((1u << bits) - 1));
}

int awq_place(int64_t n) {
  const int place = static_cast<int>(n % kCodesOfAwqWord);
  return place % 2 == 0 ? place / 2 : 4 + place / 2;
}

}  // namespace lorikeet
