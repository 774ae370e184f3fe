#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <numeric>
#include <string>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/dtype.h"

namespace lorikeet::cpu {
namespace {

constexpr int64_t kGatheredReadCost = 8;  // an element out of the head's tiles costs a cache line

std::optional<Memory> copy_bytes(const HostTensor& tensor) {
  const size_t bytes = static_cast<size_t>(tensor.rows * tensor.cols) * dtype_bytes(tensor.dtype);
  auto memory = Memory::allocate(bytes);
  if (!memory) return memory;
  constexpr size_t kPiece = size_t{4} << 20;  // so much of the checkpoint lies in memory twice
  for (size_t at = 0; at < bytes; at += kPiece) {
    const size_t size = std::min(kPiece, bytes - at);
    std::memcpy(memory->data() + at, tensor.data + at, size);
    if (tensor.done_with != nullptr) tensor.done_with(tensor.data + at, tensor.data + at + size);
  }
  return memory;
}

// to [cols, rows] float32 = the tensor's transpose times scale
std::optional<Memory> copy_transposed(const HostTensor& tensor, float scale) {
  auto memory = Memory::allocate(static_cast<size_t>(tensor.rows * tensor.cols) * sizeof(float));
  if (!memory) return std::nullopt;
  for (int64_t col = 0; col < tensor.cols; ++col) {
    for (int64_t row = 0; row < tensor.rows; ++row) {
      memory->f32()[col * tensor.rows + row] =
          scale * load_f32(tensor.data, tensor.dtype, row * tensor.cols + col);
    }
  }
  return memory;
}

Status check(const AdapterEmbeddingDesc& desc, int64_t vocab, int64_t hidden) {
  if (desc.rank < 0) return Error{"an embedding adapter's rank is negative"};
  if (desc.rank > 0 && (desc.a.rows != desc.rank || desc.a.cols != vocab)) {
    return Error{"lora_embedding_A must have shape [rank, vocabulary]"};
  }
  if (desc.rank > 0 && (desc.b.rows != hidden || desc.b.cols != desc.rank)) {
    return Error{"lora_embedding_B must have shape [hidden, rank]"};
  }
  if (desc.magnitude && desc.magnitude->rows * desc.magnitude->cols != hidden) {
    return Error{"an embedding's DoRA magnitude must have one value per hidden dimension"};
  }
  if (desc.weight && (desc.weight->rows != vocab || desc.weight->cols != hidden)) {
    return Error{"a replaced embedding must have shape [vocabulary, hidden]"};
  }
  const auto replaced = static_cast<int64_t>(desc.token_rows.size());
  if (replaced > 0 && (!desc.token_row_values || desc.token_row_values->rows != replaced ||
                       desc.token_row_values->cols != hidden)) {
    return Error{"replaced token rows must have shape [tokens, hidden]"};
  }
  for (const int32_t token : desc.token_rows) {
    if (token < 0 || token >= vocab)
      return Error{"a replaced token row " + std::to_string(token) + " does not exist"};
  }
  return {};
}

// y [hidden] = the row of the table, or of the adapter's own where it has one (its token rows aside)
void read_row(const Kernels& kernels, const CpuEmbedding& base, const CpuAdapterEmbedding* adapter,
              int64_t token, float* y) {
  const bool own = adapter != nullptr && !adapter->weight.empty();
  if (!own && base.head != nullptr) return base.head->read_row(y, token);
  if (!own && base.coded) return base.coded->read_row(y, token);
  if (!own && !base.quantized.empty()) return base.quantized.read_row(y, token);
  const DType dtype = own ? adapter->weight_dtype : base.dtype;
  const std::byte* const table = own ? adapter->weight.data() : base.table.data();
  const auto row_bytes = base.hidden * static_cast<int64_t>(dtype_bytes(dtype));
  kernels.load_row[static_cast<int>(dtype)](y, table + token * row_bytes, base.hidden);
}

void add_delta(const Kernels& kernels, const CpuAdapterEmbedding& adapter, int64_t token, int64_t hidden,
               float* y, float scale = 1.0f) {
  const float* const a = adapter.a.f32() + token * adapter.rank;
  for (int r = 0; r < adapter.rank; ++r)
    kernels.add_scaled(y, adapter.b.f32() + r * hidden, scale * a[r], hidden);
}

// The DoRA norm of hidden dimension h runs over the vocabulary: PEFT treats the table as the matrix [hidden,
// vocab].
Status to_ratio(const Kernels& kernels, const CpuEmbedding& base, CpuAdapterEmbedding& adapter) {
  std::vector<double> sums(static_cast<size_t>(base.hidden));
  std::vector<float> row(static_cast<size_t>(base.hidden));
  for (int64_t token = 0; token < adapter.vocab; ++token) {
    read_row(kernels, base, &adapter, token, row.data());
    add_delta(kernels, adapter, token, base.hidden, row.data());
    for (size_t h = 0; h < row.size(); ++h)
      sums[h] += static_cast<double>(row[h]) * static_cast<double>(row[h]);
  }
  for (size_t h = 0; h < sums.size(); ++h) {
    float& value = adapter.ratio.f32()[h];
    value = static_cast<float>(static_cast<double>(value) / std::sqrt(sums[h]));
    if (!std::isfinite(value))
      return Error{"an embedding's DoRA norm is zero or its magnitude is not finite"};
  }
  return {};
}

// Replaced rows in ascending order of their token, so that a step finds them by bisection.
bool take_token_rows(const AdapterEmbeddingDesc& desc, int64_t hidden, CpuAdapterEmbedding& adapter) {
  std::vector<size_t> order(desc.token_rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return desc.token_rows[a] < desc.token_rows[b]; });
  auto values = Memory::allocate(order.size() * static_cast<size_t>(hidden) * sizeof(float));
  if (!values) return false;
  for (size_t i = 0; i < order.size(); ++i) {
    adapter.token_rows.push_back(desc.token_rows[order[i]]);
    for (int64_t h = 0; h < hidden; ++h) {
      values->f32()[static_cast<int64_t>(i) * hidden + h] =
          load_f32(desc.token_row_values->data, desc.token_row_values->dtype,
                   static_cast<int64_t>(order[i]) * hidden + h);
    }
  }
  adapter.token_values = std::move(*values);
  return true;
}

}  // namespace

