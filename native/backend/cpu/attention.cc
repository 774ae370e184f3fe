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

Status CpuBackend::reserve_attention(const StepLimits& limits, const NetworkShape& shape) {
  attention_blocks_.reserve(static_cast<size_t>(limits.rows));
  const AttentionCall::Sizes sizes{shape.head_dim};
  // An item is one KV head's rows, or all heads' where they are few.
  const int64_t queries = std::max({kBlockQueries, kGroupedQueries, shape.q_heads});
  const size_t thread_floats =
      std::max({sizes.work_floats(queries), static_cast<size_t>(shape.hidden) + kSlack,
                delta_floats(shape.recurrent)});
  for (Scratch& scratch : thread_scratch_) {
    if (Status s = scratch.reserve(thread_floats); !s) return s;
  }
  if (pool_.threads() == 1) return {};
  // Fewer blocks than items_wanted() are cut into their splits. Two that see the whole cache always fit; more
  // of such a length are left whole, which changes no bit.
  const int64_t seen = std::min<int64_t>(limits.context, limits.kv_slots);
  const int64_t splits = std::min((items_wanted() - 1) * (seen / kSplit + 2),
                                  2 * (limits.kv_slots / kSplit) + 2 * items_wanted());
  return attention_partials_.reserve(static_cast<size_t>(splits * sizes.partial_floats(queries)));
}

// Cuts the step's sequences into blocks of rows; returns the rows of the largest.
int CpuBackend::plan_attention(const AttentionDesc& desc) {
  attention_blocks_.clear();
  const StepInput& step = step_.input();
  const int32_t limit = std::max(1, kBlockQueries / (desc.q_heads / desc.kv_heads));
  int32_t largest = 0;
  for (size_t sequence = 0; sequence + 1 < step.q_start.size(); ++sequence) {
    const int32_t begin = step.q_start[sequence];
    const int32_t end = step.q_start[sequence + 1];
    const int32_t cached = step.kv_len[sequence] - (end - begin);
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

void CpuBackend::attention(TensorView out, TensorView qkv, const KvCache& kv, int layer,
                           const AttentionDesc& desc) {
  if (!step_.runs()) return;
  attend(out, qkv, kv, layer, desc);
  if (!desc.gated) return;
  const int64_t n = desc.q_width();
  for_rows(step_.rows(), n, [&](int64_t row, int) {
    ActivationRow gate{};
    gate.y = f32(out) + row * n;
    gate.x = f32(qkv) + row * desc.width();
    gate.up = gate.y;
    gate.n = n;
    kernels_.glu_row[static_cast<size_t>(ActivationKind::sigmoid)](gate);
  });
}

void CpuBackend::attend(TensorView out, TensorView qkv, const KvCache& kv, int layer,
                        const AttentionDesc& desc) {
  const auto& cache = static_cast<const CpuKvCache&>(kv);
  assert(desc.q_heads % desc.kv_heads == 0 && desc.head_dim == cache.desc.layers[layer].head_dim);
  const int group = desc.q_heads / desc.kv_heads;
  const int rows = plan_attention(desc);
  const AttentionCall call{.kernels = kernels_,
                           .out = f32(out),
                           .qkv = f32(qkv) + desc.q_begin(),
                           .kv = cache,
                           .layer = layer,
                           .desc = desc,
                           .sinks = f32(desc.sinks),
                           .alibi_slopes = f32(desc.alibi_slopes),
                           .step = step_.input(),
                           .group = group};
  int64_t splits = 0;  // of all blocks
  for (AttentionBlock& block : attention_blocks_) {
    block.first_split = splits;
    splits += call.splits(block).size();
  }
  const auto blocks = static_cast<int64_t>(attention_blocks_.size());
  const int64_t enough = items_wanted();
  const bool grouped = rows * desc.q_heads <= kGroupedQueries && (pool_.threads() == 1 || splits >= enough);
  const int heads = grouped ? desc.kv_heads : 1;  // per item
  const int parts = desc.kv_heads / heads;
  const int64_t queries = int64_t{heads} * rows * group;
  const auto item_of = [&](int64_t block, int64_t part) {
    const int first = static_cast<int>(part) * heads;
    return AttentionCall::Item{attention_blocks_[static_cast<size_t>(block)], {first, first + heads}};
  };
  const AttentionCall::Sizes sizes{desc.head_dim};
  const auto work_of = [&](int thread) {
    return call.work_at(thread_scratch_[static_cast<size_t>(thread)].floats(sizes.work_floats(queries)),
                        queries);
  };
  const int64_t partial_floats = sizes.partial_floats(queries);
  const auto all_partials = static_cast<size_t>(splits * parts * partial_floats);
  if (blocks * parts >= enough || splits < 2 * blocks || all_partials > attention_partials_.capacity()) {
    pool_.run(blocks * parts, [&](int64_t item, int thread) {
      call.attend(item_of(item / parts, item % parts), work_of(thread));
    });
    return;
  }
  // Few rows with long contexts: the splits go to different threads, and a second pass merges them.
  float* const partials = attention_partials_.floats(all_partials);
  const auto partial_of = [&](int64_t split, int64_t part) {
    return call.partial_at(partials + (split * parts + part) * partial_floats, queries);
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
