// Causal attention over KV pages.
//
// A row's context is cut into splits of 256 positions, counted from position 0 whatever the pages, the chunk or the
// batch. Inside a split: scores, one maximum, exponentials, their weighted values; then splits are merged in ascending
// order. So a row's result is one fixed sequence of operations, whether it is computed alone, beside other rows of its
// sequence, or (few rows, long context) with its splits spread over threads.
#include <algorithm>
#include <cassert>
#include <cstring>

#include "backend/cpu/cpu_backend.h"
#include "backend/dtype.h"

namespace lorikeet::cpu {
namespace {

constexpr int kSplit = 256;
constexpr int kScoreStride = kSplit + kSlack;
constexpr int kBlockQueries = 24;  // rows times query heads of a KV head that share loaded keys and values

struct Range {
  int begin, end;
  bool empty() const { return begin >= end; }
};

// One thread's working memory for the queries of a block: [queries] and [queries, head_dim].
struct Partial {
  float* max;
  float* sum;
  float* o;
};

}  // namespace

struct CpuBackend::AttentionCall {
  const Kernels& kernels;
  float* out;
  const float* qkv;
  const CpuKvCache& kv;
  int layer;
  const AttentionDesc& desc;
  const StepView& step;
  int group;  // query heads per KV head

  struct Work {
    float* q;       // [queries, head_dim]
    float* scores;  // [queries, kScoreStride]
    Partial total;
    Partial split;
  };

  int head_dim() const { return desc.head_dim; }
  int64_t partial_floats(int queries) const { return int64_t{queries} * (head_dim() + 2); }
  Partial partial_at(float* memory, int queries) const { return {memory, memory + queries, memory + 2 * queries}; }
  size_t work_floats(int queries) const {
    return static_cast<size_t>(queries * (head_dim() + kScoreStride) + 2 * partial_floats(queries));
  }
  Work work_at(float* memory, int queries) const {
    float* const scores = memory + queries * head_dim();
    float* const total = scores + queries * kScoreStride;
    return {memory, scores, partial_at(total, queries), partial_at(total + partial_floats(queries), queries)};
  }

  // Positions that row r of the block sees.
  Range seen(const AttentionBlock& block, int row) const {
    const int end = block.position0 + row + 1;
    return {desc.window > 0 ? std::max(0, end - desc.window) : 0, end};
  }
  Range seen_in(const AttentionBlock& block, int row, int split) const {
    const Range all = seen(block, row);
    return {std::max(all.begin, split * kSplit), std::min(all.end, (split + 1) * kSplit)};
  }
  Range splits(const AttentionBlock& block) const {
    return {seen(block, 0).begin / kSplit, (seen(block, block.rows - 1).end - 1) / kSplit + 1};
  }

  // Calls body(page, first token in the page, count, position) for the pages under the positions.
  template <class Body>
  void for_pages(int sequence, Range positions, Body&& body) const {
    const int page_tokens = kv.desc.page_tokens;
    const int32_t* const table = step.page_table.data() + int64_t{sequence} * step.page_table_ld;
    for (int position = positions.begin; position < positions.end;) {
      const int first = position % page_tokens;
      const int count = std::min(page_tokens - first, positions.end - position);
      body(int64_t{table[position / page_tokens]}, first, count, position);
      position += count;
    }
  }

  void load_queries(const AttentionBlock& block, int kv_head, float* q) const {
    const int64_t row_floats = int64_t{desc.q_heads + 2 * desc.kv_heads} * head_dim();
    const int64_t width = int64_t{group} * head_dim();
    for (int row = 0; row < block.rows; ++row) {
      std::memcpy(q + row * width, qkv + (block.row0 + row) * row_floats + kv_head * width,
                  static_cast<size_t>(width) * sizeof(float));
    }
  }

  // Rows of the block that see something of the split; they are contiguous.
  Range rows_of(const AttentionBlock& block, int split) const {
    Range rows{0, block.rows};
    while (!rows.empty() && seen_in(block, rows.begin, split).empty()) ++rows.begin;
    while (!rows.empty() && seen_in(block, rows.end - 1, split).empty()) --rows.end;
    return rows;
  }

  void score(const AttentionBlock& block, int kv_head, int split, Range rows, const Work& work) const {
    const auto run = kernels.key_product[static_cast<int>(kv.desc.dtype)];
    const Range positions{seen_in(block, rows.begin, split).begin, seen_in(block, rows.end - 1, split).end};
    for_pages(block.sequence, positions, [&](int64_t page, int first, int count, int position) {
      run({.scores = work.scores + rows.begin * group * kScoreStride + (position - split * kSplit),
           .score_stride = kScoreStride,
           .q = work.q + int64_t{rows.begin} * group * head_dim(),
           .queries = (rows.end - rows.begin) * group,
           .d = head_dim(),
           .k = kv.keys(layer, page, kv_head) + first * static_cast<int64_t>(dtype_bytes(kv.desc.dtype)),
           .k_stride = kv.desc.page_tokens,
           .n = count});
    });
  }

