#include "model/adapter_tensors.h"

#include <cstring>

namespace lorikeet {

HostTensor AdapterTensors::bf16(const HostTensor& from) {
  if (from.dtype != DType::f32) return from;
  const auto& values = narrowed_.emplace_back(to_bf16(from));
  return {reinterpret_cast<const std::byte*>(values.data()), DType::bf16, from.rows, from.cols};
}

void AdapterTensors::narrow(AdapterPartDesc& part, AdapterType type) {
  if (type == AdapterType::stored) return;
  if (part.weight) part.weight = bf16(*part.weight);
  if (part.rank == 0 || (type == AdapterType::int8 && int8(part))) return;
  part.a = bf16(part.a);
  part.b = bf16(part.b);
}

bool AdapterTensors::int8(AdapterPartDesc& part) {
  auto factors = to_int8(part.a, part.b);
  if (!factors) return false;
  Int8Factors& kept = factors_.emplace_back(std::move(*factors));
  for (size_t r = 0; r < part.component_scale.size(); ++r) kept.scale[r] *= part.component_scale[r];
  part.a = {reinterpret_cast<const std::byte*>(kept.a.data()), DType::int8, part.a.rows, part.a.cols};
  part.b = {reinterpret_cast<const std::byte*>(kept.b.data()), DType::int8, part.b.rows, part.b.cols};
  part.component_scale = kept.scale;
  return true;
}

Result<HostTensor> AdapterTensors::tensor(const TensorRef& ref, const std::vector<int64_t>& shape,
                                          int64_t rows, int64_t cols) {
  const TensorInfo* info = file_.find(ref.name);
  if (info == nullptr) return Error{"the adapter's file has no tensor " + ref.name};
  if (info->dtype != ref.dtype || info->shape != ref.shape || info->begin != ref.begin ||
      info->end != ref.end) {
    return Error{"the manifest and the adapter's file describe tensor " + ref.name + " differently"};
  }
  if (info->shape != shape) {
    return Error{"tensor " + ref.name + " has shape " + shape_text(info->shape) + ", but the base needs " +
                 shape_text(shape)};
  }
  HostTensor host{file_.data(*info), DType::f32, rows, cols};
  if (info->dtype == "F64") {
    host.data = convert_f64(host.data, rows * cols);
  } else if (info->dtype == "F16") {
    host.dtype = DType::f16;
  } else if (info->dtype == "BF16") {
    host.dtype = DType::bf16;
  } else if (info->dtype != "F32") {
    return Error{"tensor " + ref.name + " has dtype " + info->dtype +
                 "; adapters hold F64, F32, F16 or BF16"};
  }
  return host;
}

const std::byte* AdapterTensors::convert_f64(const std::byte* data, int64_t count) {
  std::vector<float>& values = converted_.emplace_back(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i) {
    double value;
    std::memcpy(&value, data + i * sizeof(double), sizeof(double));
    values[i] = static_cast<float>(value);
  }
  return reinterpret_cast<const std::byte*>(values.data());
}

}  // namespace lorikeet
