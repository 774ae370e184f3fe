#include "backend/reference/backend.h"

#include <algorithm>
#include <cmath>

#include "backend/interface/open_backend.h"
#include "backend/shared/coded_values.h"
#include "backend/shared/guarded.h"

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

Result<Floats> to_floats(const CodedSource& source) {
  Floats values(static_cast<size_t>(source.rows() * source.cols()));
  CodedRowBuffer row(source);
  for (int64_t n = 0; n < source.rows(); ++n) {
    if (!row.read(n)) return Error{"a coded weight is NaN or infinite"};
    row.decode(&values[static_cast<size_t>(n * source.cols())]);
  }
  return values;
}

Status ReferenceBackend::reserve(const StepLimits& limits, const NetworkShape& shape) {
  return guarded([&]() -> Status {
    step_.reserve(limits);
    row_.resize(static_cast<size_t>(shape.widest_input));
    if (shape.quantized) ordered_row_.resize(row_.size());
    gate_up_.resize(static_cast<size_t>(shape.widest_output));
    weights_.resize(static_cast<size_t>(limits.context));
    vector_.resize(static_cast<size_t>(shape.head_dim));
    sum_.resize(static_cast<size_t>(shape.head_dim));
    values_.resize(static_cast<size_t>(shape.kv_heads) * static_cast<size_t>(shape.head_dim));
    delta_.resize(static_cast<size_t>(2 * shape.recurrent.key_dim + 3 * shape.recurrent.value_dim));
    sampling_.emplace(shape.vocab);
    if (Status s = experts_.reserve(*this, limits.rows, shape); !s) return s;
    const size_t doubles =
        row_.size() + ordered_row_.size() + weights_.size() + vector_.size() + sum_.size() + delta_.size();
    scratch_bytes_.store(step_.bytes() + doubles * sizeof(double) + bytes_of(gate_up_) + bytes_of(values_) +
                         sampling_->bytes() + experts_.bytes());
    return {};
  });
}

Result<std::unique_ptr<Tensor>> ReferenceBackend::tensor_create(int64_t rows, int64_t cols) {
  return guarded([&]() -> Result<std::unique_ptr<Tensor>> {
    return std::unique_ptr<Tensor>(
        std::make_unique<RefTensor>(rows, cols, Floats(static_cast<size_t>(rows * cols))));
  });
}

Result<std::unique_ptr<Rotation>> ReferenceBackend::rotation_create(const RotationDesc& desc) {
  auto rotation = std::make_unique<RefRotation>();
  rotation->desc = desc;
  return std::unique_ptr<Rotation>(std::move(rotation));
}

void ReferenceBackend::step_begin(const StepInput& input) {
  step_.begin(input);
  if (const PageCopies& copies = step_.input().copies; copies.kv != nullptr) {
    static_cast<RefKvCache*>(copies.kv)->copy(copies.from, copies.to);
  }
}

void ReferenceBackend::add_scaled(TensorView y, TensorView x, float factor) {
  if (!step_.runs()) return;
  float* const to = f32(y);
  const float* const from = f32(x);
  for (int64_t i = 0; i < y.count(); ++i) {
    to[i] = static_cast<float>(to[i] + static_cast<double>(factor) * from[i]);
  }
}

void ReferenceBackend::gate_rows(TensorView y, TensorView gate) {
  if (!step_.runs()) return;
  for (int64_t row = 0; row < y.rows; ++row) {
    const double factor = 1.0 / (1.0 + std::exp(-static_cast<double>(f32(gate)[row])));
    float* const own = f32(y) + row * y.cols;
    for (int64_t i = 0; i < y.cols; ++i) own[i] = static_cast<float>(factor * own[i]);
  }
}

void ReferenceBackend::multiply(TensorView y, TensorView x, int64_t column) {
  if (!step_.runs()) return;
  for (int64_t row = 0; row < y.rows; ++row) {
    float* const to = f32(y) + row * y.cols;
    const float* const from = f32(x) + row * x.cols + column;
    for (int64_t i = 0; i < y.cols; ++i) to[i] *= from[i];
  }
}

void ReferenceBackend::scale(TensorView y, float factor) {
  if (!step_.runs()) return;
  float* const values = f32(y);
  for (int64_t i = 0; i < y.count(); ++i) values[i] *= factor;
}

void ReferenceBackend::soft_cap(TensorView y, float cap) {
  if (!step_.runs()) return;
  float* const values = f32(y);
  for (int64_t i = 0; i < y.count(); ++i) {
    values[i] = static_cast<float>(cap * std::tanh(static_cast<double>(values[i]) / cap));
  }
}

void ReferenceBackend::gather_sampled(TensorView to, TensorView from) {
  if (!step_.runs()) return;
  float* row = f32(to);
  for (const int32_t index : step_.input().sample_row) {
    std::copy_n(f32(from) + index * from.cols, from.cols, row);
    row += to.cols;
  }
}

}  // namespace reference

Result<std::unique_ptr<Backend>> make_reference_backend(const BackendOptions&) {
  return std::unique_ptr<Backend>(std::make_unique<reference::ReferenceBackend>());
}

}  // namespace lorikeet
