#include "simulator/driver/image.h"

#include <cstring>

namespace lorikeet::simulator {

namespace {

constexpr uint32_t kElf = 0x464c457f, kFatList = 0xba55ed50, kFatWrapper = 0x466243b1;
constexpr uint16_t kPtxEntry = 1;
constexpr uint64_t kCompressed = 0x2000;

struct FatHeader {
  uint32_t magic;
  uint16_t version, header_bytes;
  uint64_t bytes;  // of all entries
};

struct FatEntry {
  uint16_t kind, version;
  uint32_t header_bytes;
  uint64_t bytes;
  uint32_t compressed_bytes, options_offset;
  uint16_t minor, major;
  uint32_t architecture, name_offset, name_bytes;
  uint64_t flags;
};

template <typename T>
T read(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

std::variant<std::string, ImageError> ptx_of_list(const uint8_t* list) {
  const auto header = read<FatHeader>(list);
  bool compressed = false;
  const uint8_t* at = list + header.header_bytes;
  const uint8_t* const end = at + header.bytes;
  while (at + sizeof(FatEntry) <= end) {
    const auto entry = read<FatEntry>(at);
    if (entry.kind == kPtxEntry && (entry.flags & kCompressed) == 0) {
      const auto* text = reinterpret_cast<const char*>(at + entry.header_bytes);
      return std::string(text, strnlen(text, entry.bytes));
    }
    compressed |= entry.kind == kPtxEntry;
    if (entry.header_bytes == 0) break;
    at += entry.header_bytes + entry.bytes;
  }
  return ImageError{kNoBinaryForGpu, compressed
                                         ? "the fat list holds its PTX compressed: give PTX, or build with "
                                           "-Xfatbin -no-compress"
                                         : "the fat list holds no PTX: give PTX"};
}

}  // namespace

std::variant<std::string, ImageError> ptx_of_image(const void* image) {
  const auto* bytes = static_cast<const uint8_t*>(image);
  if (bytes == nullptr) return ImageError{kInvalidValue, "no image"};
  uint32_t magic = 0;
  // A text may be shorter than four bytes.
  std::memcpy(&magic, bytes, strnlen(static_cast<const char*>(image), 4));
  if (magic == kElf)
    return ImageError{kNoBinaryForGpu, "this is a cubin, which only hardware runs: give PTX"};
  if (magic == kFatList) return ptx_of_list(bytes);
  if (magic == kFatWrapper) return ptx_of_list(read<const uint8_t*>(bytes + 8));
  return std::string(static_cast<const char*>(image));
}

}  // namespace lorikeet::simulator
