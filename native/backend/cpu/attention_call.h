// Causal attention over KV pages: what one item of the work computes. Included by attention.cc only.
//
// A row's context is cut into splits of 256 positions, counted from position 0 whatever the pages, the chunk
// or the batch. Inside a split: scores, one maximum, exponentials, their weighted values; then splits are
// merged in ascending order. So a row's result is one fixed sequence of operations, whether it is computed
// alone, beside other rows of its sequence, or (few rows, long context) with its splits spread over threads.
#pragma once

#include <algorithm>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/kv_type.h"

namespace lorikeet::cpu {

constexpr int kSplit = 256;
constexpr int kScoreStride = kSplit + kSlack;

struct Range {
  int begin, end;
  int size() const { return end - begin; }
  bool empty() const { return begin >= end; }
};

// Sums not yet divided, by query of an item: [queries], [queries], [queries, head_dim].
struct Partial {
  float* max;
  float* sum;
  float* o;
};

struct CpuBackend::AttentionCall {
  const Kernels& kernels;
  float* out;
  const float* qkv;  // at the first row's queries
  const CpuKvCache& kv;
  int layer;
  const AttentionDesc& desc;
  std::span<const float> sinks;         // [HQ] or empty
  std::span<const float> alibi_slopes;  // [HQ] or empty
  const StepInput& step;
  int group;  // query heads per KV head

  // What one item computes. Its queries are ordered [KV head][row][query head of the group].
  struct Item {
    const AttentionBlock& block;
    Range heads;  // KV heads
  };
  struct Work {
    float* q;       // [queries, head_dim]
    float* scores;  // [queries, kScoreStride]
    Partial total;
    Partial split;
  };

  int head_dim() const { return desc.head_dim; }
  bool quantized() const { return kv.desc.type == DType::int8; }
  int queries_of(const Item& item) const { return item.heads.size() * item.block.rows * group; }
  int64_t query_of(const Item& item, int head, int row) const {
    return (int64_t{head - item.heads.begin} * item.block.rows + row) * group;
  }
  // Of the memory behind an item's queries.
  struct Sizes {
    int head_dim;
    int64_t partial_floats(int64_t queries) const { return queries * (head_dim + 2); }
    size_t work_floats(int64_t queries) const {
      return static_cast<size_t>(queries * (head_dim + kScoreStride) + 2 * partial_floats(queries));
    }
  };
  Partial partial_at(float* memory, int64_t queries) const {
    return {memory, memory + queries, memory + 2 * queries};
  }
  Work work_at(float* memory, int64_t queries) const {
    float* const scores = memory + queries * head_dim();
    float* const total = scores + queries * kScoreStride;
    return {memory, scores, partial_at(total, queries),
            partial_at(total + Sizes{head_dim()}.partial_floats(queries), queries)};
  }

  // Positions that row r of the block sees.
  Range seen(const AttentionBlock& block, int row) const {
    const int position = block.position0 + row;
    return {desc.first_seen(position), position + 1};
  }
  Range seen_in(const AttentionBlock& block, int row, int split) const {
    const Range all = seen(block, row);
    return {std::max(all.begin, split * kSplit), std::min(all.end, (split + 1) * kSplit)};
  }
  Range splits(const AttentionBlock& block) const {
    return {seen(block, 0).begin / kSplit, (seen(block, block.rows - 1).end - 1) / kSplit + 1};
  }
  // Rows of the block that see something of the split; they are contiguous.
  Range rows_of(const AttentionBlock& block, int split) const {
    Range rows{0, block.rows};
    while (!rows.empty() && seen_in(block, rows.begin, split).empty()) ++rows.begin;
    while (!rows.empty() && seen_in(block, rows.end - 1, split).empty()) --rows.end;
    return rows;
  }

