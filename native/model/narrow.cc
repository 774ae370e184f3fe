#include "model/narrow.h"

#include <cmath>

#include "backend/shared/dtype.h"
#include "backend/shared/quantization.h"

namespace lorikeet {
namespace {

// A matrix quantized row by row, and what that lost.
class QuantizedRows {
 public:
  explicit QuantizedRows(int64_t cols) : cols_(cols) {}

  // row [cols]
  void add(const float* row) {
    const size_t begin = q_.size();
    q_.resize(begin + static_cast<size_t>(cols_));
    const float scale = quantize_activations(&q_[begin], row, static_cast<int>(cols_));
    scale_.push_back(scale);
    float size = 0, error = 0;
    for (int64_t i = 0; i < cols_; ++i) {
      size += std::abs(row[i]);
      error += std::abs(row[i] - scale * static_cast<float>(q_[begin + static_cast<size_t>(i)]));
    }
    size_.push_back(static_cast<double>(size));
    error_.push_back(static_cast<double>(error));
  }

  // Each row counts as much as its outer product with `other`'s. False for a value that is not finite, too:
  // it makes the sums NaN or infinite.
  bool close(const QuantizedRows& other) const {
    double size = 0, error = 0;
    for (size_t r = 0; r < size_.size(); ++r) {
      size += size_[r] * other.size_[r];
      error += error_[r] * other.size_[r];
    }
    return error <= kLargestLoss * size && std::isfinite(size);
  }
  std::vector<int8_t>& q() { return q_; }
  const std::vector<float>& scale() const { return scale_; }

 private:
  int64_t cols_;
  std::vector<int8_t> q_;      // [rows, cols]
  std::vector<float> scale_;   // [rows]
  std::vector<double> size_;   // [rows] sum of absolute values
  std::vector<double> error_;  // [rows] and of what the integers miss of them
};

// to [cols, rows] = from [rows, cols]
template <class T>
std::vector<T> transposed(const std::vector<T>& from, int64_t rows, int64_t cols) {
  std::vector<T> to(from.size());
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t col = 0; col < cols; ++col)
      to[static_cast<size_t>(col * rows + row)] = from[static_cast<size_t>(row * cols + col)];
  }
  return to;
}

std::vector<float> to_f32(const HostTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.rows * tensor.cols));
  for (int64_t row = 0; row < tensor.rows; ++row)
    load_padded_row(&values[static_cast<size_t>(row * tensor.cols)], tensor, row, 1);
  return values;
}

}  // namespace

std::vector<uint16_t> to_bf16(const HostTensor& tensor) {
  std::vector<uint16_t> values(static_cast<size_t>(tensor.rows * tensor.cols));
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = f32_to_bf16(load_f32(tensor.data, tensor.dtype, static_cast<int64_t>(i)));
  }
  return values;
}

std::optional<Int8Factors> to_int8(const HostTensor& a, const HostTensor& b) {
  QuantizedRows rows(a.cols), columns(b.rows);
  std::vector<float> row(static_cast<size_t>(a.cols));
  for (int64_t r = 0; r < a.rows; ++r) {
    load_padded_row(row.data(), a, r, 1);
    rows.add(row.data());
  }
  const std::vector<float> b_columns = transposed(to_f32(b), b.rows, b.cols);
  for (int64_t r = 0; r < b.cols; ++r) columns.add(&b_columns[static_cast<size_t>(r * b.rows)]);
  if (!rows.close(columns) || !columns.close(rows)) return std::nullopt;
  Int8Factors factors{std::move(rows.q()), transposed(columns.q(), b.cols, b.rows), rows.scale()};
  for (size_t r = 0; r < factors.scale.size(); ++r) factors.scale[r] *= columns.scale()[r];
  return factors;
}

}  // namespace lorikeet
