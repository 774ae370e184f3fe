// What the CUDA backend keeps on the device.
#pragma once

#include <cassert>
#include <optional>
#include <vector>

#include "backend/cuda/device.h"
#include "backend/cuda/kernels/arguments.h"
#include "backend/interface/ops.h"
#include "backend/shared/dtype.h"

namespace lorikeet::cuda {

static_assert(static_cast<int>(Element::int8) == static_cast<int>(DType::int8));
static_assert(static_cast<int>(Format::nf4) == static_cast<int>(Quantization::nf4));

inline Element element_of(DType type) {
  return static_cast<Element>(type);
}

struct CudaTensor final : Tensor {
  CudaTensor(int64_t rows, int64_t cols, DeviceMemory values)
      : Tensor(rows, cols, DType::f32), memory(std::move(values)) {}
  size_t bytes() const override { return memory.bytes(); }

  DeviceMemory memory;
};

// The view's first element on the device; null of no operand.
inline float* f32(const TensorView& view) {
  if (view.empty()) return nullptr;
  assert((view.first + view.rows) * view.cols <= view.tensor->rows() * view.tensor->cols());
  return static_cast<const CudaTensor*>(view.tensor)->memory.at<float>() + view.first * view.cols;
}
inline const float* f32(const Tensor* tensor) {
  return tensor == nullptr ? nullptr : static_cast<const CudaTensor*>(tensor)->memory.at<float>();
}

// A weight matrix of parts one below the other, quantized (kernels/packed.cuh) or as in the checkpoint.
struct DeviceMatrix {
  DeviceMemory memory;
  Matrix view;
};
// The matrix without its memory. Alike in all but numbers: as many bytes.
Result<Matrix> shape_of(std::span<const LinearPart> parts, Quantization quantization);
size_t matrix_bytes(const Matrix& shape);
// Fills those bytes at `to`, and says in `matrix` where it is.
Status fill_matrix(Device& device, DeviceAddress to, Matrix& matrix, std::span<const LinearPart> parts,
                   int threads);
Result<DeviceMatrix> matrix_of(Device& device, std::span<const LinearPart> parts, Quantization quantization,
                               int threads);
// [n] of all parts, 0 where one has none; empty where all have none.
std::vector<float> biases_of(std::span<const LinearPart> parts);

// Of LinearPart::coded.
Error coded_refusal();

struct CudaLinear final : Linear {
  struct Part {
    int64_t first = 0;
    int64_t n = 0;
  };
  DeviceMatrix weight;
  DeviceMemory bias;  // [n], 0 where a part has none; empty where all have none
  std::vector<Part> parts;

  int64_t inputs() const override { return weight.view.k; }
  int64_t outputs() const override { return weight.view.n; }
  size_t bytes() const override { return weight.memory.bytes() + bias.bytes(); }
};

struct CudaEmbedding final : Embedding {
  DeviceMatrix own;  // empty of a tied one
  Matrix table;

  size_t bytes() const override { return own.memory.bytes(); }
};

struct CudaNormGain final : NormGain {
  DeviceMemory memory;  // gain, then bias
  NormArguments arguments;

  size_t bytes() const override { return memory.bytes(); }
};

struct CudaRotation final : Rotation {
  DeviceMemory inv_freq;
  int32_t pairs = 0;
  float attention_factor = 1.0f;
  bool interleaved = false;
};

struct CudaKvCache final : KvCache {
  KvDesc desc;
  DeviceMemory memory;
  std::vector<CacheArguments> layers;

  size_t bytes() const override { return memory.bytes(); }
};

// Arrays that become one block of device memory.
class BlockBuilder {
 public:
  // Where the bytes will lie in the block; `count` zeros where `from` is null.
  size_t add(const void* from, size_t count);
  size_t add(std::span<const float> values) { return add(values.data(), values.size_bytes()); }
  // The tensor's elements as they are.
  size_t add(const HostTensor& tensor) {
    return add(tensor.data, static_cast<size_t>(tensor.rows * tensor.cols) * dtype_bytes(tensor.dtype));
  }
  Result<DeviceMemory> upload(Device& device, const std::string& what) const {
    return DeviceMemory::holding(device, bytes_, what);
  }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<float> floats_of(const HostTensor& tensor);

}  // namespace lorikeet::cuda
