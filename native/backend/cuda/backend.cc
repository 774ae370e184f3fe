#include <algorithm>
#include <cmath>
#include <functional>

#include "backend/cuda/cuda_backend.h"
#include "backend/interface/open_backend.h"
#include "backend/shared/guarded.h"
#include "backend/shared/kv_type.h"
#include "backend/shared/quantization.h"

namespace lorikeet {
namespace cuda {
namespace {

constexpr int kMostHeadDim = 256;           // kernels/attention.cu keeps a key in registers
constexpr int64_t kLogitRows = 32;          // that are sampled at a time
constexpr size_t kPartialBytes = 64 << 20;  // for attention's splits, where one tile needs no more
constexpr size_t kListBytes = 2 << 20;      // for lists of single ops
constexpr int64_t kExpertRows = 2048;       // that experts take at a time

// Sizes of a block, one after the other.
class Layout {
 public:
  // Says where in the block it will be, once the block is there.
  template <class T>
  void add(T*& to, int64_t a, int64_t b = 1) {
    places_.push_back({[&to](const DeviceMemory& block, size_t at) { to = block.at<T>(at); }, bytes_});
    bytes_ += (static_cast<size_t>(a * b) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }
  size_t bytes() const { return bytes_; }
  void point_into(const DeviceMemory& block) const {
    for (const auto& [point, at] : places_) point(block, at);
  }

 private:
  static constexpr size_t kAlignment = 256;
  struct Place {
    std::function<void(const DeviceMemory&, size_t)> point;
    size_t at;
  };
  std::vector<Place> places_;
  size_t bytes_ = 0;
};

size_t product(int64_t a, int64_t b, size_t bytes) {
  return static_cast<size_t>(a * b) * bytes;
}

}  // namespace

Caps CudaBackend::caps() const {
  return {device_->description(), "sm_" + std::to_string(device_->capability()), threads_, false};
}

size_t CudaBackend::plan_bytes(int64_t table) const {
  const int64_t numbers = int64_t{6} * limits_.rows + limits_.samples + table;
  return static_cast<size_t>(numbers) * sizeof(int32_t) + 256;
}

Status CudaBackend::reserve(const StepLimits& limits, const NetworkShape& shape) {
  if (shape.head_dim > kMostHeadDim) {
    return Error{"attention heads of " + std::to_string(shape.head_dim) + " on a CUDA device: at most " +
                     std::to_string(kMostHeadDim) + " are served yet",
                 ErrorKind::unsupported};
  }
  if (!shape.whole_qkv) {
    return Error{
        "layers whose values are their keys, or another layer's, are not served on a CUDA device yet",
        ErrorKind::unsupported};
  }
  if (shape.experts > kMostExperts) {
    return Error{"mixtures of " + std::to_string(shape.experts) + " experts on a CUDA device: at most " +
                     std::to_string(kMostExperts) + " are served",
                 ErrorKind::unsupported};
  }
  if (shape.recurrent.inputs > 0 || shape.gated_attention) {
    return Error{
        "recurrent layers (gated delta nets, short convolutions) and gated attention are not served on a "
        "CUDA device yet",
        ErrorKind::unsupported};
  }
  if (shape.latent_attention || shape.chunked_attention) {
    return Error{"latent attention and attention in chunks are not served on a CUDA device yet",
                 ErrorKind::unsupported};
  }
  if (shape.scaled_inputs || shape.group_best_one) {
    return Error{"experts of DeepSeek-V2 in groups, and Llama 4's, are not served on a CUDA device yet",
                 ErrorKind::unsupported};
  }
  if (shape.coarse_alibi) {
    return Error{"alibi in bfloat16 (Falcon's) is not served on a CUDA device yet", ErrorKind::unsupported};
  }
  return guarded([&]() -> Status {
    limits_ = limits;
    shape_ = shape;
    host_.reserve(limits);
    sequence_of_row_.resize(static_cast<size_t>(limits.rows));
    tiles_.reserve(static_cast<size_t>(limits.rows));
    sampling_.emplace(shape.vocab);
    if (Status s = reserve_scratch(); !s) return s;

    auto logits = PinnedMemory::allocate(
        *device_, product(std::min<int64_t>(kLogitRows, limits.samples), shape.vocab, sizeof(float)));
    if (!logits) return logits.error();
    logits_ = std::move(*logits);
    const size_t lists = std::max(kListBytes, static_cast<size_t>(limits.sequences) * 4096);
    if (Status s = buffer_.reserve(*device_, plan_bytes(0) + lists); !s) return s;
    scratch_bytes_.store(host_.bytes() + sampling_->bytes() + scratch_.bytes() + logits_.bytes() +
                         buffer_.bytes() + sequence_of_row_.capacity() * sizeof(int32_t) +
                         tiles_.capacity() * sizeof(RowTile));
    return {};
  });
}

Status CudaBackend::reserve_scratch() {
  const auto filled = [](int64_t inputs) { return (inputs + 255) / 256 * 256; };
  const int64_t rows = limits_.rows, inputs = filled(shape_.widest_input);
  const int64_t splits = limits_.context / kSplitPositions + 2;
  const int64_t row_floats = splits * partial_floats(shape_.q_heads, shape_.head_dim);
  const int64_t tile_floats = row_floats * std::min<int64_t>(rows, kTileRows);
  const auto most = static_cast<int64_t>(kPartialBytes / sizeof(float));
  partial_floats_ = std::max(tile_floats, std::min(row_floats * rows, most));
  experts_ = {};
  Layout layout;
  if (shape_.experts > 0) {
    experts_.rows = std::min({rows, kExpertRows, kMostBlocks / shape_.chosen_experts});
    experts_.places = experts_.rows * shape_.chosen_experts;
    for (int32_t** const list : {&experts_.expert, &experts_.place, &experts_.row_of, &experts_.expert_of})
      layout.add(*list, experts_.places);
    layout.add(experts_.weight, experts_.places);
    layout.add(experts_.items, experts_.places);
    layout.add(experts_.up, experts_.places, 2 * shape_.expert_width);
    layout.add(experts_.inner, experts_.places, shape_.expert_width);
    layout.add(experts_.down, experts_.places, shape_.hidden);
  }
  if (shape_.quantized) {
    const int64_t of_experts = experts_.places * filled(std::max(shape_.hidden, shape_.expert_width));
    const int64_t numbers = std::max(rows * inputs, of_experts);
    layout.add(quantized_, numbers);
    layout.add(x_scale_, (numbers + 8 * filled(std::max(shape_.hidden, shape_.widest_input))) / 256);
  }
  layout.add(acc_, rows, shape_.widest_output);
  layout.add(partial_, partial_floats_);
  scratch_ = {};  // before the new one, which may need its place
  auto scratch = DeviceMemory::allocate(*device_, layout.bytes(), "what steps work in");
  if (!scratch) return scratch.error();
  scratch_ = std::move(*scratch);
  layout.point_into(scratch_);
  return reserve_shrunk(0, 0);
}

// Of as many ranks at least. On any thread: steps go on with the one that they have.
Status CudaBackend::reserve_shrunk(int64_t ranks, int64_t expert_ranks) {
  const std::lock_guard lock(larger_mutex_);
  const Shrunk& newest = larger_shrunk_.memory.bytes() > 0 ? larger_shrunk_ : shrunk_;
  ranks = std::max(ranks, newest.ranks);
  expert_ranks = std::max(expert_ranks, newest.expert_ranks);
  const size_t bytes =
      product(std::max(limits_.rows * ranks, experts_.places * expert_ranks), 1, sizeof(float));
  if (bytes <= newest.memory.bytes() && ranks == newest.ranks && expert_ranks == newest.expert_ranks)
    return {};
  auto memory = DeviceMemory::allocate(*device_, bytes, "what adapters' steps work in");
  if (!memory) return memory.error();
  larger_shrunk_ = {std::move(*memory), ranks, expert_ranks};
  shrunk_bytes_.store(larger_shrunk_.memory.bytes());
  return {};
}

Result<std::unique_ptr<Tensor>> CudaBackend::tensor_create(int64_t rows, int64_t cols) {
  auto memory = DeviceMemory::allocate(*device_, product(rows, cols, sizeof(float)), "activations");
  if (!memory) return memory.error();
  return std::unique_ptr<Tensor>(std::make_unique<CudaTensor>(rows, cols, std::move(*memory)));
}

Status CudaBackend::upload(TensorView to, std::span<const float> values) {
  assert(static_cast<int64_t>(values.size()) == to.count());
  device_->enter();
  device_->copy_in(reinterpret_cast<DeviceAddress>(f32(to)), values.data(), values.size_bytes());
  return device_->wait();
}

Status CudaBackend::download(std::span<float> values, TensorView from) {
  assert(static_cast<int64_t>(values.size()) == from.count());
  device_->enter();
  device_->copy_out(values.data(), reinterpret_cast<DeviceAddress>(f32(from)), values.size_bytes());
  return device_->wait();
}

Result<std::unique_ptr<Linear>> CudaBackend::linear_create(const LinearDesc& desc) {
  return guarded([&]() -> Result<std::unique_ptr<Linear>> {
    auto matrix = matrix_of(*device_, desc.parts, desc.quantization, threads_);
    if (!matrix) return matrix.error();
    auto linear = std::make_unique<CudaLinear>();
    linear->weight = std::move(*matrix);
    int64_t first = 0;
    for (const LinearPart& part : desc.parts) {
      linear->parts.push_back({first, part.weight.rows});
      first += part.weight.rows;
    }
    const std::vector<float> bias = biases_of(desc.parts);
    if (!bias.empty()) {
      auto memory = DeviceMemory::holding(*device_, std::as_bytes(std::span(bias)), "biases");
      if (!memory) return memory.error();
      linear->bias = std::move(*memory);
    }
    return std::unique_ptr<Linear>(std::move(linear));
  });
}

Result<std::unique_ptr<Embedding>> CudaBackend::embedding_create(const EmbeddingDesc& desc) {
  return guarded([&]() -> Result<std::unique_ptr<Embedding>> {
    auto embedding = std::make_unique<CudaEmbedding>();
    if (desc.tied_head != nullptr) {
      embedding->table = static_cast<const CudaLinear*>(desc.tied_head)->weight.view;
      return std::unique_ptr<Embedding>(std::move(embedding));
    }
    if (desc.coded != nullptr) return coded_refusal();
    const LinearPart table{.weight = desc.table, .bias = std::nullopt};
    auto matrix = matrix_of(*device_, {&table, 1}, desc.quantization, threads_);
    if (!matrix) return matrix.error();
    embedding->own = std::move(*matrix);
    embedding->table = embedding->own.view;
    return std::unique_ptr<Embedding>(std::move(embedding));
  });
}

Result<std::unique_ptr<NormGain>> CudaBackend::norm_create(const NormDesc& desc) {
  return guarded([&]() -> Result<std::unique_ptr<NormGain>> {
    std::vector<float> gain(static_cast<size_t>(desc.copies * desc.width), 1.0f);
    if (desc.gain) copy_f32(gain.data(), *desc.gain);
    for (float& value : gain) value += desc.offset;
    BlockBuilder block;
    const size_t gain_at = block.add(gain);
    const size_t bias_at = desc.bias ? block.add(floats_of(*desc.bias)) : 0;
    auto memory = block.upload(*device_, "norms");
    if (!memory) return memory.error();
    auto norm = std::make_unique<CudaNormGain>();
    norm->arguments.gain = memory->at<const float>(gain_at);
    if (desc.bias) norm->arguments.bias = memory->at<const float>(bias_at);
    norm->arguments.width = desc.width;
    norm->arguments.copies = static_cast<int32_t>(desc.copies);
    norm->arguments.layer = desc.kind == NormKind::layer ? 1 : 0;
    norm->memory = std::move(*memory);
    return std::unique_ptr<NormGain>(std::move(norm));
  });
}

Result<std::unique_ptr<Rotation>> CudaBackend::rotation_create(const RotationDesc& desc) {
  return guarded([&]() -> Result<std::unique_ptr<Rotation>> {
    auto memory = DeviceMemory::holding(*device_, std::as_bytes(std::span(desc.inv_freq)), "a rotation");
    if (!memory) return memory.error();
    auto rotation = std::make_unique<CudaRotation>();
    rotation->inv_freq = std::move(*memory);
    rotation->pairs = static_cast<int32_t>(desc.inv_freq.size());
    rotation->attention_factor = desc.attention_factor;
    rotation->interleaved = desc.interleaved;
    return std::unique_ptr<Rotation>(std::move(rotation));
  });
}

Result<std::unique_ptr<Experts>> CudaBackend::experts_create(std::span<const ExpertDesc> experts) {
  return guarded([&] { return create_experts(*device_, experts, threads_); });
}

Result<std::unique_ptr<AdapterLinear>> CudaBackend::adapter_linear_create(
    const Linear& base, std::span<const AdapterPartDesc> parts) {
  return guarded([&]() -> Result<std::unique_ptr<AdapterLinear>> {
    auto adapter = create_adapter(*device_, static_cast<const CudaLinear&>(base), parts);
    if (!adapter) return adapter;
    const int64_t ranks = static_cast<const CudaAdapterLinear&>(**adapter).ranks;
    if (Status s = reserve_shrunk(ranks, 0); !s) return s.error();
    return adapter;
  });
}

Result<std::unique_ptr<AdapterEmbedding>> CudaBackend::adapter_embedding_create(
    const Embedding& base, const AdapterEmbeddingDesc& desc) {
  return guarded([&] { return create_adapter(*device_, static_cast<const CudaEmbedding&>(base), desc); });
}

Result<std::unique_ptr<AdapterExperts>> CudaBackend::adapter_experts_create(
    const Experts& base, std::span<const AdapterExpertDesc> experts) {
  return guarded([&]() -> Result<std::unique_ptr<AdapterExperts>> {
    auto adapter = create_adapter(*device_, static_cast<const CudaExperts&>(base), experts);
    if (!adapter) return adapter;
    const int64_t ranks = static_cast<const CudaAdapterExperts&>(**adapter).ranks;
    if (Status s = reserve_shrunk(0, ranks); !s) return s.error();
    return adapter;
  });
}

Result<std::unique_ptr<KvCache>> CudaBackend::kv_create(const KvDesc& desc) {
  return guarded([&]() -> Result<std::unique_ptr<KvCache>> {
    auto cache = std::make_unique<CudaKvCache>();
    size_t bytes = 0;
    for (const KvLayer& layer : desc.layers) {
      if (desc.type == DType::int8 && layer.head_dim % 2 != 0) {
        return Error{
            "an int8 KV cache needs heads of even size: the scales of a page of odd ones would lie askew"};
      }
      bytes += static_cast<size_t>(desc.pages) * kv_page_bytes(layer, desc.page_tokens, desc.type);
    }
    auto memory = DeviceMemory::allocate(*device_, bytes, "the KV cache");
    if (!memory) return memory.error();
    // Copied pages may hold slots that nobody wrote.
    if (Status s = device_->fill(memory->address(), 0, bytes); !s) return s.error();
    cache->desc = desc;
    size_t at = 0;
    for (const KvLayer& layer : desc.layers) {
      const size_t page_bytes = kv_page_bytes(layer, desc.page_tokens, desc.type);
      cache->layers.push_back({.layer = memory->at<uint8_t>(at),
                               .page_bytes = static_cast<int64_t>(page_bytes),
                               .page_tokens = desc.page_tokens,
                               .kv_heads = layer.kv_heads,
                               .head_dim = layer.head_dim,
                               .type = element_of(desc.type)});
      at += static_cast<size_t>(desc.pages) * page_bytes;
    }
    cache->memory = std::move(*memory);
    // Page tables of the longest sequences.
    const int64_t pages = (limits_.context + desc.page_tokens - 1) / desc.page_tokens + 1;
    const size_t lists = std::max(kListBytes, static_cast<size_t>(limits_.sequences) * 4096);
    const size_t before = buffer_.bytes();
    if (Status s = buffer_.reserve(*device_, plan_bytes(pages * limits_.sequences) + lists); !s)
      return s.error();
    scratch_bytes_.fetch_add(buffer_.bytes() - before);
    return std::unique_ptr<KvCache>(std::move(cache));
  });
}

}  // namespace cuda

Result<std::unique_ptr<Backend>> make_cuda_backend(const BackendOptions& options) {
  return guarded([&]() -> Result<std::unique_ptr<Backend>> {
    auto device = cuda::Device::open(options.device, options.deadline_ms);
    if (!device) return device.error();
    return std::unique_ptr<Backend>(std::make_unique<cuda::CudaBackend>(std::move(*device), options.threads));
  });
}

Result<DeviceProbe> probe_cuda(int ordinal) {
  return guarded([&]() -> Result<DeviceProbe> {
    auto device = cuda::Device::open_without_kernels(ordinal);
    if (!device) return device.error();
    DeviceProbe probe{.device = (*device)->description()};
    if (Status s = (*device)->memory(probe.free_bytes, probe.total_bytes); !s) return s.error();
    return probe;
  });
}

Result<int> count_cuda() {
  return guarded([&]() -> Result<int> {
    const auto driver = cuda::Driver::open();
    if (!driver) return driver.error();
    int count = 0;
    const cuda::Driver& d = **driver;
    if (Status s = d.status(d.device_count(&count), "counting devices"); !s) return s.error();
    return count;
  });
}

}  // namespace lorikeet