  // Calls body(page, first token in the page, count, position) for the pages under the positions.
  template <class Body>
  void for_pages(int sequence, Range positions, Body&& body) const {
    const int page_tokens = kv.desc.page_tokens;
    const int32_t* const table = step.page_table.data() + int64_t{sequence} * step.page_table_stride;
    for (int position = positions.begin; position < positions.end;) {
      const int first = position % page_tokens;
      const int count = std::min(page_tokens - first, positions.end - position);
      body(int64_t{table[position / page_tokens]}, first, count, position);
      position += count;
    }
  }

  void load_queries(const Item& item, float* q) const {
    const int64_t row_floats = desc.width();
    const int64_t width = int64_t{group} * head_dim();
    for (int head = item.heads.begin; head < item.heads.end; ++head) {
      for (int row = 0; row < item.block.rows; ++row) {
        std::memcpy(q + query_of(item, head, row) * head_dim(),
                    qkv + (item.block.row0 + row) * row_floats + head * width,
                    static_cast<size_t>(width) * sizeof(float));
      }
    }
  }

  void score(const Item& item, int split, Range rows, const Work& work) const {
    const auto run = kernels.key_product[static_cast<int>(kv.desc.type)];
    const Range positions{seen_in(item.block, rows.begin, split).begin,
                          seen_in(item.block, rows.end - 1, split).end};
    for_pages(item.block.sequence, positions, [&](int64_t page, int first, int count, int position) {
      for (int head = item.heads.begin; head < item.heads.end; ++head) {
        const int64_t query = query_of(item, head, rows.begin);
        run({.scores = work.scores + query * kScoreStride + (position - split * kSplit),
             .score_stride = kScoreStride,
             .q = work.q + query * head_dim(),
             .queries = rows.size() * group,
             .d = head_dim(),
             .k = kv.keys(layer, page, head) + first * static_cast<int64_t>(dtype_bytes(kv.desc.type)),
             .k_stride = kv.desc.page_tokens,
             .k_scale = quantized() ? kv.key_scales(layer, page, head) + first : nullptr,
             .n = count});
      }
    });
  }

  void soften(const Item& item, int split, int row, const Work& work) const {
    const Range own = seen_in(item.block, row, split);
    for (int head = item.heads.begin; head < item.heads.end; ++head) {
      const int64_t first = query_of(item, head, row);
      for (int64_t query = first; query < first + group; ++query) {
        const int64_t q_head = int64_t{head} * group + query - first;
        SoftmaxRow softmax{.scores = work.scores + query * kScoreStride,
                           .begin = own.begin - split * kSplit,
                           .end = own.end - split * kSplit,
                           .scale = desc.scale,
                           .softcap = desc.softcap,
                           .slope = alibi_slopes.empty() ? 0.0f : alibi_slopes[static_cast<size_t>(q_head)],
                           .distance = static_cast<float>(split * kSplit - item.block.position0 - row),
                           .coarse = desc.coarse_alibi,
                           .begin_position = split * kSplit,
                           .max = 0.0f,
                           .sum = 0.0f};
        kernels.softmax_row(softmax);
        work.split.max[query] = softmax.max;
        work.split.sum[query] = softmax.sum;
      }
    }
  }

  // work.split.o of the rows' queries += weights * values of the positions, once per row and position: in
  // int8 the weights are scaled in place.
  void add_values(const Item& item, int split, Range rows, Range positions, const Work& work) const {
    const auto run = kernels.value_product[static_cast<int>(kv.desc.type)];
    for_pages(item.block.sequence, positions, [&](int64_t page, int first, int count, int position) {
      for (int head = item.heads.begin; head < item.heads.end; ++head) {
        const int64_t query = query_of(item, head, rows.begin);
        const int queries = rows.size() * group;
        float* const weights = work.scores + query * kScoreStride + (position - split * kSplit);
        if (quantized()) {
          kernels.scale_weights({.p = weights,
                                 .p_stride = kScoreStride,
                                 .queries = queries,
                                 .scale = kv.value_scales(layer, page, head) + first,
                                 .n = count});
        }
        run({.o = work.split.o + query * head_dim(),
             .p = weights,
             .p_stride = kScoreStride,
             .queries = queries,
             .d = head_dim(),
             .v = kv.values(layer, page, head) +
                  int64_t{first} * head_dim() * static_cast<int64_t>(dtype_bytes(kv.desc.type)),
             .n = count});
      }
    });
  }

