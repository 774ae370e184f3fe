// A model in GGUF: one file, or the parts of a split one, of which the first has the metadata.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/gguf/gguf_file.h"

namespace lorikeet {

// A file, and no folder of Hugging Face's.
bool is_gguf(const std::string& path);

class GgufModel {
 public:
  // Of a split model the first part's path.
  static Result<GgufModel> open(const std::string& path);

  const GgufHeader& header() const { return parts_.front().header; }
  const GgufValue* find(std::string_view key) const { return header().find(key); }
  const std::vector<GgufFile>& parts() const { return parts_; }
  std::vector<GgufFile> take_parts() && { return std::move(parts_); }
  // In whichever part.
  bool has_tensor(const std::string& name) const;
  // A tensor of F32 as numbers; empty where there is none.
  Result<std::vector<double>> numbers(const std::string& name) const;

 private:
  explicit GgufModel(std::vector<GgufFile> parts) : parts_(std::move(parts)) {}
  std::vector<GgufFile> parts_;
};

}  // namespace lorikeet
