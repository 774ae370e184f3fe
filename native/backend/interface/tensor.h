// Numbers in host memory and numbers on a device, and how an op names them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace lorikeet {

// Elements of tensors and of the KV cache. int8: integers, and what they stand for is a scale elsewhere times
// them; only an adapter's A and B (AdapterPartDesc) and the cache (backend/shared/kv_type.h) are.
enum class DType : uint8_t { f32, f16, bf16, int8 };

// A tensor in host memory in checkpoint layout, row-major. Only looked at during the call that takes it.
struct HostTensor {
  const std::byte* data = nullptr;
  DType dtype = DType::f32;
  int64_t rows = 0;  // 1 for a vector
  int64_t cols = 0;
  // Where set, whoever has read bytes for the last time says so, on any thread: their memory may go while the
  // rest of a large tensor is still being repacked. Reading them again is slow, not wrong.
  void (*done_with)(const std::byte* begin, const std::byte* end) = nullptr;
};

// Activations, or a few numbers that an op needs, on a device. Where and how the device keeps them is its own
// business: the host reaches them through Backend::upload and Backend::download alone, always as float32.
class Tensor {
 public:
  virtual ~Tensor() = default;
  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  DType dtype() const { return dtype_; }  // on the device
  virtual size_t bytes() const = 0;       // that it takes there

 protected:
  Tensor(int64_t rows, int64_t cols, DType dtype) : rows_(rows), cols_(cols), dtype_(dtype) {}

 private:
  int64_t rows_;
  int64_t cols_;
  DType dtype_;
};

// What an op sees of a tensor: `rows` rows from row `first`, the tensor being taken for rows of `cols`
// elements, whatever shape it was made with. (One tensor serves all layers, whose widths may differ.) Whether
// an op reads or writes it, its place among the op's arguments says.
struct TensorView {
  Tensor* tensor = nullptr;  // null: no operand
  int64_t first = 0;
  int64_t rows = 0;
  int64_t cols = 0;

  bool empty() const { return tensor == nullptr; }
  int64_t count() const { return rows * cols; }
  // Rows [begin, begin + count) of these.
  TensorView part(int64_t begin, int64_t count) const { return {tensor, first + begin, count, cols}; }
};

inline TensorView whole(Tensor& tensor) {
  return {&tensor, 0, tensor.rows(), tensor.cols()};
}

}  // namespace lorikeet
