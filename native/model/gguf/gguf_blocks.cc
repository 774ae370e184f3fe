#include "model/gguf/gguf_blocks.h"

namespace lorikeet {

namespace {

class BlockSource final : public CodedSource {
 public:
  BlockSource(const GgufType& type, const GgufRows& rows)
      : CodedSource(rows.rows, rows.cols, type.format(rows.cols)),
        type_(type),
        file_(rows),
        row_bytes_(static_cast<int64_t>(rows.bytes.size()) / rows.rows) {}

  bool read_row(const CodedRow& to, int64_t row) const override {
    const int64_t stored = file_.paired_heads > 0 ? paired_row(row, rows(), file_.paired_heads) : row;
    const std::byte* block = file_.bytes.data() + stored * row_bytes_;
    const auto values = static_cast<int64_t>(type_.values);
    const int64_t groups = values / format().group;
    const auto behind = [](float* numbers, int64_t count) {
      return numbers == nullptr ? nullptr : numbers + count;
    };
    CodedRow at = to;
    for (int64_t k = 0; k < cols(); k += values, block += type_.bytes) {
      type_.blocks.unpack(block, at);
      at.codes += values;
      at.scale += groups;
      at.offset = behind(at.offset, groups);
      at.scale_factor = behind(at.scale_factor, 1);
      at.offset_factor = behind(at.offset_factor, 1);
    }
    return true;
  }

  void release_rows(int64_t begin, int64_t end) const override {
    if (file_.done_with == nullptr) return;
    const std::byte* const data = file_.bytes.data();
    if (file_.paired_heads == 0) return file_.done_with(data + begin * row_bytes_, data + end * row_bytes_);
    // Rows of a head lie among each other.
    if (released_.fetch_add(end - begin) + end - begin == rows())
      file_.done_with(data, data + file_.bytes.size());
  }

 private:
  const GgufType& type_;
  const GgufRows file_;
  const int64_t row_bytes_;
  mutable std::atomic<int64_t> released_{0};
};

}  // namespace

std::shared_ptr<const CodedSource> gguf_source(const GgufType& type, const GgufRows& rows) {
  return std::make_shared<BlockSource>(type, rows);
}

int64_t paired_row(int64_t row, int64_t rows, int64_t heads) {
  const int64_t head = rows / heads, half = head / 2, in_head = row % head;
  return row - in_head + in_head % half * 2 + in_head / half;
}

}  // namespace lorikeet
