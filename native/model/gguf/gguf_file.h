// The GGUF container, little-endian, versions 2 and 3: counts, metadata by key, each tensor's name, shape,
// type and place, then the tensors' bytes. Strict, as llama.cpp is and beyond: what reaches outside the file,
// stands there twice, overlaps or leaves a hole is an error, found before anything of that size is allocated.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "model/tensor_file.h"

namespace lorikeet {

enum class GgufKind : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, text, array, u64, i64, f64 };

// Looks at the file's bytes, which have been checked and must outlive it.
struct GgufValue {
  GgufKind kind = GgufKind::u8;  // of an array: its elements'
  bool is_array = false;
  uint64_t count = 1;
  std::span<const std::byte> bytes;  // of texts: each with its length before it

  bool is_text() const { return kind == GgufKind::text && !is_array; }
  bool is_number() const { return kind != GgufKind::text && kind != GgufKind::boolean; }
  // Of numbers and booleans.
  double number(uint64_t index = 0) const;
  // Of the text that begins at `offset` of the bytes; moves behind it.
  std::string_view next_text(uint64_t& offset) const;
  std::string_view text() const {
    uint64_t offset = 0;
    return next_text(offset);
  }
};

struct GgufHeader {
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::map<std::string, TensorInfo> tensors;  // by the file's names, shapes slowest first

  const GgufValue* find(std::string_view key) const {
    const auto found = metadata.find(key);
    return found == metadata.end() ? nullptr : &found->second;
  }
};

// `file` is the whole file. Separate from open() so that tests and fuzzers need no disk.
Result<GgufHeader> parse_gguf_header(std::span<const std::byte> file);

struct GgufFile {
  MappedFile file;
  GgufHeader header;

  static Result<GgufFile> open(const std::string& path);
  const std::byte* data(const TensorInfo& tensor) const { return file.bytes().data() + tensor.begin; }
};

}  // namespace lorikeet