  // work.split.o of the rows' queries += weights * values of the positions
  void add_values(const AttentionBlock& block, int kv_head, int split, Range rows, Range positions,
                  const Work& work) const {
    const auto run = kernels.value_product[static_cast<int>(kv.desc.dtype)];
    for_pages(block.sequence, positions, [&](int64_t page, int first, int count, int position) {
      run({.o = work.split.o + int64_t{rows.begin} * group * head_dim(),
           .p = work.scores + rows.begin * group * kScoreStride + (position - split * kSplit),
           .p_stride = kScoreStride,
           .queries = (rows.end - rows.begin) * group,
           .d = head_dim(),
           .v = kv.values(layer, page, kv_head) +
                int64_t{first} * head_dim() * static_cast<int64_t>(dtype_bytes(kv.desc.dtype)),
           .n = count});
    });
  }

  // Fills work.split for the rows that see the split; returns them. A value is added for a row only where the row sees
  // it: weight 0 would turn another row's infinity into NaN.
  Range attend_split(const AttentionBlock& block, int kv_head, int split, const Work& work) const {
    const Range rows = rows_of(block, split);
    if (rows.empty()) return rows;
    score(block, kv_head, split, rows, work);
    Range shared{0, (split + 1) * kSplit};
    for (int row = rows.begin; row < rows.end; ++row) {
      const Range own = seen_in(block, row, split);
      shared = {std::max(shared.begin, own.begin), std::min(shared.end, own.end)};
      for (int query = row * group; query < (row + 1) * group; ++query) {
        SoftmaxRow softmax{.scores = work.scores + query * kScoreStride,
                           .begin = own.begin - split * kSplit,
                           .end = own.end - split * kSplit,
                           .scale = desc.scale,
                           .softcap = desc.softcap,
                           .max = 0.0f,
                           .sum = 0.0f};
        kernels.softmax_row(softmax);
        work.split.max[query] = softmax.max;
        work.split.sum[query] = softmax.sum;
      }
    }
    std::memset(work.split.o + int64_t{rows.begin} * group * head_dim(), 0,
                static_cast<size_t>((rows.end - rows.begin) * group * head_dim()) * sizeof(float));
    const auto own_values = [&](auto part_of) {
      for (int row = rows.begin; row < rows.end; ++row) {
        add_values(block, kv_head, split, {row, row + 1}, part_of(seen_in(block, row, split)), work);
      }
    };
    if (shared.empty()) {
      own_values([](Range own) { return own; });
      return rows;
    }
    own_values([&](Range own) { return Range{own.begin, shared.begin}; });
    add_values(block, kv_head, split, rows, shared, work);
    own_values([&](Range own) { return Range{shared.end, own.end}; });
    return rows;
  }

  void clear(const Partial& total, int queries) const {
    std::fill_n(total.max, queries, -__builtin_inff());
    std::memset(total.sum, 0, static_cast<size_t>(queries) * sizeof(float));
    std::memset(total.o, 0, static_cast<size_t>(queries * head_dim()) * sizeof(float));
  }

  void merge(const Partial& total, const Partial& part, Range rows) const {
    for (int query = rows.begin * group; query < rows.end * group; ++query) {
      kernels.attention_merge({.o = total.o + int64_t{query} * head_dim(),
                               .max = total.max + query,
                               .sum = total.sum + query,
                               .other_o = part.o + int64_t{query} * head_dim(),
                               .other_max = part.max[query],
                               .other_sum = part.sum[query],
                               .d = head_dim()});
    }
  }

  void write(const AttentionBlock& block, int kv_head, const Partial& total) const {
    for (int row = 0; row < block.rows; ++row) {
      float* to = out + ((block.row0 + row) * int64_t{desc.q_heads} + int64_t{kv_head} * group) * head_dim();
      for (int query = row * group; query < (row + 1) * group; ++query, to += head_dim()) {
        kernels.scale_row(to, total.o + int64_t{query} * head_dim(), 1.0f / total.sum[query], head_dim());
      }
    }
  }

