// The tensors of an adapter's file.
#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "model/adapter.h"
#include "model/narrow.h"
#include "model/safetensors.h"

namespace lorikeet {

// As the backend takes them; owns what had to be converted.
class AdapterTensors {
 public:
  explicit AdapterTensors(SafetensorsFile file) : file_(std::move(file)) {}

  Result<HostTensor> matrix(const TensorRef& ref, int64_t rows, int64_t cols) {
    return tensor(ref, {rows, cols}, rows, cols);
  }
  Result<HostTensor> vector(const TensorRef& ref, int64_t size) { return tensor(ref, {size}, 1, size); }

  HostTensor bf16(const HostTensor& from);
  // The part's matrices as `type` keeps them.
  void narrow(AdapterPartDesc& part, AdapterType type);

 private:
  // False: A and B are to be kept otherwise.
  bool int8(AdapterPartDesc& part);
  Result<HostTensor> tensor(const TensorRef& ref, const std::vector<int64_t>& shape, int64_t rows,
                            int64_t cols);
  const std::byte* convert_f64(const std::byte* data, int64_t count);

  SafetensorsFile file_;
  // Elements of a deque stay where they are.
  std::deque<std::vector<float>> converted_;
  std::deque<std::vector<uint16_t>> narrowed_;
  std::deque<Int8Factors> factors_;
};

}  // namespace lorikeet
