// How attention is cut into items; attention_call.h is what an item computes.
#include <algorithm>
#include <cassert>

#include "backend/cpu/attention_call.h"
#include "backend/cpu/cpu_backend.h"

namespace lorikeet::cpu {
namespace {

constexpr int kBlockQueries = 24;    // rows times query heads of a KV head that share loaded keys and values
constexpr int kGroupedQueries = 64;  // with fewer, a page's heads are read together: one long run of memory

}  // namespace

// Cuts the step's sequences into blocks of rows; returns the rows of the largest.
int CpuBackend::plan_attention(const AttentionDesc& desc) {
  attention_blocks_.clear();
  const int32_t limit = std::max(1, kBlockQueries / (desc.q_heads / desc.kv_heads));
  int32_t largest = 0;
  for (size_t sequence = 0; sequence + 1 < step_.q_start.size(); ++sequence) {
    const int32_t begin = step_.q_start[sequence];
    const int32_t end = step_.q_start[sequence + 1];
    const int32_t cached = step_.kv_len[sequence] - (end - begin);
    assert(cached >= 0);
    for (int32_t row = begin; row < end; row += limit) {
      const int32_t rows = std::min(limit, end - row);
      largest = std::max(largest, rows);
      attention_blocks_.push_back({.sequence = static_cast<int32_t>(sequence),
                                   .row0 = row,
                                   .rows = rows,
                                   .position0 = cached + row - begin,
                                   .first_split = 0});
    }
  }
  return largest;
}

void CpuBackend::attention(float* out, const float* qkv, const KvCache& kv, int layer,
                           const AttentionDesc& desc) {
  const auto& cache = static_cast<const CpuKvCache&>(kv);
  assert(desc.q_heads % desc.kv_heads == 0 && desc.head_dim == cache.desc.layers[layer].head_dim);
  const int group = desc.q_heads / desc.kv_heads;
  const int rows = plan_attention(desc);
  const AttentionCall call{kernels_, out, qkv, cache, layer, desc, step_, group};
  int64_t splits = 0;  // of all blocks
  for (AttentionBlock& block : attention_blocks_) {
    block.first_split = splits;
    splits += call.splits(block).size();
  }
  const auto blocks = static_cast<int64_t>(attention_blocks_.size());
  const int64_t enough = 4 * pool_.threads();
  const bool grouped = rows * desc.q_heads <= kGroupedQueries && (pool_.threads() == 1 || splits >= enough);
  const int heads = grouped ? desc.kv_heads : 1;  // per item
  const int parts = desc.kv_heads / heads;
  const int64_t queries = int64_t{heads} * rows * group;
  const auto item_of = [&](int64_t block, int64_t part) {
    const int first = static_cast<int>(part) * heads;
    return AttentionCall::Item{attention_blocks_[static_cast<size_t>(block)], {first, first + heads}};
  };
  for (Scratch& scratch : attention_scratch_) (void)scratch.floats(call.work_floats(queries));
  const auto work_of = [&](int thread) {
    return call.work_at(attention_scratch_[static_cast<size_t>(thread)].floats(call.work_floats(queries)),
                        queries);
  };
  if (blocks * parts >= enough || splits < 2 * blocks || pool_.threads() == 1) {
    pool_.run(blocks * parts, [&](int64_t item, int thread) {
      call.attend(item_of(item / parts, item % parts), work_of(thread));
    });
    return;
  }
  // Few rows with long contexts: the splits go to different threads, and a second pass merges them.
  float* const partials =
      attention_partials_.floats(static_cast<size_t>(splits * parts * call.partial_floats(queries)));
  const auto partial_of = [&](int64_t split, int64_t part) {
    return call.partial_at(partials + (split * parts + part) * call.partial_floats(queries), queries);
  };
  pool_.run(splits * parts, [&](int64_t index, int thread) {
    const int64_t split = index / parts;
    const auto block = std::partition_point(attention_blocks_.begin(), attention_blocks_.end(),
                                            [&](const AttentionBlock& b) { return b.first_split <= split; }) -
                       1;
    const AttentionCall::Item item = item_of(block - attention_blocks_.begin(), index % parts);
    AttentionCall::Work work = work_of(thread);
    work.split = partial_of(split, index % parts);
    call.load_queries(item, work.q);
    (void)call.attend_split(item, call.splits(*block).begin + static_cast<int>(split - block->first_split),
                            work);
  });
  pool_.run(blocks * parts, [&](int64_t index, int thread) {
    const AttentionCall::Item item = item_of(index / parts, index % parts);
    const Partial total = work_of(thread).total;
    const Range all = call.splits(item.block);
    call.clear(item, total);
    for (int split = all.begin; split < all.end; ++split) {
      const int64_t number = item.block.first_split + split - all.begin;
      call.merge(item, total, partial_of(number, index % parts), call.rows_of(item.block, split));
    }
    call.write(item, total);
  });
}

}  // namespace lorikeet::cpu
