#include "model/checkpoint.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "backend/shared/coded_values.h"
#include "backend/shared/dtype.h"
#include "model/gguf/gguf_blocks.h"
#include "model/gguf/gguf_model.h"
#include "model/gguf/gguf_tensors.h"
#include "model/gguf/gguf_types.h"
#include "model/safetensors.h"

namespace lorikeet {

namespace {

using nlohmann::json;

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

// tensor name -> file name
Result<std::map<std::string, std::string>> read_index(const std::string& path) {
  Result<std::string> text = read_text(path);
  if (!text) return text.error();
  const json index = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return Error{path + " has no weight_map object"};
  }
  std::map<std::string, std::string> map;
  for (const auto& [name, file] : index["weight_map"].items()) {
    if (!file.is_string()) return Error{path + ": the file of " + name + " is not a string"};
    const auto file_name = file.get<std::string>();
    if (file_name.empty() || file_name.find('/') != std::string::npos ||
        file_name.find('\0') != std::string::npos) {
      return Error{path + ": the file of " + name + " is not a plain file name"};
    }
    map.emplace(name, file_name);
  }
  return map;
}

bool in_blocks(const TensorInfo& tensor) {
  const GgufType* const type = find_gguf_type(tensor.dtype);
  return type != nullptr && type->in_blocks();
}

Result<DType> checkpoint_dtype(const std::string& name, const std::string& dtype) {
  if (dtype == "F32") return DType::f32;
  if (dtype == "F16") return DType::f16;
  if (dtype == "BF16") return DType::bf16;
  return Error{"tensor " + name + " has dtype " + dtype +
               "; only F32, F16, BF16 and what a quantized checkpoint's own tensors explain are implemented"};
}

}  // namespace

Result<Checkpoint> Checkpoint::open_gguf_file(const std::string& path) {
  Result<GgufModel> model = GgufModel::open(path);
  if (!model) return model.error();
  Result<GgufTensors> tensors = name_gguf_tensors(std::move(*model));
  if (!tensors) return within(path, tensors.error());
  Checkpoint checkpoint;
  checkpoint.whole_gains_ = tensors->whole_gains;
  checkpoint.shards_ = std::move(tensors->files);
  for (size_t shard = 0; shard < checkpoint.shards_.size(); ++shard) {
    for (const auto& [name, tensor] : checkpoint.shards_[shard].tensors()) {
      if (!checkpoint.where_.emplace(name, Place{shard, name}).second)
        return Error{path + ": two tensors stand for " + name};
    }
  }
  return checkpoint;
}

Result<Checkpoint> Checkpoint::open(const std::string& path) {
  if (is_gguf(path)) return open_gguf_file(path);
  const std::string& folder = path;
  Checkpoint checkpoint;
  const std::string single = folder + "/model.safetensors";
  const std::string index = single + ".index.json";
  if (!exists(index)) {
    if (!exists(single))
      return Error{folder + " holds neither model.safetensors nor model.safetensors.index.json"};
    Result<SafetensorsFile> file = SafetensorsFile::open(single);
    if (!file) return file.error();
    for (const auto& [name, tensor] : file->tensors()) checkpoint.where_.emplace(name, Place{0, name});
    checkpoint.shards_.push_back(std::move(*file));
    return checkpoint;
  }

  auto map = read_index(index);
  if (!map) return map.error();
  std::map<std::string, size_t> shard_of;
  for (const auto& [name, file_name] : *map) {
    if (!shard_of.contains(file_name)) {
      Result<SafetensorsFile> shard = SafetensorsFile::open(folder + "/" + file_name);
      if (!shard) return shard.error();
      shard_of.emplace(file_name, checkpoint.shards_.size());
      checkpoint.shards_.push_back(std::move(*shard));
    }
    const size_t shard = shard_of.at(file_name);
    if (checkpoint.shards_[shard].find(name) == nullptr) {
      return Error{index + " says that " + file_name + " holds " + name + ", but it does not"};
    }
    checkpoint.where_.emplace(name, Place{shard, name});
  }
  for (const auto& [file_name, shard] : shard_of) {
    for (const auto& [name, tensor] : checkpoint.shards_[shard].tensors()) {
      if (!map->contains(name))
        return Error{file_name + " holds " + name + ", which " + index + " does not name"};
    }
  }
  return checkpoint;
}