  void attend(const AttentionBlock& block, int kv_head, const Work& work) const {
    load_queries(block, kv_head, work.q);
    clear(work.total, block.rows * group);
    const Range all = splits(block);
    for (int split = all.begin; split < all.end; ++split) {
      merge(work.total, work.split, attend_split(block, kv_head, split, work));
    }
    write(block, kv_head, work.total);
  }
};

// Cuts the step's sequences into blocks of rows.
void CpuBackend::plan_attention(const AttentionDesc& desc) {
  attention_blocks_.clear();
  const int group = desc.q_heads / desc.kv_heads;
  const int32_t block_rows = std::max(1, kBlockQueries / group);
  for (size_t sequence = 0; sequence + 1 < step_.q_start.size(); ++sequence) {
    const int32_t begin = step_.q_start[sequence];
    const int32_t end = step_.q_start[sequence + 1];
    const int32_t cached = step_.kv_len[sequence] - (end - begin);
    assert(cached >= 0);
    for (int32_t row = begin; row < end; row += block_rows) {
      attention_blocks_.push_back({.sequence = static_cast<int32_t>(sequence),
                                   .row0 = row,
                                   .rows = std::min(block_rows, end - row),
                                   .position0 = cached + row - begin,
                                   .first_item = 0,
                                   .partials = 0});
    }
  }
}

void CpuBackend::attention(float* out, const float* qkv, const KvCache& kv, int layer, const AttentionDesc& desc) {
  const auto& cache = static_cast<const CpuKvCache&>(kv);
  assert(desc.q_heads % desc.kv_heads == 0 && desc.head_dim == cache.desc.head_dim);
  plan_attention(desc);
  const int group = desc.q_heads / desc.kv_heads;
  const int queries = std::max(1, kBlockQueries / group) * group;
  const AttentionCall call{kernels_, out, qkv, cache, layer, desc, step_, group};
  const auto work_of = [&](int thread) {
    return call.work_at(attention_scratch_[static_cast<size_t>(thread)].floats(call.work_floats(queries)), queries);
  };
  const auto blocks = static_cast<int64_t>(attention_blocks_.size());
  const int64_t pairs = blocks * desc.kv_heads;
  // Items in (block, head, split) order, for the case of few rows with long contexts.
  int64_t split_items = 0;
  int64_t partial_floats = 0;
  for (AttentionBlock& block : attention_blocks_) {
    const Range splits = call.splits(block);
    block.first_item = split_items;
    block.partials = partial_floats;
    split_items += int64_t{splits.end - splits.begin} * desc.kv_heads;
    partial_floats += int64_t{splits.end - splits.begin} * desc.kv_heads * call.partial_floats(block.rows * group);
  }
  if (pairs >= 4 * pool_.threads() || split_items < 2 * pairs || pool_.threads() == 1) {
    pool_.run(pairs, [&](int64_t item, int thread) {
      call.attend(attention_blocks_[static_cast<size_t>(item / desc.kv_heads)], static_cast<int>(item % desc.kv_heads),
                  work_of(thread));
    });
    return;
  }
  float* const partials = attention_partials_.floats(static_cast<size_t>(partial_floats));
  const auto partial_of = [&](const AttentionBlock& block, int64_t item) {
    const int block_queries = block.rows * group;
    return call.partial_at(partials + block.partials + item * call.partial_floats(block_queries), block_queries);
  };
  pool_.run(split_items, [&](int64_t item, int thread) {
    const auto block = std::partition_point(attention_blocks_.begin(), attention_blocks_.end(),
                                            [&](const AttentionBlock& b) { return b.first_item <= item; }) - 1;
    const int64_t inside = item - block->first_item;
    const Range splits = call.splits(*block);
    const int count = splits.end - splits.begin;
    AttentionCall::Work work = work_of(thread);
    const int head = static_cast<int>(inside / count);
    call.load_queries(*block, head, work.q);
    work.split = partial_of(*block, inside);
    (void)call.attend_split(*block, head, splits.begin + static_cast<int>(inside % count), work);
  });
  pool_.run(pairs, [&](int64_t item, int thread) {
    const AttentionBlock& block = attention_blocks_[static_cast<size_t>(item / desc.kv_heads)];
    const int head = static_cast<int>(item % desc.kv_heads);
    const AttentionCall::Work work = work_of(thread);
    const Range splits = call.splits(block);
    call.clear(work.total, block.rows * group);
    for (int split = splits.begin; split < splits.end; ++split) {
      const int64_t inside = int64_t{head} * (splits.end - splits.begin) + split - splits.begin;
      call.merge(work.total, partial_of(block, inside), call.rows_of(block, split));
    }
    call.write(block, head, work.total);
  });
}

}  // namespace lorikeet::cpu
