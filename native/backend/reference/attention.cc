// Scaled dot-product attention (Vaswani et al. 2017), causal, with grouped KV heads (Ainslie et al. 2023)
// over paged K/V (Kwon et al. 2023). Optional window (Beltagy et al. 2020), logit soft cap (Gemma 2), alibi
// (Press et al. 2021) and sinks (gpt-oss).

#include <algorithm>
#include <cmath>

#include "backend/reference/backend.h"

namespace lorikeet::reference {

namespace {

struct Query {
  const float* q;             // [D]
  const int32_t* page_table;  // of the row's sequence
  int32_t first;              // first visible position
  int32_t last;               // the row's own position
  int head;
  int kv_head;
};

// What a query sees of the cache.
struct Cache {
  const RefKvCache& kv;
  int layer;

  // `which` 0 is K, 1 is V
  std::vector<double> vector(const Query& query, int32_t position, int which) const {
    const int page_tokens = kv.desc.page_tokens;
    const int32_t slot = query.page_table[position / page_tokens] * page_tokens + position % page_tokens;
    std::vector<double> result(kv.desc.layers[layer].head_dim);
    kv.load(result.data(), layer, slot, which, query.kv_head);
    return result;
  }
};

double score(const Query& query, const Cache& cache, int32_t position, const AttentionDesc& desc) {
  const std::vector<double> key = cache.vector(query, position, 0);
  double sum = 0;
  for (int i = 0; i < desc.head_dim; ++i) sum += static_cast<double>(query.q[i]) * key[i];
  sum *= desc.scale;
  if (!desc.alibi_slopes.empty())
    sum += static_cast<double>(desc.alibi_slopes[query.head]) * (position - query.last);
  return desc.softcap > 0 ? desc.softcap * std::tanh(sum / desc.softcap) : sum;
}

// out [D] = sum over visible positions of softmax(score) * V
void attend(float* out, const Query& query, const Cache& cache, const AttentionDesc& desc) {
  std::vector<double> weight;
  const double sink = desc.sinks.empty() ? -INFINITY : desc.sinks[query.head];
  double top = sink;
  for (int32_t position = query.first; position <= query.last; ++position) {
    weight.push_back(score(query, cache, position, desc));
    top = std::max(top, weight.back());
  }
  double total = std::exp(sink - top);
  for (double& w : weight) total += w = std::exp(w - top);
  std::vector<double> sum(desc.head_dim, 0.0);
  for (int32_t position = query.first; position <= query.last; ++position) {
    const std::vector<double> value = cache.vector(query, position, 1);
    const double w = weight[position - query.first] / total;
    for (int i = 0; i < desc.head_dim; ++i) sum[i] += w * value[i];
  }
  for (int i = 0; i < desc.head_dim; ++i) out[i] = static_cast<float>(sum[i]);
}

}  // namespace

void ReferenceBackend::attention(float* out, const float* qkv, const KvCache& kv, int layer,
                                 const AttentionDesc& desc) {
  const Cache cache{static_cast<const RefKvCache&>(kv), layer};
  const int d = desc.head_dim;
  const int64_t width = static_cast<int64_t>(desc.q_heads + 2 * desc.kv_heads) * d;
  const int group = desc.q_heads / desc.kv_heads;
  for (size_t s = 0; s + 1 < step_.q_start.size(); ++s) {
    const int32_t* table = step_.page_table.data() + static_cast<int64_t>(s) * step_.page_table_ld;
    for (int64_t row = step_.q_start[s]; row < step_.q_start[s + 1]; ++row) {
      const int32_t last = step_.position[row];
      const int32_t first = desc.window > 0 ? std::max(0, last - desc.window + 1) : 0;
      for (int h = 0; h < desc.q_heads; ++h) {
        const Query query{qkv + row * width + int64_t{h} * d, table, first, last, h, h / group};
        attend(out + (row * desc.q_heads + h) * d, query, cache, desc);
      }
    }
  }
}

}  // namespace lorikeet::reference