namespace {

std::string renamed(const std::string& name, const std::vector<TensorRename>& renames) {
  for (const TensorRename& rule : renames) {
    const size_t at = name.find(rule.from);
    if (at == std::string::npos || (!rule.anywhere && at != 0)) continue;
    return name.substr(0, at) + rule.to + name.substr(at + rule.from.size());
  }
  return name;
}

}  // namespace

Status Checkpoint::rename(const std::vector<TensorRename>& renames, const std::vector<std::string>& ignored) {
  std::map<std::string, Place> where;
  for (auto& [name, place] : where_) {
    const std::string known = renamed(name, renames);
    const bool skipped = std::any_of(ignored.begin(), ignored.end(), [&](const std::string& prefix) {
      return name.starts_with(prefix) || known.starts_with(prefix);
    });
    if (skipped) {
      ++ignored_;
      continue;
    }
    const auto [found, added] = where.emplace(known, place);
    if (!added)
      return Error{"tensors " + found->second.stored + " and " + name + " are the same to this model"};
  }
  where_ = std::move(where);
  return {};
}

Result<HostTensor> Checkpoint::take(const std::string& name, int64_t rows, int64_t cols) {
  Result<HostTensor> tensor = take_shaped(name, {rows, cols});
  if (tensor) {
    tensor->rows = rows;
    tensor->cols = cols;
  }
  return tensor;
}

Result<HostTensor> Checkpoint::take_vector(const std::string& name, int64_t size) {
  Result<HostTensor> tensor = take_shaped(name, {size});
  if (tensor) {
    tensor->rows = 1;
    tensor->cols = size;
  }
  return tensor;
}

Result<std::vector<HostTensor>> Checkpoint::take_stack(const std::string& name, int64_t count, int64_t rows,
                                                       int64_t cols) {
  Result<HostTensor> all = take_shaped(name, {count, rows, cols});
  if (!all) return all.error();
  std::vector<HostTensor> views;
  for (int64_t i = 0; i < count; ++i) {
    HostTensor view = *all;
    view.data += static_cast<size_t>(i * rows * cols) * dtype_bytes(view.dtype);
    view.rows = rows;
    view.cols = cols;
    views.push_back(view);
  }
  return views;
}

Result<HostTensor> Checkpoint::take_number(const std::string& name) {
  const bool scalar = has(name) && info(name).shape.empty();
  Result<HostTensor> tensor = take_shaped(name, scalar ? std::vector<int64_t>{} : std::vector<int64_t>{1});
  if (tensor) tensor->rows = tensor->cols = 1;
  return tensor;
}

Status Checkpoint::expect(const std::string& name, const std::vector<int64_t>& shape) const {
  if (!has(name)) return Error{"the checkpoint has no tensor " + name};
  const TensorInfo& tensor = info(name);
  if (tensor.shape != shape) {
    return Error{"tensor " + name + " has shape " + shape_text(tensor.shape) + ", but config.json needs " +
                 shape_text(shape)};
  }
  if (tensor.paired_heads > 0 && tensor.shape.front() % (2 * tensor.paired_heads) != 0)
    return Error{"tensor " + name + " has no even number of rows for each head"};
  return {};
}

Result<HostTensor> Checkpoint::take_shaped(const std::string& name, const std::vector<int64_t>& shape) {
  if (Status s = expect(name, shape); !s) return s.error();
  const TensorInfo& tensor = info(name);
  const int64_t cols = shape.empty() ? 1 : shape.back();
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  if (in_blocks(tensor)) return decoded(name, *blocks_of(name, rows, cols));
  Result<DType> dtype = checkpoint_dtype(name, tensor.dtype);
  if (!dtype) return dtype.error();
  taken_.insert(name);
  if (tensor.paired_heads > 0) return unpaired(name, *dtype);
  return HostTensor{data(name), *dtype, 0, 0, MappedFile::drop};
}

