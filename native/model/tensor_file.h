// A file that holds tensors, mapped, and where in it each lies: safetensors and GGUF alike.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "model/mapped_file.h"

namespace lorikeet {

struct TensorInfo {
  std::string dtype;           // as the file spells it: "F32", "BF16", "Q4_K", ...
  std::vector<int64_t> shape;  // slowest first
  uint64_t begin = 0;          // from the start of the file
  uint64_t end = 0;
  // Not 0: of each of so many heads the file holds rows 0, D/2, 1, D/2 + 1, .. instead of 0, 1, 2, ..
  int64_t paired_heads = 0;
};

// "[512, 64]"
std::string shape_text(const std::vector<int64_t>& shape);

class TensorFile {
 public:
  TensorFile(MappedFile file, std::map<std::string, TensorInfo> tensors, std::string path = {})
      : path_(std::move(path)), file_(std::move(file)), tensors_(std::move(tensors)) {}

  // Empty where its tensors are not the network's as they are.
  const std::string& path() const { return path_; }

  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  const TensorInfo* find(const std::string& name) const {
    const auto found = tensors_.find(name);
    return found == tensors_.end() ? nullptr : &found->second;
  }
  const std::byte* data(const TensorInfo& tensor) const { return file_.bytes().data() + tensor.begin; }

 private:
  std::string path_;
  MappedFile file_;
  std::map<std::string, TensorInfo> tensors_;
};

}  // namespace lorikeet
