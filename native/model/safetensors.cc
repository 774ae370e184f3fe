#include "model/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

namespace lorikeet {

namespace {

using nlohmann::json;

constexpr uint64_t kPrefixBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the limit of the format's own library

std::optional<uint64_t> element_bytes(std::string_view dtype) {
  static constexpr std::pair<std::string_view, uint64_t> kSizes[] = {
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},     {"I32", 4},     {"I16", 2}, {"I8", 1},
      {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"BOOL", 1}};
  for (const auto& [name, bytes] : kSizes) {
    if (name == dtype) return bytes;
  }
  return std::nullopt;
}

Result<json> parse_header_json(std::string_view text) {
  std::set<std::string> names;
  std::string duplicate;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (event == json::parse_event_t::key && depth == 1 && !names.insert(parsed.get<std::string>()).second) {
      duplicate = parsed.get<std::string>();
    }
    return true;
  };
  json header = json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  if (header.is_discarded() || !header.is_object()) return Error{"the header is not a JSON object"};
  if (!duplicate.empty()) return Error{"the header names tensor " + duplicate + " twice"};
  return header;
}

bool is_unsigned_array(const json& value) {
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [](const json& item) { return item.is_number_unsigned(); });
}

Result<TensorInfo> parse_tensor(const std::string& name, const json& entry, uint64_t data_start,
                                uint64_t data_bytes) {
  const auto fail = [&](const std::string& what) { return Error{"tensor " + name + " " + what}; };
  if (!entry.is_object() || entry.size() != 3 || !entry.contains("dtype") || !entry.contains("shape") ||
      !entry.contains("data_offsets")) {
    return fail("does not have exactly dtype, shape and data_offsets");
  }
  const json& dtype = entry["dtype"];
  const json& shape = entry["shape"];
  const json& offsets = entry["data_offsets"];
  if (!dtype.is_string() || !is_unsigned_array(shape) || !is_unsigned_array(offsets) || offsets.size() != 2) {
    return fail("has a dtype, shape or data_offsets of the wrong type");
  }
  const auto element = element_bytes(dtype.get<std::string>());
  if (!element) return fail("has the unknown dtype " + dtype.get<std::string>());

  TensorInfo tensor;
  tensor.dtype = dtype.get<std::string>();
  uint64_t bytes = *element;
  for (const json& item : shape) {
    const auto size = item.get<uint64_t>();
    if (size > static_cast<uint64_t>(INT64_MAX) || __builtin_mul_overflow(bytes, size, &bytes)) {
      return fail("has a shape that overflows");
    }
    tensor.shape.push_back(static_cast<int64_t>(size));
  }
  const auto begin = offsets[0].get<uint64_t>();
  const auto end = offsets[1].get<uint64_t>();
  if (begin > end || end > data_bytes) return fail("lies outside the file");
  if (end - begin != bytes) {
    return fail("spans " + std::to_string(end - begin) + " bytes, but " + tensor.dtype + " " +
                shape_text(tensor.shape) + " needs " + std::to_string(bytes));
  }
  tensor.begin = data_start + begin;
  tensor.end = data_start + end;
  return tensor;
}

// The tensors must tile the data exactly.
Status check_tiling(const std::map<std::string, TensorInfo>& tensors, uint64_t data_start,
                    uint64_t file_bytes) {
  std::vector<std::pair<const TensorInfo*, const std::string*>> order;
  for (const auto& [name, tensor] : tensors) order.emplace_back(&tensor, &name);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
  });
  uint64_t at = data_start;
  for (const auto& [tensor, name] : order) {
    if (tensor->begin < at) return Error{"tensor " + *name + " overlaps another"};
    if (tensor->begin > at) return Error{"there is a hole before tensor " + *name};
    at = tensor->end;
  }
  if (at != file_bytes) return Error{std::to_string(file_bytes - at) + " bytes follow the last tensor"};
  return {};
}

}  // namespace

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

Result<std::map<std::string, TensorInfo>> parse_safetensors_header(std::span<const std::byte> file) {
  static_assert(std::endian::native == std::endian::little, "tensor bytes are little-endian");
  if (file.size() < kPrefixBytes) return Error{"shorter than a safetensors header"};
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), kPrefixBytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size() - kPrefixBytes) {
    return Error{"the header length " + std::to_string(header_bytes) + " exceeds the file"};
  }
  Result<json> header =
      parse_header_json({reinterpret_cast<const char*>(file.data()) + kPrefixBytes, header_bytes});
  if (!header) return header.error();

  const uint64_t data_start = kPrefixBytes + header_bytes;
  std::map<std::string, TensorInfo> tensors;
  for (const auto& [name, entry] : header->items()) {
    if (name == "__metadata__") continue;
    Result<TensorInfo> tensor = parse_tensor(name, entry, data_start, file.size() - data_start);
    if (!tensor) return tensor.error();
    tensors.emplace(name, std::move(*tensor));
  }
  const Status tiling = check_tiling(tensors, data_start, file.size());
  if (!tiling) return tiling.error();
  return tensors;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error();
  auto tensors = parse_safetensors_header(file->bytes());
  if (!tensors) return within(path, tensors.error());
  return SafetensorsFile(std::move(*file), std::move(*tensors), path);
}

}  // namespace lorikeet
