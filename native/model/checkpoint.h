// The weights of a Hugging Face checkpoint folder: one model.safetensors or the shards that an index names.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backend/interface/tensor.h"
#include "model/network.h"
#include "model/safetensors.h"

namespace lorikeet {

// A tensor whose type or shape is not the network's business.
struct RawTensor {
  std::span<const std::byte> bytes;
  std::string dtype;
  std::vector<int64_t> shape;
  void (*done_with)(const std::byte* begin, const std::byte* end) = nullptr;  // HostTensor's
};

class Checkpoint {
 public:
  static Result<Checkpoint> open(const std::string& folder);

  // From now on tensors go by the network's names. Forgets those that it ignores; two tensors of one name are
  // an error.
  Status rename(const std::vector<TensorRename>& renames, const std::vector<std::string>& ignored);
  // How many tensors were ignored.
  size_t ignored() const { return ignored_; }

  bool has(const std::string& name) const { return where_.contains(name); }
  // The tensor as [rows, cols], or as a vector of `cols` when rows is 1. Wrong shape or a dtype other than
  // F32, F16, BF16 is an error. Remembers that the tensor was taken.
  Result<HostTensor> take(const std::string& name, int64_t rows, int64_t cols);
  Result<HostTensor> take_vector(const std::string& name, int64_t size);
  // Of shape [count, rows, cols]: one view for each of the first dimension.
  Result<std::vector<HostTensor>> take_stack(const std::string& name, int64_t count, int64_t rows,
                                             int64_t cols);
  // A tensor of one element, of shape [] or [1].
  Result<HostTensor> take_number(const std::string& name);
  Result<RawTensor> take_raw(const std::string& name);
  // Tensors that nothing took: weights which the network would silently go without.
  std::vector<std::string> untaken() const;
  // Byte for byte, dtype and shape included.
  bool same_bytes(const std::string& a, const std::string& b) const;

 private:
  Result<HostTensor> take_shaped(const std::string& name, const std::vector<int64_t>& shape);
  struct Place {
    size_t shard = 0;
    std::string stored;  // its name in the file
  };
  const TensorInfo& info(const std::string& name) const {
    const Place& place = where_.at(name);
    return *shards_[place.shard].find(place.stored);
  }
  const std::byte* data(const std::string& name) const {
    return shards_[where_.at(name).shard].data(info(name));
  }

  std::vector<SafetensorsFile> shards_;
  std::map<std::string, Place> where_;  // by the tensor's name
  std::set<std::string> taken_;
  size_t ignored_ = 0;
};

}  // namespace lorikeet
