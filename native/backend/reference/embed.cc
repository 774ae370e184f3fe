// The embedding is a linear map of a one-hot row: y = ratio * (table[token] + B A[:, token]); rows trained
// one by one (trainable_token_indices) replace the result.

#include <cmath>
#include <cstring>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

size_t RefAdapterEmbedding::bytes() const {
  return bytes_of(a) + bytes_of(b) + bytes_of(ratio) + bytes_of(weight) +
         token_rows.size() * sizeof(int32_t) + bytes_of(token_row_values);
}

Result<std::unique_ptr<Embedding>> ReferenceBackend::embedding_create(const EmbeddingDesc& desc) {
  auto embedding = std::make_unique<RefEmbedding>();
  embedding->vocab = desc.table.rows;
  embedding->hidden = desc.table.cols;
  embedding->head = static_cast<const RefLinear*>(desc.tied_head);
  if (desc.tied_head == nullptr) {
    Result<Floats> table = desc.coded ? to_floats(*desc.coded) : to_floats(desc.table, desc.quantization);
    if (!table) return table.error();
    embedding->own = std::move(*table);
  }
  return std::unique_ptr<Embedding>(std::move(embedding));
}

namespace {

double delta_of(const RefAdapterEmbedding& adapter, int64_t token, int64_t h) {
  double sum = 0;
  for (int r = 0; r < adapter.rank; ++r) {
    sum += static_cast<double>(adapter.b[h * adapter.rank + r]) * adapter.a[r * adapter.vocab + token];
  }
  return sum;
}

double embedded(const RefEmbedding& base, const RefAdapterEmbedding& adapter, int64_t token, int64_t h,
                float scale = 1.0f) {
  const float* row = adapter.weight ? adapter.weight->data() + token * base.hidden : base.row(token);
  return row[h] + scale * delta_of(adapter, token, h);
}

// The norm runs over a column of the table: the module's weight is [H, V] in the linear's sense.
Result<Floats> dora_ratio(const Floats& magnitude, const RefEmbedding& base,
                          const RefAdapterEmbedding& adapter) {
  Floats ratio(magnitude.size());
  for (int64_t h = 0; h < base.hidden; ++h) {
    double squares = 0;
    for (int64_t token = 0; token < adapter.vocab; ++token) {
      const double value = embedded(base, adapter, token, h);
      squares += value * value;
    }
    if (!(squares > 0)) return Error{"DoRA: a column of the table is zero, so it has no direction"};
    ratio[h] = static_cast<float>(magnitude[h] / std::sqrt(squares));
  }
  return ratio;
}

void embed_row(float* y, const RefEmbedding& base, const EmbeddingSegment& segment, int32_t token) {
  const auto& adapter = static_cast<const RefAdapterEmbedding&>(*segment.adapter);
  for (size_t i = 0; i < adapter.token_rows.size(); ++i) {
    if (adapter.token_rows[i] != token) continue;
    std::memcpy(y, &adapter.token_row_values[i * base.hidden], base.hidden * sizeof(float));
    return;
  }
  for (int64_t h = 0; h < base.hidden; ++h) {
    const double value = embedded(base, adapter, token, h, segment.scale);
    y[h] = static_cast<float>(adapter.ratio ? value * (*adapter.ratio)[h] : value);
  }
}

}  // namespace

Result<std::unique_ptr<AdapterEmbedding>> ReferenceBackend::adapter_embedding_create(
    const Embedding& base, const AdapterEmbeddingDesc& desc) {
  const auto& table = static_cast<const RefEmbedding&>(base);
  auto adapter = std::make_unique<RefAdapterEmbedding>();
  adapter->vocab = desc.vocab > 0 ? desc.vocab : table.vocab;
  adapter->rank = desc.rank;
  if (desc.rank > 0) {
    adapter->a = to_floats(desc.a);
    adapter->b = to_floats(desc.b);
    for (float& value : adapter->b) value *= desc.scale;
  }
  adapter->weight = to_floats(desc.weight);
  if (desc.magnitude) {
    Result<Floats> ratio = dora_ratio(to_floats(*desc.magnitude), table, *adapter);
    if (!ratio) return ratio.error();
    adapter->ratio = std::move(*ratio);
  }
  adapter->token_rows = desc.token_rows;
  if (desc.token_row_values) adapter->token_row_values = to_floats(*desc.token_row_values);
  return std::unique_ptr<AdapterEmbedding>(std::move(adapter));
}

void ReferenceBackend::embed(TensorView y, const Embedding& table,
                             std::span<const EmbeddingSegment> segments) {
  if (!step_.runs()) return;
  const auto& embedding = static_cast<const RefEmbedding&>(table);
  const int64_t hidden = embedding.hidden;
  const std::span<const int32_t> token = step_.input().token;
  for (size_t row = 0; row < token.size(); ++row) {
    if (token[row] >= embedding.vocab) continue;  // its adapter's
    std::memcpy(f32(y) + static_cast<int64_t>(row) * hidden, embedding.row(token[row]),
                hidden * sizeof(float));
  }
  for (const EmbeddingSegment& segment : segments) {
    for (int64_t row = segment.row0; row < segment.row0 + segment.rows; ++row) {
      embed_row(f32(y) + row * hidden, embedding, segment, token[row]);
    }
  }
}

void ReferenceBackend::embed_positions(TensorView y, const Embedding& table, int32_t offset) {
  if (!step_.runs()) return;
  const auto& embedding = static_cast<const RefEmbedding&>(table);
  const std::span<const int32_t> position = step_.input().position;
  for (size_t row = 0; row < position.size(); ++row) {
    const float* const from = embedding.row(position[row] + offset);
    float* const to = f32(y) + static_cast<int64_t>(row) * embedding.hidden;
    for (int64_t h = 0; h < embedding.hidden; ++h) to[h] += from[h];
  }
}

}  // namespace lorikeet::reference
