// The safetensors format: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes.
// Strict: what the format does not allow (overlaps, holes, wrong sizes, duplicate names, trailing bytes) is
// an error.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/mapped_file.h"

namespace lorikeet {

struct TensorInfo {
  std::string dtype;           // as the file spells it: "F32", "BF16", ...
  std::vector<int64_t> shape;  // slowest first
  uint64_t begin = 0;          // from the start of the file
  uint64_t end = 0;
};

// "[512, 64]"
std::string shape_text(const std::vector<int64_t>& shape);

class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(const std::string& name) const;
  const std::byte* data(const TensorInfo& tensor) const { return file_.bytes().data() + tensor.begin; }

 private:
  SafetensorsFile(MappedFile file, std::map<std::string, TensorInfo> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}
  MappedFile file_;
  std::map<std::string, TensorInfo> tensors_;
};

// The header alone; `file` is the whole file. Separate from open() so that tests and fuzzers need no disk.
Result<std::map<std::string, TensorInfo>> parse_safetensors_header(std::span<const std::byte> file);

}  // namespace lorikeet
