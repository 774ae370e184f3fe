#include "model/gguf/gguf_file.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "model/gguf/gguf_types.h"

namespace lorikeet {

namespace {

constexpr uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr uint64_t kLeastKeyBytes = 8 + 4 + 1;
constexpr uint64_t kLeastTensorBytes = 8 + 4 + 8 + 4 + 8;
constexpr uint64_t kMostNameBytes = 65535;
constexpr uint32_t kMostDimensions = 4;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMostAlignment = 1 << 20;

// 0: not of a fixed size.
uint64_t bytes_of(GgufKind kind) {
  static constexpr uint64_t kBytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
  return kBytes[static_cast<uint32_t>(kind)];
}

template <class T>
T number_at(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint64_t aligned(uint64_t size, uint64_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

class Parser {
 public:
  explicit Parser(std::span<const std::byte> file) : file_(file) {}

  Result<GgufHeader> parse() {
    uint64_t tensors = 0, keys = 0;
    if (Status s = read_preamble(tensors, keys); !s) return s.error();
    for (uint64_t i = 0; i < keys; ++i) {
      if (Status s = read_key(); !s) return s.error();
    }
    if (Status s = read_alignment(); !s) return s.error();
    for (uint64_t i = 0; i < tensors; ++i) {
      if (Status s = read_tensor(); !s) return s.error();
    }
    if (Status s = place_tensors(); !s) return s.error();
    return std::move(header_);
  }

 private:
  uint64_t left() const { return file_.size() - at_; }

  template <class T>
  bool read(T& value) {
    if (left() < sizeof value) return false;
    value = number_at<T>(file_.data() + at_);
    at_ += sizeof value;
    return true;
  }

  bool read_text(std::string_view& text) {
    uint64_t size = 0;
    if (!read(size) || size > left()) return false;
    text = {reinterpret_cast<const char*>(file_.data() + at_), size};
    at_ += size;
    return true;
  }

  static Error cut() { return Error{"the file ends within its header"}; }

  Status read_preamble(uint64_t& tensors, uint64_t& keys) {
    uint32_t magic = 0, version = 0;
    if (!read(magic) || magic != kMagic) return Error{"does not begin with GGUF"};
    if (!read(version)) return cut();
    if (version != 0 && (version & 0xffff) == 0) return Error{"is big-endian GGUF, which is not implemented"};
    if (version != 2 && version != 3)
      return Error{"is GGUF version " + std::to_string(version) + "; versions 2 and 3 are implemented"};
    if (!read(tensors) || !read(keys)) return cut();
    if (keys > left() / kLeastKeyBytes)
      return Error{"says that it holds " + std::to_string(keys) + " keys, for which it is too small"};
    if (tensors > left() / kLeastTensorBytes)
      return Error{"says that it holds " + std::to_string(tensors) + " tensors, for which it is too small"};
    return {};
  }

  Status read_key() {
    std::string_view key;
    uint32_t kind = 0;
    if (!read_text(key) || !read(kind)) return cut();
    if (key.empty() || key.size() > kMostNameBytes)
      return Error{"has a key of " + std::to_string(key.size()) + " bytes"};
    GgufValue value;
    if (Status s = read_value(std::string(key), kind, value); !s) return s;
    if (!header_.metadata.emplace(key, value).second)
      return Error{"names the key " + std::string(key) + " twice"};
    return {};
  }

  Status read_value(const std::string& key, uint32_t kind, GgufValue& value) {
    value.is_array = kind == static_cast<uint32_t>(GgufKind::array);
    if (value.is_array && (!read(kind) || !read(value.count))) return cut();
    if (kind > static_cast<uint32_t>(GgufKind::f64))
      return Error{"the value of " + key + " has the unknown type " + std::to_string(kind)};
    value.kind = static_cast<GgufKind>(kind);
    if (value.kind == GgufKind::array) return Error{key + " is an array of arrays; that is not implemented"};
    const uint64_t begin = at_;
    if (value.kind == GgufKind::text) {
      if (value.count > left() / sizeof(uint64_t)) return too_long(key, value.count);
      std::string_view text;
      for (uint64_t i = 0; i < value.count; ++i) {
        if (!read_text(text)) return Error{"the file ends within the value of " + key};
      }
    } else {
      if (value.count > left() / bytes_of(value.kind)) return too_long(key, value.count);
      at_ += value.count * bytes_of(value.kind);
    }
    value.bytes = file_.subspan(begin, at_ - begin);
    return {};
  }

  static Error too_long(const std::string& key, uint64_t count) {
    return Error{key + " says that it holds " + std::to_string(count) +
                 " values, for which the file is too small"};
  }

  Status read_alignment() {
    const GgufValue* const value = header_.find("general.alignment");
    if (value == nullptr) return {};
    const double given = value->kind == GgufKind::u32 && !value->is_array ? value->number() : 0;
    alignment_ = static_cast<uint64_t>(given);
    if (!std::has_single_bit(alignment_) || alignment_ > kMostAlignment)
      return Error{"general.alignment must be a power of two of at most " + std::to_string(kMostAlignment)};
    return {};
  }

  Status read_tensor() {
    std::string_view name;
    uint32_t dimensions = 0, type_id = 0;
    if (!read_text(name) || !read(dimensions)) return cut();
    if (name.empty() || name.size() > kMostNameBytes)
      return Error{"has a tensor whose name has " + std::to_string(name.size()) + " bytes"};
    const std::string tensor = "tensor " + std::string(name);
    if (dimensions < 1 || dimensions > kMostDimensions)
      return Error{tensor + " has " + std::to_string(dimensions) + " dimensions"};
    TensorInfo info;
    info.shape.resize(dimensions);
    uint64_t values = 1;
    for (uint32_t i = 0; i < dimensions; ++i) {
      uint64_t size = 0;
      if (!read(size)) return cut();
      if (size == 0 || size > static_cast<uint64_t>(INT64_MAX) ||
          __builtin_mul_overflow(values, size, &values))
        return Error{tensor + " has a shape that overflows or is empty"};
      info.shape[dimensions - 1 - i] = static_cast<int64_t>(size);  // the file says the fastest first
    }
    uint64_t offset = 0;
    if (!read(type_id) || !read(offset)) return cut();
    const GgufType* const type = find_gguf_type(type_id);
    if (type == nullptr) return Error{tensor + " has the unknown type " + std::to_string(type_id)};
    if (!type->is_read)
      return Error{tensor + " is in " + type->name + ", which is not implemented (" + read_gguf_types() +
                   " are)"};
    if (static_cast<uint64_t>(info.shape.back()) % type->values != 0)
      return Error{tensor + " has rows of " + std::to_string(info.shape.back()) +
                   " values, no multiple of the " + std::to_string(type->values) + " of a block of " +
                   type->name};
    uint64_t bytes = 0;
    if (__builtin_mul_overflow(values / type->values, type->bytes, &bytes) || bytes > file_.size())
      return Error{tensor + " is larger than the file"};
    info.dtype = type->name;
    info.begin = offset;  // from the start of the data, until all headers have been read
    info.end = bytes;
    if (!header_.tensors.emplace(name, std::move(info)).second)
      return Error{"names the " + tensor + " twice"};
    return {};
  }

  // Offsets become places in the file. In their order tensors follow each other, each padded to the
  // alignment.
  Status place_tensors() {
    std::vector<std::pair<const std::string, TensorInfo>*> order;
    for (auto& tensor : header_.tensors) order.push_back(&tensor);
    std::sort(order.begin(), order.end(),
              [](const auto* a, const auto* b) { return a->second.begin < b->second.begin; });
    const uint64_t start = aligned(at_, alignment_);
    uint64_t next = 0;
    for (auto* const tensor : order) {
      TensorInfo& info = tensor->second;
      if (info.begin != next) {
        return Error{"tensor " + tensor->first + " begins at " + std::to_string(info.begin) +
                     " of the data, but " + std::to_string(next) + " is where the one before it ends"};
      }
      const uint64_t bytes = info.end;
      if (start > file_.size() || next > file_.size() - start || bytes > file_.size() - start - next)
        return Error{"tensor " + tensor->first + " reaches beyond the end of the file"};
      info.begin = start + next;
      info.end = info.begin + bytes;
      next = aligned(next + bytes, alignment_);
    }
    // Whether the last one is padded, too, is the writer's choice.
    const uint64_t end = order.empty() ? at_ : order.back()->second.end;
    if (file_.size() > std::max(start + next, end))
      return Error{"holds " + std::to_string(file_.size() - end) + " bytes behind its last tensor"};
    return {};
  }

  std::span<const std::byte> file_;
  uint64_t at_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  GgufHeader header_;
};

}  // namespace

double GgufValue::number(uint64_t index) const {
  const std::byte* const at = bytes.data() + index * bytes_of(kind);
  switch (kind) {
    case GgufKind::u8:
    case GgufKind::boolean:
      return number_at<uint8_t>(at);
    case GgufKind::i8:
      return number_at<int8_t>(at);
    case GgufKind::u16:
      return number_at<uint16_t>(at);
    case GgufKind::i16:
      return number_at<int16_t>(at);
    case GgufKind::u32:
      return number_at<uint32_t>(at);
    case GgufKind::i32:
      return number_at<int32_t>(at);
    case GgufKind::f32:
      return static_cast<double>(number_at<float>(at));
    case GgufKind::u64:
      return static_cast<double>(number_at<uint64_t>(at));
    case GgufKind::i64:
      return static_cast<double>(number_at<int64_t>(at));
    case GgufKind::f64:
      return number_at<double>(at);
    case GgufKind::text:
    case GgufKind::array:
      break;
  }
  return 0;
}

std::string_view GgufValue::next_text(uint64_t& offset) const {
  const auto size = number_at<uint64_t>(bytes.data() + offset);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data() + offset + sizeof size), size);
  offset += sizeof size + size;
  return text;
}

Result<GgufHeader> parse_gguf_header(std::span<const std::byte> file) {
  return Parser(file).parse();
}

Result<GgufFile> GgufFile::open(const std::string& path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error();
  Result<GgufHeader> header = parse_gguf_header(file->bytes());
  if (!header) return within(path, header.error());
  return GgufFile{std::move(*file), std::move(*header)};
}

}  // namespace lorikeet
