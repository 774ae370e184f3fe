// Rotation with the write to the cache, and attention by splits: kernels/attention.cu.

#include <algorithm>

#include "backend/cuda/cuda_backend.h"

namespace lorikeet::cuda {
namespace {

// The gain of a row, and the first row after it that may have another.
struct GainRun {
  const NormGain* gain;
  int64_t end;
};
GainRun gain_at(const HeadNorm& norm, int64_t row, int64_t rows) {
  for (const NormSegment& segment : norm.segments) {
    if (row < segment.row0) return {norm.gain, segment.row0};
    if (row < int64_t{segment.row0} + segment.rows)
      return {segment.gain, int64_t{segment.row0} + segment.rows};
  }
  return {norm.gain, rows};
}

NormArguments arguments_of(const HeadNorm& norm, const NormGain* gain) {
  if (gain == nullptr) return {};
  NormArguments arguments = static_cast<const CudaNormGain*>(gain)->arguments;
  arguments.epsilon = norm.epsilon;
  return arguments;
}

Kernel attend_kernel(Element type) {
  switch (type) {
    case Element::f16:
      return Kernel::attend_f16;
    case Element::bf16:
      return Kernel::attend_bf16;
    case Element::int8:
      return Kernel::attend_int8;
    default:
      return Kernel::attend_f32;
  }
}

}  // namespace

void CudaBackend::rope_kv(TensorView qkv, KvCache& kv, int layer, const Rotation& rotation,
                          const AttentionDesc& attention, const HeadNorms& norms) {
  if (!runs()) return;
  const auto& rope = static_cast<const CudaRotation&>(rotation);
  RopeArguments p;
  p.qkv = f32(qkv);
  p.position = plan_.position;
  p.kv_slot = plan_.kv_slot;
  p.inv_freq = rope.inv_freq.at<const float>();
  p.cache = static_cast<const CudaKvCache&>(kv).layers[static_cast<size_t>(layer)];
  p.q_heads = attention.q_heads;
  p.pairs = rope.pairs;
  p.interleaved = rope.interleaved ? 1 : 0;
  p.norm_after = norms.after_rope ? 1 : 0;
  p.query_shift = attention.query_scaling.shift;
  p.attention_factor = rope.attention_factor;
  p.clip = attention.clip;
  p.query_beta = attention.query_scaling.beta;
  p.query_span = attention.query_scaling.span;
  const int64_t rows = host_.rows();
  for (int64_t row = 0, end = 0; row < rows; row = end) {
    const GainRun q = gain_at(norms.q, row, rows), k = gain_at(norms.k, row, rows),
                  v = gain_at(norms.v, row, rows);
    end = std::min({q.end, k.end, v.end});
    p.q_norm = arguments_of(norms.q, q.gain);
    p.k_norm = arguments_of(norms.k, k.gain);
    p.v_norm = arguments_of(norms.v, v.gain);
    p.row0 = static_cast<int32_t>(row);
    device_->launch(Kernel::rope_kv, {end - row}, kNormThreads, p);
  }
}

void CudaBackend::attention(TensorView out, TensorView qkv, const KvCache& kv, int layer,
                            const AttentionDesc& desc) {
  if (!runs()) return;
  AttentionArguments p;
  p.out = f32(out);
  p.qkv = f32(qkv);
  p.partial = partial_;
  p.position = plan_.position;
  p.sequence = plan_.sequence;
  p.page_table = plan_.page_table;
  p.sinks = f32(desc.sinks);
  p.slopes = f32(desc.alibi_slopes);
  p.cache = static_cast<const CudaKvCache&>(kv).layers[static_cast<size_t>(layer)];
  p.qkv_stride = qkv.cols;
  p.page_stride = plan_.page_stride;
  p.q_heads = desc.q_heads;
  p.window = desc.window;
  p.scale = desc.scale;
  p.softcap = desc.softcap;
  p.tiles = plan_.tiles;
  const std::span<const int32_t> position = host_.input().position;
  // Of all rows of a tile together.
  const auto splits_of = [&](const RowTile& tile) {
    const int32_t own = position[static_cast<size_t>(tile.row0)];
    const int32_t first = desc.window > 0 ? std::max(0, own - desc.window + 1) : 0;
    return int64_t{(own + tile.rows - 1) / kSplitPositions - first / kSplitPositions + 1};
  };
  // As many tiles at a time as the splits' memory holds, which changes no sum.
  const int64_t split_floats = partial_floats(desc.q_heads, desc.head_dim);
  for (size_t tile = 0, end = 0; tile < tiles_.size(); tile = end) {
    int64_t splits = 0, rows = 0;
    for (end = tile; end < tiles_.size(); ++end) {
      const int64_t wider = std::max(splits, splits_of(tiles_[end])), more = rows + tiles_[end].rows;
      if (end > tile && (more > kMostBlocks || more * wider * split_floats > partial_floats_)) break;
      splits = wider;
      rows = more;
    }
    p.row0 = tiles_[tile].row0;
    p.first_tile = static_cast<int32_t>(tile);
    p.splits = static_cast<int32_t>(splits);
    device_->launch(attend_kernel(p.cache.type), {splits, p.cache.kv_heads, static_cast<int64_t>(end - tile)},
                    kNormThreads, p);
    device_->launch(Kernel::merge_splits, {desc.q_heads, rows}, kNormThreads, p);
  }
}

}  // namespace lorikeet::cuda