size_t CpuAdapterEmbedding::bytes() const {
  return a.bytes() + b.bytes() + ratio.bytes() + weight.bytes() + token_values.bytes() +
         token_rows.size() * sizeof(int32_t);
}

Result<std::unique_ptr<Embedding>> CpuBackend::embedding_create(const EmbeddingDesc& desc) {
  const HostTensor& table = desc.table;
  auto embedding = std::make_unique<CpuEmbedding>();
  embedding->vocab = table.rows;
  embedding->hidden = table.cols;
  if (desc.tied_head != nullptr) {
    const auto& head = *static_cast<const CpuLinear*>(desc.tied_head);
    if (head.parts.size() != 1 || head.n != table.rows || head.k != table.cols) {
      return Error{"a tied head must have the shape of the embedding"};
    }
    embedding->head = &head.parts.front().weight;
  } else if (desc.coded) {
    auto coded = CodedWeight::pack(*desc.coded, kernels_.lanes, pool_.threads());
    if (!coded) return coded.error();
    embedding->coded = std::move(*coded);
  } else if (desc.quantization != Quantization::none) {
    auto quantized = QuantizedTable::pack(table, pool_.threads());
    if (!quantized) return quantized.error();
    embedding->quantized = std::move(*quantized);
  } else {
    auto memory = copy_bytes(table);
    if (!memory) return out_of_memory("the embedding");
    embedding->dtype = table.dtype;
    embedding->table = std::move(*memory);
  }
  return std::unique_ptr<Embedding>(std::move(embedding));
}

