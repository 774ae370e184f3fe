#include "model/part_rows.h"

#include <cstring>
#include <utility>

#include "backend/shared/dtype.h"

namespace lorikeet {

// Of a tensor of rows of `row_bytes`; the caller gives the result its shape.
HostTensor PartTensors::gather(const HostTensor& tensor, size_t row_bytes, const PartRows& rows) {
  HostTensor part = tensor;
  if (rows.contiguous()) {
    part.data = tensor.data + static_cast<size_t>(rows.first) * row_bytes;
    return part;
  }
  std::vector<std::byte>& copy = kept_.emplace_back(static_cast<size_t>(rows.count) * row_bytes);
  for (int64_t i = 0; i < rows.count; ++i) {
    std::memcpy(copy.data() + static_cast<size_t>(i) * row_bytes,
                tensor.data + static_cast<size_t>(rows.row(i)) * row_bytes, row_bytes);
  }
  part.data = copy.data();
  part.done_with = nullptr;
  return part;
}

HostTensor PartTensors::rows(const HostTensor& tensor, const PartRows& rows) {
  return rows_of_bytes(tensor, static_cast<size_t>(tensor.cols) * dtype_bytes(tensor.dtype), rows);
}

HostTensor PartTensors::rows_of_bytes(const HostTensor& tensor, size_t row_bytes, const PartRows& rows) {
  HostTensor part = gather(tensor, row_bytes, rows);
  part.rows = rows.count;
  return part;
}

HostTensor PartTensors::elements(const HostTensor& vector, const PartRows& rows) {
  HostTensor part = gather(vector, dtype_bytes(vector.dtype), rows);
  part.rows = 1;
  part.cols = rows.count;
  return part;
}

std::optional<HostTensor> PartTensors::elements(const std::optional<HostTensor>& vector,
                                                const PartRows& rows) {
  if (!vector) return std::nullopt;
  return elements(*vector, rows);
}

HostTensor PartTensors::transposed(const HostTensor& tensor) {
  const size_t bytes = dtype_bytes(tensor.dtype);
  std::vector<std::byte>& copy = kept_.emplace_back(static_cast<size_t>(tensor.rows * tensor.cols) * bytes);
  for (int64_t row = 0; row < tensor.rows; ++row) {
    for (int64_t col = 0; col < tensor.cols; ++col) {
      std::memcpy(copy.data() + static_cast<size_t>(col * tensor.rows + row) * bytes,
                  tensor.data + static_cast<size_t>(row * tensor.cols + col) * bytes, bytes);
    }
  }
  return {copy.data(), tensor.dtype, tensor.cols, tensor.rows, nullptr};
}

HostTensor PartTensors::bf16(std::vector<uint16_t> bits, int64_t rows, int64_t cols) {
  const std::vector<uint16_t>& kept = kept_bf16_.emplace_back(std::move(bits));
  return {reinterpret_cast<const std::byte*>(kept.data()), DType::bf16, rows, cols, nullptr};
}

}  // namespace lorikeet
