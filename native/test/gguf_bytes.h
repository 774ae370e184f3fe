// GGUF files made in memory, right or wrong.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace lorikeet {

class GgufBytes {
 public:
  std::vector<std::byte> bytes;

  template <class T>
  GgufBytes& number(T value) {
    return raw(&value, sizeof value);
  }
  GgufBytes& text(std::string_view text) {
    number<uint64_t>(text.size());
    return raw(text.data(), text.size());
  }
  GgufBytes& preamble(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
    return number<uint32_t>(0x46554747).number(version).number(tensors).number(keys);
  }
  GgufBytes& key_u32(std::string_view key, uint32_t value) {
    return text(key).number<uint32_t>(4).number(value);
  }
  GgufBytes& key_text(std::string_view key, std::string_view value) {
    return text(key).number<uint32_t>(8).text(value);
  }
  // `shape`: fastest first, as the file has it.
  GgufBytes& tensor(std::string_view name, const std::vector<uint64_t>& shape, uint32_t type,
                    uint64_t offset) {
    text(name).number(static_cast<uint32_t>(shape.size()));
    for (const uint64_t size : shape) number(size);
    return number(type).number(offset);
  }
  GgufBytes& pad(size_t alignment = 32) {
    while (bytes.size() % alignment != 0) bytes.push_back({});
    return *this;
  }
  GgufBytes& data(size_t size) {
    bytes.resize(bytes.size() + size);
    return *this;
  }

 private:
  GgufBytes& raw(const void* from, size_t size) {
    const size_t at = bytes.size();
    bytes.resize(at + size);
    if (size > 0) std::memcpy(&bytes[at], from, size);
    return *this;
  }
};

}  // namespace lorikeet