Result<std::unique_ptr<AdapterEmbedding>> CpuBackend::adapter_embedding_create(
    const Embedding& base, const AdapterEmbeddingDesc& desc) {
  const auto& table = static_cast<const CpuEmbedding&>(base);
  auto adapter = std::make_unique<CpuAdapterEmbedding>();
  adapter->vocab = desc.vocab > 0 ? desc.vocab : table.vocab;
  if (Status status = check(desc, adapter->vocab, table.hidden); !status) return status.error();
  adapter->rank = desc.rank;
  const auto take = [](std::optional<Memory> from, Memory& to) {
    if (from) to = std::move(*from);
    return from.has_value();
  };
  bool held = true;
  if (desc.rank > 0) {
    held = take(copy_transposed(desc.a, desc.scale), adapter->a) &&
           take(copy_transposed(desc.b, 1.0f), adapter->b);
  }
  if (desc.weight) {
    adapter->weight_dtype = desc.weight->dtype;
    held = held && take(copy_bytes(*desc.weight), adapter->weight);
  }
  if (desc.magnitude) held = held && take(copy_f32(*desc.magnitude), adapter->ratio);
  if (!desc.token_rows.empty()) held = held && take_token_rows(desc, table.hidden, *adapter);
  if (!held) return out_of_memory("an embedding adapter");
  if (desc.magnitude) {
    if (Status status = to_ratio(kernels_, table, *adapter); !status) return status.error();
  }
  return std::unique_ptr<AdapterEmbedding>(std::move(adapter));
}

void CpuBackend::embed(TensorView y, const Embedding& table, std::span<const EmbeddingSegment> segments) {
  if (!step_.runs()) return;
  float* const to = f32(y);
  const auto& base = static_cast<const CpuEmbedding&>(table);
  const int64_t cost = base.hidden * (base.head != nullptr || base.coded ? kGatheredReadCost : 1);
  for_rows(step_.rows(), cost, [&](int64_t row, int) {
    const int32_t token = step_.input().token[static_cast<size_t>(row)];
    float* const out = to + row * base.hidden;
    const auto segment = std::partition_point(
        segments.begin(), segments.end(), [&](const EmbeddingSegment& s) { return s.row0 + s.rows <= row; });
    const bool adapted = segment != segments.end() && segment->row0 <= row;
    const auto* const adapter = adapted ? static_cast<const CpuAdapterEmbedding*>(segment->adapter) : nullptr;
    assert(token >= 0 && token < (adapter == nullptr ? base.vocab : adapter->vocab));
    if (adapter == nullptr) return read_row(kernels_, base, nullptr, token, out);
    const auto own = std::lower_bound(adapter->token_rows.begin(), adapter->token_rows.end(), token);
    if (own != adapter->token_rows.end() && *own == token) {
      // A row trained by itself is the result: neither the low-rank delta nor DoRA touches it.
      const float* const values =
          adapter->token_values.f32() + (own - adapter->token_rows.begin()) * base.hidden;
      std::memcpy(out, values, static_cast<size_t>(base.hidden) * sizeof(float));
      return;
    }
    read_row(kernels_, base, adapter, token, out);
    add_delta(kernels_, *adapter, token, base.hidden, out, segment->scale);
    if (!adapter->ratio.empty()) kernels_.multiply_row(out, adapter->ratio.f32(), base.hidden);
  });
}

void CpuBackend::embed_positions(TensorView y, const Embedding& table, int32_t offset) {
  if (!step_.runs()) return;
  const auto& base = static_cast<const CpuEmbedding&>(table);
  const std::span<const int32_t> position = step_.input().position;
  float* const to = f32(y);
  for_rows(step_.rows(), 2 * base.hidden, [&](int64_t row, int thread) {
    float* const own =
        thread_scratch_[static_cast<size_t>(thread)].floats(static_cast<size_t>(base.hidden + kSlack));
    read_row(kernels_, base, nullptr, int64_t{position[static_cast<size_t>(row)]} + offset, own);
    kernels_.add_scaled(to + row * base.hidden, own, 1.0f, base.hidden);
  });
}

}  // namespace lorikeet::cpu
