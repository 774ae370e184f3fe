#include "model/gguf/gguf_model.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

namespace lorikeet {

namespace {

constexpr size_t kSuffixBytes = sizeof("-00001-of-00002.gguf") - 1;

// Which part of how many a file's name says it is.
struct PartName {
  std::string stem;
  int number = 0;
  int count = 0;

  std::string path_of(int part) const {
    return stem + "-" + five_digits(part) + "-of-" + five_digits(count) + ".gguf";
  }
  static std::string five_digits(int number) {
    const std::string digits = std::to_string(number);
    return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
  }
};

std::optional<PartName> part_name(const std::string& path) {
  if (path.size() <= kSuffixBytes) return std::nullopt;
  PartName name;
  name.stem = path.substr(0, path.size() - kSuffixBytes);
  const std::string suffix = path.substr(path.size() - kSuffixBytes);
  if (std::sscanf(suffix.c_str(), "-%5d-of-%5d.gguf", &name.number, &name.count) != 2) return std::nullopt;
  if (name.path_of(name.number) != path) return std::nullopt;
  return name;
}

// Of a number or nothing.
Result<int64_t> split_number(const GgufHeader& header, const char* key, int64_t otherwise) {
  const GgufValue* const value = header.find(key);
  if (value == nullptr) return otherwise;
  if (!value->is_number() || value->is_array || !(value->number() >= 0) || value->number() > INT32_MAX)
    return Error{std::string(key) + " must be a number of at least 0"};
  return static_cast<int64_t>(value->number());
}

Status check_part(const GgufFile& part, int number, int64_t count) {
  Result<int64_t> no = split_number(part.header, "split.no", 0);
  if (!no) return no.error();
  Result<int64_t> of = split_number(part.header, "split.count", 1);
  if (!of) return of.error();
  if (*no + 1 != number || *of != count) {
    return Error{"says that it is part " + std::to_string(*no + 1) + " of " + std::to_string(*of) + ", not " +
                 std::to_string(number) + " of " + std::to_string(count)};
  }
  return {};
}

}  // namespace

bool is_gguf(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

Result<GgufModel> GgufModel::open(const std::string& path) {
  std::vector<GgufFile> parts;
  Result<GgufFile> first = GgufFile::open(path);
  if (!first) return first.error();
  Result<int64_t> count = split_number(first->header, "split.count", 1);
  if (!count) return within(path, count.error());
  parts.push_back(std::move(*first));
  if (*count <= 1) return GgufModel(std::move(parts));

  const std::optional<PartName> name = part_name(path);
  if (!name || name->count != *count) {
    return Error{path + ": is a part of " + std::to_string(*count) +
                 ", but its name does not end in -00001-of-0000N.gguf with that number"};
  }
  if (name->number != 1) return Error{path + ": is not the first part; name " + name->path_of(1)};
  size_t tensors = 0;
  for (int number = 1; number <= name->count; ++number) {
    const std::string part_path = name->path_of(number);
    if (number > 1) {
      Result<GgufFile> part = GgufFile::open(part_path);
      if (!part) return part.error();
      parts.push_back(std::move(*part));
    }
    if (Status s = check_part(parts.back(), number, *count); !s) return within(part_path, s.error());
    for (const auto& [tensor, info] : parts.back().header.tensors) {
      for (size_t other = 0; other + 1 < parts.size(); ++other) {
        if (parts[other].header.tensors.contains(tensor))
          return Error{part_path + ": another part holds tensor " + tensor + ", too"};
      }
      ++tensors;
    }
  }
  Result<int64_t> all =
      split_number(parts.front().header, "split.tensors.count", static_cast<int64_t>(tensors));
  if (!all) return within(path, all.error());
  if (*all != static_cast<int64_t>(tensors)) {
    return Error{path + ": split.tensors.count is " + std::to_string(*all) + ", but the parts hold " +
                 std::to_string(tensors)};
  }
  return GgufModel(std::move(parts));
}

bool GgufModel::has_tensor(const std::string& name) const {
  for (const GgufFile& part : parts_) {
    if (part.header.tensors.contains(name)) return true;
  }
  return false;
}

Result<std::vector<double>> GgufModel::numbers(const std::string& name) const {
  std::vector<double> values;
  for (const GgufFile& part : parts_) {
    const auto found = part.header.tensors.find(name);
    if (found == part.header.tensors.end()) continue;
    const TensorInfo& info = found->second;
    if (info.dtype != "F32" || info.shape.size() != 1)
      return Error{"tensor " + name + " must be a vector of F32"};
    for (int64_t i = 0; i < info.shape[0]; ++i) {
      float value;
      std::memcpy(&value, part.data(info) + i * 4, sizeof value);
      values.push_back(static_cast<double>(value));
    }
  }
  return values;
}

}  // namespace lorikeet
