#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "backend/interface/status.h"

namespace lorikeet {

// A whole file, read-only, mapped for as long as the object lives.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

  // Takes the whole pages between two addresses of a mapping out of this process's memory. They come back
  // from the file when they are read again.
  static void drop(const std::byte* begin, const std::byte* end);

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}
  std::span<const std::byte> bytes_;
};

// A small text file such as config.json.
Result<std::string> read_text(const std::string& path);

}  // namespace lorikeet
