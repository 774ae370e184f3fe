// The weights of a checkpoint: of a Hugging Face folder, one model.safetensors or the shards that an index
// names; or of a GGUF file, by the names that the folder would have.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backend/interface/coded_weights.h"
#include "backend/interface/tensor.h"
#include "model/network.h"
#include "model/tensor_file.h"

namespace lorikeet {

// A tensor whose type or shape is not the network's business.
struct RawTensor {
  std::span<const std::byte> bytes;
  std::string dtype;
  std::vector<int64_t> shape;
  void (*done_with)(const std::byte* begin, const std::byte* end) = nullptr;  // HostTensor's
};

// Where a tensor's bytes are.
struct TensorPlace {
  std::string path;
  std::string dtype;
  uint64_t begin = 0;  // from the start of the file
  uint64_t end = 0;
};

class Checkpoint {
 public:
  // `path`: a folder, or a GGUF file.
  static Result<Checkpoint> open(const std::string& path);

  // From now on tensors go by the network's names. Forgets those that it ignores, by their own names or the
  // network's; two tensors of one name are an error.
  Status rename(const std::vector<TensorRename>& renames, const std::vector<std::string>& ignored);
  // How many tensors were ignored.
  size_t ignored() const { return ignored_; }

  bool has(const std::string& name) const { return where_.contains(name); }
  // The tensor as [rows, cols], or as a vector of `cols` when rows is 1. Wrong shape or a dtype other than
  // F32, F16, BF16 and GGUF's is an error. Remembers that the tensor was taken.
  Result<HostTensor> take(const std::string& name, int64_t rows, int64_t cols);
  Result<HostTensor> take_vector(const std::string& name, int64_t size);
  // Of shape [count, rows, cols]: one view for each of the first dimension.
  Result<std::vector<HostTensor>> take_stack(const std::string& name, int64_t count, int64_t rows,
                                             int64_t cols);
  // A tensor of one element, of shape [] or [1].
  Result<HostTensor> take_number(const std::string& name);
  Result<RawTensor> take_raw(const std::string& name);
  // Of a tensor [rows, cols] in GGUF's blocks: in its codes, out of the file; null where it is in none. The
  // checkpoint must outlive it.
  Result<std::shared_ptr<const CodedSource>> take_blocks(const std::string& name, int64_t rows, int64_t cols);
  // Tensors that had to be decoded or rearranged are kept here until this is called.
  void release_made() { made_.clear(); }
  // The norms' weights hold the offset that the network adds to them.
  bool whole_gains() const { return whole_gains_; }
  TensorPlace place_of(const std::string& name) const;
  // Tensors that nothing took: weights which the network would silently go without.
  std::vector<std::string> untaken() const;
  // Byte for byte, dtype and shape included.
  bool same_bytes(const std::string& a, const std::string& b) const;

 private:
  static Result<Checkpoint> open_gguf_file(const std::string& path);
  Result<HostTensor> take_shaped(const std::string& name, const std::vector<int64_t>& shape);
  Status expect(const std::string& name, const std::vector<int64_t>& shape) const;
  std::shared_ptr<const CodedSource> blocks_of(const std::string& name, int64_t rows, int64_t cols);
  // Of a GGUF file: rows in Transformers' order; blocks decoded.
  Result<HostTensor> unpaired(const std::string& name, DType dtype);
  Result<HostTensor> decoded(const std::string& name, const CodedSource& source);
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

  std::vector<TensorFile> shards_;
  std::map<std::string, Place> where_;  // by the tensor's name
  std::set<std::string> taken_;
  size_t ignored_ = 0;
  bool whole_gains_ = false;
  std::deque<std::vector<std::byte>> made_;  // elements of a deque stay where they are
};

}  // namespace lorikeet
