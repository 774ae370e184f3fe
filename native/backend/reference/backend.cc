#include "backend/reference/backend.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace lorikeet {
namespace reference {

Floats to_floats(const HostTensor& tensor) {
  Floats values(static_cast<size_t>(tensor.rows * tensor.cols));
  copy_f32(values.data(), tensor);
  return values;
}

Result<Floats> to_floats(const HostTensor& tensor, Quantization quantization,
                         std::span<const float> nf4_absmax) {
  if (quantization == Quantization::none) return to_floats(tensor);
  const int group = group_size(quantization);
  const WeightGroups groups(tensor, quantization, nf4_absmax, 1);
  Floats values(static_cast<size_t>(tensor.rows * tensor.cols));
  std::vector<int8_t> q(static_cast<size_t>(groups.groups() * group));
  Floats scale(static_cast<size_t>(groups.groups()));
  for (int64_t n = 0; n < tensor.rows; ++n) {
    if (!groups.read_row(q.data(), scale.data(), n)) {
      return Error{"a weight is NaN or infinite, so it cannot be quantized"};
    }
    for (int64_t k = 0; k < tensor.cols; ++k) {
      values[n * tensor.cols + k] = scale[k / group] * static_cast<float>(q[k]);
    }
  }
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

void ReferenceBackend::add_scaled(float* y, const float* x, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(y[i] + static_cast<double>(factor) * x[i]);
}

void ReferenceBackend::gate_rows(float* y, const float* gate, int64_t rows, int64_t cols) {
  for (int64_t row = 0; row < rows; ++row) {
    const double factor = 1.0 / (1.0 + std::exp(-static_cast<double>(gate[row])));
    for (int64_t i = row * cols; i < (row + 1) * cols; ++i) y[i] = static_cast<float>(factor * y[i]);
  }
}

void ReferenceBackend::scale(float* y, int64_t count, float factor) {
  for (int64_t i = 0; i < count; ++i) y[i] *= factor;
}

void ReferenceBackend::soft_cap(float* y, int64_t count, float cap) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = static_cast<float>(cap * std::tanh(static_cast<double>(y[i]) / cap));
  }
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
