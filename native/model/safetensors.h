// The safetensors format: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes.
// Strict: what the format does not allow (overlaps, holes, wrong sizes, duplicate names, trailing bytes) is
// an error.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model/tensor_file.h"

namespace lorikeet {

class SafetensorsFile : public TensorFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

 private:
  using TensorFile::TensorFile;
};

// The header alone; `file` is the whole file. Separate from open() so that tests and fuzzers need no disk.
Result<std::map<std::string, TensorInfo>> parse_safetensors_header(std::span<const std::byte> file);

}  // namespace lorikeet