std::shared_ptr<const CodedSource> Checkpoint::blocks_of(const std::string& name, int64_t rows,
                                                         int64_t cols) {
  const TensorInfo& tensor = info(name);
  taken_.insert(name);
  return gguf_source(*find_gguf_type(tensor.dtype), {.bytes = {data(name), tensor.end - tensor.begin},
                                                     .rows = rows,
                                                     .cols = cols,
                                                     .paired_heads = tensor.paired_heads,
                                                     .done_with = MappedFile::drop});
}

Result<std::shared_ptr<const CodedSource>> Checkpoint::take_blocks(const std::string& name, int64_t rows,
                                                                   int64_t cols) {
  if (!has(name) || !in_blocks(info(name))) return std::shared_ptr<const CodedSource>();
  if (Status s = expect(name, {rows, cols}); !s) return s.error();
  return blocks_of(name, rows, cols);
}

Result<HostTensor> Checkpoint::unpaired(const std::string& name, DType dtype) {
  const TensorInfo& tensor = info(name);
  const int64_t rows = tensor.shape.front();
  const uint64_t size = tensor.end - tensor.begin;
  const size_t row_bytes = size / static_cast<uint64_t>(rows);
  std::vector<std::byte>& ordered = made_.emplace_back(size);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t from = paired_row(row, rows, tensor.paired_heads);
    std::memcpy(&ordered[static_cast<size_t>(row) * row_bytes],
                data(name) + static_cast<size_t>(from) * row_bytes, row_bytes);
  }
  MappedFile::drop(data(name), data(name) + size);
  return HostTensor{ordered.data(), dtype, 0, 0, nullptr};
}

Result<HostTensor> Checkpoint::decoded(const std::string& name, const CodedSource& source) {
  std::vector<std::byte>& values =
      made_.emplace_back(static_cast<size_t>(source.rows() * source.cols()) * sizeof(float));
  CodedRowBuffer row(source);
  for (int64_t i = 0; i < source.rows(); ++i) {
    if (!row.read(i)) return Error{"tensor " + name + " holds a scale that is NaN or infinite"};
    row.decode(reinterpret_cast<float*>(values.data()) + i * source.cols());
  }
  source.release_rows(0, source.rows());
  return HostTensor{values.data(), DType::f32, 0, 0, nullptr};
}

Result<RawTensor> Checkpoint::take_raw(const std::string& name) {
  if (!has(name)) return Error{"the checkpoint has no tensor " + name};
  const TensorInfo& tensor = info(name);
  taken_.insert(name);
  const std::span bytes(data(name), tensor.end - tensor.begin);
  return RawTensor{bytes, tensor.dtype, tensor.shape, MappedFile::drop};
}

TensorPlace Checkpoint::place_of(const std::string& name) const {
  const TensorInfo& tensor = info(name);
  return {shards_[where_.at(name).shard].path(), tensor.dtype, tensor.begin, tensor.end};
}

std::vector<std::string> Checkpoint::untaken() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : where_) {
    if (!taken_.contains(name)) names.push_back(place.stored);
  }
  return names;
}

bool Checkpoint::same_bytes(const std::string& a, const std::string& b) const {
  constexpr uint64_t kPiece = uint64_t{4} << 20;  // of each, so that comparing takes no memory to speak of
  const TensorInfo& left = info(a);
  const TensorInfo& right = info(b);
  if (left.dtype != right.dtype || left.shape != right.shape) return false;
  const std::byte* const left_bytes = data(a);
  const std::byte* const right_bytes = data(b);
  bool same = true;
  for (uint64_t at = 0; same && at < left.end - left.begin; at += kPiece) {
    const uint64_t size = std::min(kPiece, left.end - left.begin - at);
    same = std::memcmp(left_bytes + at, right_bytes + at, size) == 0;
    MappedFile::drop(left_bytes + at, left_bytes + at + size);
    MappedFile::drop(right_bytes + at, right_bytes + at + size);
  }
  return same;
}

}  // namespace lorikeet
