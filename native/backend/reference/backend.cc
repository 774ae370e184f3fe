#include "backend/reference/backend.h"

#include <cstring>

namespace lorikeet {
namespace reference {

Floats to_floats(const HostTensor& tensor) {
  Floats values(static_cast<size_t>(tensor.rows * tensor.cols));
  copy_f32(values.data(), tensor);
  return values;
}

std::optional<Floats> to_floats(const std::optional<HostTensor>& tensor) {
  if (!tensor) return std::nullopt;
  return to_floats(*tensor);
}

Result<std::unique_ptr<Buffer>> ReferenceBackend::buffer_create(int64_t rows, int64_t cols) {
  auto buffer = std::make_unique<RefBuffer>();
  buffer->values.resize(static_cast<size_t>(rows * cols));
  return std::unique_ptr<Buffer>(std::move(buffer));
}

void ReferenceBackend::gather_rows(float* to, const float* from, std::span<const int32_t> index,
                                   int64_t cols) {
  for (size_t i = 0; i < index.size(); ++i) {
    std::memcpy(to + static_cast<int64_t>(i) * cols, from + index[i] * cols, cols * sizeof(float));
  }
}

}  // namespace reference

Result<std::unique_ptr<Backend>> make_reference_backend(const BackendOptions&) {
  return std::unique_ptr<Backend>(std::make_unique<reference::ReferenceBackend>());
}

}  // namespace lorikeet
