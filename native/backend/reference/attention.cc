// Scaled dot-product attention (Vaswani et al. 2017), causal, with grouped KV heads (Ainslie et al. 2023)
// over paged K/V (Kwon et al. 2023). Optional window (Beltagy et al. 2020), logit soft cap (Gemma 2), alibi
// (Press et al. 2021) and sinks (gpt-oss).

#include <algorithm>
#include <cmath>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

namespace {

// out [n] *= sigmoid(gate)
void gate(float* out, const float* gate, int64_t n) {
  for (int64_t i = 0; i < n; ++i)
    out[i] = static_cast<float>(out[i] / (1.0 + std::exp(-static_cast<double>(gate[i]))));
}

}  // namespace

// One row's query head, and what it sees.
struct ReferenceBackend::Query {
  const float* q;  // [D]
  const AttentionDesc& desc;
  const RefKvCache& kv;
  int layer;
  const int32_t* page_table;  // of the row's sequence
  int32_t first;              // first visible position
  int32_t last;               // the row's own position
  int head;
  int kv_head;

  // to [D]; `which` 0 is K, 1 is V
  void load(double* to, int32_t position, int which) const {
    const int page_tokens = kv.desc.page_tokens;
    const int32_t slot = page_table[position / page_tokens] * page_tokens + position % page_tokens;
    kv.load(to, layer, slot, which, kv_head);
  }
};

double ReferenceBackend::score(const Query& query, int32_t position) {
  const AttentionDesc& desc = query.desc;
  query.load(vector_.data(), position, 0);
  double sum = 0;
  for (int i = 0; i < desc.head_dim; ++i) sum += static_cast<double>(query.q[i]) * vector_[i];
  sum *= desc.scale;
  if (desc.alibi_slopes != nullptr) {
    const float slope = f32(desc.alibi_slopes)[query.head];
    sum += desc.coarse_alibi
               ? static_cast<double>(desc.scale) *
                     static_cast<double>(bf16_to_f32(f32_to_bf16(slope * static_cast<float>(position))))
               : static_cast<double>(slope) * (position - query.last);
  }
  return desc.softcap > 0 ? desc.softcap * std::tanh(sum / desc.softcap) : sum;
}

// out [D] = sum over visible positions of softmax(score) * V
void ReferenceBackend::attend(float* out, const Query& query) {
  const int d = query.desc.head_dim;
  const std::span<double> weight =
      std::span(weights_).first(static_cast<size_t>(query.last - query.first + 1));
  const double sink = query.desc.sinks == nullptr ? -INFINITY : f32(query.desc.sinks)[query.head];
  double top = sink;
  for (int32_t position = query.first; position <= query.last; ++position) {
    const double value = score(query, position);
    weight[position - query.first] = value;
    top = std::max(top, value);
  }
  double total = std::exp(sink - top);
  for (double& w : weight) total += w = std::exp(w - top);
  std::fill_n(sum_.begin(), d, 0.0);
  for (int32_t position = query.first; position <= query.last; ++position) {
    query.load(vector_.data(), position, 1);
    const double w = weight[position - query.first] / total;
    for (int i = 0; i < d; ++i) sum_[i] += w * vector_[i];
  }
  for (int i = 0; i < d; ++i) out[i] = static_cast<float>(sum_[i]);
}

void ReferenceBackend::attention(TensorView out, TensorView qkv, const KvCache& kv, int layer,
                                 const AttentionDesc& desc) {
  if (!step_.runs()) return;
  const StepInput& step = step_.input();
  const int d = desc.head_dim;
  const int group = desc.q_heads / desc.kv_heads;
  for (size_t s = 0; s + 1 < step.q_start.size(); ++s) {
    const int32_t* table = step.page_table.data() + static_cast<int64_t>(s) * step.page_table_stride;
    for (int64_t row = step.q_start[s]; row < step.q_start[s + 1]; ++row) {
      const int32_t last = step.position[row];
      const int32_t first = desc.first_seen(last);
      for (int h = 0; h < desc.q_heads; ++h) {
        attend(f32(out) + (row * desc.q_heads + h) * d,
               {.q = f32(qkv) + row * desc.width() + desc.q_begin() + int64_t{h} * d,
                .desc = desc,
                .kv = static_cast<const RefKvCache&>(kv),
                .layer = layer,
                .page_table = table,
                .first = first,
                .last = last,
                .head = h,
                .kv_head = h / group});
      }
      if (desc.gated) gate(f32(out) + row * desc.q_width(), f32(qkv) + row * desc.width(), desc.q_width());
    }
  }
}

}  // namespace lorikeet::reference