  // Fills work.split for the rows that see the split; returns them. A value is added for a row only where the
  // row sees it: weight 0 would turn another row's infinity into NaN.
  Range attend_split(const Item& item, int split, const Work& work) const {
    const Range rows = rows_of(item.block, split);
    if (rows.empty()) return rows;
    score(item, split, rows, work);
    Range shared{0, (split + 1) * kSplit};
    for (int row = rows.begin; row < rows.end; ++row) {
      const Range own = seen_in(item.block, row, split);
      shared = {std::max(shared.begin, own.begin), std::min(shared.end, own.end)};
      soften(item, split, row, work);
    }
    std::memset(work.split.o, 0, static_cast<size_t>(queries_of(item) * head_dim()) * sizeof(float));
    const auto own_values = [&](auto part_of) {
      for (int row = rows.begin; row < rows.end; ++row) {
        add_values(item, split, {row, row + 1}, part_of(seen_in(item.block, row, split)), work);
      }
    };
    if (shared.empty()) {
      own_values([](Range own) { return own; });
      return rows;
    }
    own_values([&](Range own) { return Range{own.begin, shared.begin}; });
    add_values(item, split, rows, shared, work);
    own_values([&](Range own) { return Range{shared.end, own.end}; });
    return rows;
  }

  // A sink is a split of its own before all others: one position of weight 1 and value 0.
  void clear(const Item& item, const Partial& total) const {
    const int queries = queries_of(item);
    std::fill_n(total.max, queries, -__builtin_inff());
    std::fill_n(total.sum, queries, sinks.empty() ? 0.0f : 1.0f);
    std::memset(total.o, 0, static_cast<size_t>(queries * head_dim()) * sizeof(float));
    if (sinks.empty()) return;
    for (int head = item.heads.begin; head < item.heads.end; ++head) {
      for (int row = 0; row < item.block.rows; ++row) {
        std::copy_n(&sinks[static_cast<size_t>(int64_t{head} * group)], group,
                    total.max + query_of(item, head, row));
      }
    }
  }

  void merge(const Item& item, const Partial& total, const Partial& part, Range rows) const {
    for (int head = item.heads.begin; head < item.heads.end; ++head) {
      const int64_t end = query_of(item, head, rows.end);
      for (int64_t query = query_of(item, head, rows.begin); query < end; ++query) {
        kernels.attention_merge({.o = total.o + query * head_dim(),
                                 .max = total.max + query,
                                 .sum = total.sum + query,
                                 .other_o = part.o + query * head_dim(),
                                 .other_max = part.max[query],
                                 .other_sum = part.sum[query],
                                 .d = head_dim()});
      }
    }
  }

  void write(const Item& item, const Partial& total) const {
    for (int head = item.heads.begin; head < item.heads.end; ++head) {
      for (int row = 0; row < item.block.rows; ++row) {
        float* to =
            out + ((item.block.row0 + row) * int64_t{desc.q_heads} + int64_t{head} * group) * head_dim();
        const int64_t first = query_of(item, head, row);
        for (int64_t query = first; query < first + group; ++query, to += head_dim()) {
          kernels.scale_row(to, total.o + query * head_dim(), 1.0f / total.sum[query], head_dim());
        }
      }
    }
  }

  void attend(const Item& item, const Work& work) const {
    load_queries(item, work.q);
    clear(item, work.total);
    const Range all = splits(item.block);
    for (int split = all.begin; split < all.end; ++split) {
      const Range rows = attend_split(item, split, work);
      merge(item, work.total, work.split, rows);
    }
    write(item, work.total);
  }
};

}  // namespace lorikeet::cpu
