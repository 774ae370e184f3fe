// A module's tensors cut into the parts of its fused map.
#pragma once

#include <deque>
#include <optional>
#include <vector>

#include "model/network.h"

namespace lorikeet {

// Owns what had to be rearranged; a part whose rows lie together is a view of the module's tensor.
class PartTensors {
 public:
  // tensor [out, K] -> [rows.count, K]
  HostTensor rows(const HostTensor& tensor, const PartRows& rows);
  // The same of a tensor whose rows take so many bytes, whatever its type says.
  HostTensor rows_of_bytes(const HostTensor& tensor, size_t row_bytes, const PartRows& rows);
  // vector [out] -> [rows.count]
  HostTensor elements(const HostTensor& vector, const PartRows& rows);
  std::optional<HostTensor> elements(const std::optional<HostTensor>& vector, const PartRows& rows);
  // tensor [in, out] -> [out, in]
  HostTensor transposed(const HostTensor& tensor);
  // bf16 bits [rows, cols]
  HostTensor bf16(std::vector<uint16_t> bits, int64_t rows, int64_t cols);

 private:
  HostTensor gather(const HostTensor& tensor, size_t row_bytes, const PartRows& rows);

  std::deque<std::vector<std::byte>> kept_;  // elements of a deque stay where they are
  std::deque<std::vector<uint16_t>> kept_bf16_;
};

}  // namespace lorikeet
