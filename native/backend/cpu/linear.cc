// y = W x + b with the segments' adapters, in one parallel region.
//
// Items are handed out in order: first a quantized map's activations, then the shrinks (s = scale * A x per
// segment and part), then output tiles. A tile's item computes the base product, waits for the shrinks (which
// other threads took before), continues the same sums with s * B', and writes. So no barrier stands between
// base and adapter, and a row without adapter runs the same instructions as in a step without any.
#include <algorithm>
#include <atomic>
#include <cassert>

#include "backend/cpu/cpu_backend.h"
#include "backend/dtype.h"

namespace lorikeet::cpu {
namespace {

constexpr int64_t kChunkRows = 96;  // rows of an item; their accumulators are 24 KiB
constexpr int64_t kRowBlocks = 24;  // rows of an item are whole blocks of every product: of 6 and of 8
constexpr int64_t kBlockInputs =
    1024;  // of k: a tile's block (128 KiB in bfloat16) stays in L2 while the rows use it
constexpr int64_t kBlockGroups = 32;  // of a quantized tile: as many inputs, in half the bytes or less
constexpr int64_t kQuantizeRows = 4;  // rows of an item that turns activations into integers
constexpr int32_t kShrinkRows = 32;
constexpr int32_t kShrinkRanks = 16;
constexpr int64_t kWorthSharing = 65536;  // multiply-adds; less is done before another thread has woken up

}  // namespace

size_t CpuLinear::bytes() const {
  size_t total = 0;
  for (const Part& part : parts) total += part.weight.bytes() + part.bias.bytes();
  return total;
}

struct CpuBackend::LinearCall {
  const Kernels& kernels;
  float* y;
  const float* x;
  const CpuLinear& weight;
  std::span<const LinearSegment> segments;
  bool add;
  const float* s;  // [rows, s_stride]
  int64_t s_stride;
  const std::atomic<int64_t>& shrinks_left;
  const QuantizedKernels& quantized_kernels;
  QuantizedRows q;
  const std::atomic<int64_t>& quantize_left;

  // A tile of one part and the rows of one item.
  struct Tile {
    int part;
    int64_t index;
    int64_t begin, end;
    float* acc;  // [end - begin, tile outputs]
    Ahead* ahead;
  };

  static const CpuAdapterLinear::Part* part_of(const LinearSegment& segment, int part) {
    const auto& own = static_cast<const CpuAdapterLinear*>(segment.adapter)->parts[static_cast<size_t>(part)];
    return own ? &*own : nullptr;
  }

  // Calls body(begin, end, part) for the rows of the tile's item under each segment whose adapter touches the
  // part.
  template <class Body>
  void for_segments(const Tile& tile, Body&& body) const {
    auto segment = std::partition_point(segments.begin(), segments.end(), [&](const LinearSegment& s) {
      return s.row0 + s.rows <= tile.begin;
    });
    for (; segment != segments.end() && segment->row0 < tile.end; ++segment) {
      const CpuAdapterLinear::Part* const part = part_of(*segment, tile.part);
      if (part == nullptr) continue;
      body(std::max<int64_t>(segment->row0, tile.begin),
           std::min<int64_t>(segment->row0 + segment->rows, tile.end), *part);
    }
  }

  void product(const Tile& tile, int64_t begin, int64_t end, const BaseWeight& from) const {
    if (const QuantizedWeight* const quantized = from.quantized())
      return product(tile, begin, end, *quantized);
    product(tile, begin, end, *from.packed());
  }

  void product(const Tile& tile, int64_t begin, int64_t end, const QuantizedWeight& packed) const {
    const Quantization quantization = packed.quantization();
    const auto run = quantization == Quantization::int4  ? quantized_kernels.product4
                     : quantization == Quantization::nf4 ? quantized_kernels.product_nf4
                                                         : quantized_kernels.product8;
    const int64_t block_groups = quantization == Quantization::int4 ? 2 * kBlockGroups : kBlockGroups;
    const int64_t width = packed.tile_outputs();
    for (int block = 0; block < packed.blocks(tile.index); ++block) {
      for (int64_t group = 0; group < q.groups; group += block_groups) {
        run({.acc = tile.acc + (begin - tile.begin) * width + block * width / 2,
             .acc_stride = width,
             .x = q.q + begin * q.stride + group * group_size(packed.quantization()),
             .x_stride = q.stride,
             .x_scale =
                 q.scale + begin * q.scales + group * group_size(packed.quantization()) / kActivationGroup,
             .x_scale_stride = q.scales,
             .x_offset = q.offset + begin * q.groups + group,
             .group_stride = q.groups,
             .rows = static_cast<int>(end - begin),
             .weight = packed.block(tile.index, block) + group * packed.group_bytes(),
             .groups = std::min(block_groups, q.groups - group),
             .accumulate = group > 0,
             .ahead = tile.ahead});
      }
    }
  }

  void product(const Tile& tile, int64_t begin, int64_t end, const PackedWeight& packed) const {
    const auto run = kernels.tile_product[static_cast<int>(packed.dtype())];
    const int groups = packed.groups(tile.index);
    const auto k_bytes =
        static_cast<int64_t>(dtype_bytes(packed.dtype())) * groups * packed.tile_outputs() / 2;
    for (int64_t k = 0; k < weight.k; k += kBlockInputs) {
      run({.acc = tile.acc + (begin - tile.begin) * packed.tile_outputs(),
           .x = x + begin * weight.k + k,
           .x_stride = weight.k,
           .rows = static_cast<int>(end - begin),
           .weight = packed.tile(tile.index) + k * k_bytes,
           .k = std::min(kBlockInputs, weight.k - k),
           .groups = groups,
           .accumulate = k > 0});
    }
  }

  void base(const Tile& tile) const {
    const BaseWeight& packed = weight.parts[static_cast<size_t>(tile.part)].weight;
    int64_t row = tile.begin;
    for_segments(tile, [&](int64_t begin, int64_t end, const CpuAdapterLinear::Part& part) {
      if (!part.weight) return;
      if (row < begin) product(tile, row, begin, packed);
      product(tile, begin, end, *part.weight);
      row = end;
    });
    if (row < tile.end) product(tile, row, tile.end, packed);
  }

  void expand(const Tile& tile) const {
    for_segments(tile, [&](int64_t begin, int64_t end, const CpuAdapterLinear::Part& part) {
      if (part.rank == 0) return;
      kernels.tile_product[static_cast<int>(part.b.dtype())](
          {.acc = tile.acc + (begin - tile.begin) * part.b.tile_outputs(),
           .x = s + begin * s_stride + part.s_offset,
           .x_stride = s_stride,
           .rows = static_cast<int>(end - begin),
           .weight = part.b.tile(tile.index),
           .k = part.rank,
           .groups = part.b.groups(tile.index),
           .accumulate = true});
    });
  }

  void finish(const Tile& tile, int64_t begin, int64_t end, const CpuAdapterLinear::Part* own) const {
    const CpuLinear::Part& part = weight.parts[static_cast<size_t>(tile.part)];
    const int64_t width = part.weight.tile_outputs();
    const int64_t first = tile.index * width;
    const bool own_bias = own != nullptr && own->bias.at(0) != nullptr;
    TileFinish args{.y = nullptr,
                    .acc = nullptr,
                    .lora_bias = own == nullptr ? nullptr : own->lora_bias.at(first),
                    .ratio = own == nullptr ? nullptr : own->ratio.at(first),
                    .bias = own_bias ? own->bias.at(first) : part.bias.at(first),
                    .n = static_cast<int>(std::min(width, part.weight.n() - first)),
                    .add = add};
    for (int64_t row = begin; row < end; ++row) {
      args.y = y + row * weight.n + part.output0 + first;
      args.acc = tile.acc + (row - tile.begin) * width;
      kernels.tile_finish(args);
    }
  }

  static void await_zero(const std::atomic<int64_t>& left) {
    Backoff backoff;
    while (left.load(std::memory_order_acquire) > 0) backoff.wait();
  }

  // The adapters' B of the tile, scattered over their own memory.
  Ahead look_ahead(const Tile& tile, std::span<Ahead::Run> runs) const {
    size_t count = 0;
    for_segments(tile, [&](int64_t, int64_t, const CpuAdapterLinear::Part& part) {
      if (part.rank == 0) return;
      const auto* const b = static_cast<const std::byte*>(part.b.tile(tile.index));
      const int64_t values = part.rank * part.b.groups(tile.index) * part.b.tile_outputs() / 2;
      runs[count++] = {b, b + values * static_cast<int64_t>(dtype_bytes(part.b.dtype()))};
    });
    return {runs.data() + count, runs.data()};
  }

  void run(Tile tile) const {
    Ahead::Run runs[kChunkRows];
    Ahead ahead = look_ahead(tile, runs);
    tile.ahead = &ahead;
    await_zero(quantize_left);
    base(tile);
    await_zero(shrinks_left);
    if (s != nullptr) expand(tile);
    int64_t row = tile.begin;
    for_segments(tile, [&](int64_t begin, int64_t end, const CpuAdapterLinear::Part& part) {
      finish(tile, row, begin, nullptr);
      finish(tile, begin, end, &part);
      row = end;
    });
    finish(tile, row, tile.end, nullptr);
  }
};

// Fills shrinks_; returns the row stride of s, 0 when no segment has a low-rank delta.
int64_t CpuBackend::plan_shrinks(std::span<const LinearSegment> segments) {
  shrinks_.clear();
  int64_t stride = 0;
  for (const LinearSegment& segment : segments) {
    const auto& adapter = *static_cast<const CpuAdapterLinear*>(segment.adapter);
    stride = std::max<int64_t>(stride, adapter.rank_total);
    for (const auto& part : adapter.parts) {
      if (!part) continue;
      for (int32_t row = 0; row < segment.rows; row += kShrinkRows) {
        const int32_t rows = std::min(kShrinkRows, segment.rows - row);
        for (int32_t rank = 0; rank < part->rank; rank += kShrinkRanks) {
          shrinks_.push_back(
              {&*part, segment.row0 + row, rows, rank, std::min(kShrinkRanks, part->rank - rank)});
        }
      }
    }
  }
  return stride;
}

CpuBackend::QuantizedRows CpuBackend::reserve_quantized(int64_t rows, const CpuLinear& weight) {
  if (weight.quantization == Quantization::none) return {};
  QuantizedRows q;
  const int group = group_size(weight.quantization);
  q.groups = (weight.k + group - 1) / group;
  q.scales = (weight.k + kActivationGroup - 1) / kActivationGroup;
  q.stride = q.groups * group;
  q.q = reinterpret_cast<int8_t*>(
      quantized_values_.floats(static_cast<size_t>(rows * q.stride) / sizeof(float)));
  q.scale = quantized_factors_.floats(static_cast<size_t>(rows * (q.scales + q.groups)));
  q.offset = reinterpret_cast<int32_t*>(q.scale + rows * q.scales);
  return q;
}

void CpuBackend::linear(float* y, const float* x, int64_t rows, const Linear& weight,
                        std::span<const LinearSegment> segments, LinearOutput output) {
  const auto& base = static_cast<const CpuLinear&>(weight);
  const int64_t s_stride = plan_shrinks(segments);
  float* const s = s_stride == 0 ? nullptr : shrunk_.floats(static_cast<size_t>(rows * s_stride));
  const auto shrinks = static_cast<int64_t>(shrinks_.size());
  std::atomic<int64_t> shrinks_left = shrinks;
  const QuantizedRows q = reserve_quantized(rows, base);
  const int64_t quantizes = q.q == nullptr ? 0 : (rows + kQuantizeRows - 1) / kQuantizeRows;
  std::atomic<int64_t> quantize_left = quantizes;
  const LinearCall call{kernels_,
                        y,
                        x,
                        base,
                        segments,
                        output == LinearOutput::add,
                        s,
                        s_stride,
                        shrinks_left,
                        quantized_kernels_,
                        q,
                        quantize_left};
  const int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  const int64_t even = (rows + chunks - 1) / std::max<int64_t>(chunks, 1);
  const int64_t chunk_rows = std::min((even + kRowBlocks - 1) / kRowBlocks * kRowBlocks, kChunkRows);

  const auto run_quantize = [&](int64_t item) {
    for (int64_t row = item * kQuantizeRows; row < std::min(rows, (item + 1) * kQuantizeRows); ++row) {
      quantized_kernels_.quantize_row({.q = q.q + row * q.stride,
                                       .scale = q.scale + row * q.scales,
                                       .offset = q.offset + row * q.groups,
                                       .x = x + row * base.k,
                                       .k = base.k,
                                       .group = group_size(base.quantization),
                                       .zero_point = zero_point(base.quantization)});
    }
    quantize_left.fetch_sub(1, std::memory_order_release);
  };
  const auto run_shrink = [&](const ShrinkItem& item) {
    const CpuAdapterLinear::Part& part = *item.part;
    kernels_.shrink[static_cast<int>(part.a.dtype())](
        {.s = s + item.row0 * s_stride + part.s_offset + item.rank0,
         .s_stride = s_stride,
         .x = x + item.row0 * base.k,
         .x_stride = base.k,
         .rows = item.rows,
         .a = part.a.row(item.rank0),
         .a_stride = part.a.stride(),
         .k = base.k,
         .ranks = item.ranks,
         .scale = part.scale});
    shrinks_left.fetch_sub(1, std::memory_order_release);
  };
  const auto run_tile = [&](int64_t item, int thread) {
    const int64_t tile = item / chunks;
    int part = static_cast<int>(base.parts.size()) - 1;
    while (base.parts[static_cast<size_t>(part)].tile0 > tile) --part;
    const int64_t begin = item % chunks * chunk_rows;
    call.run({.part = part,
              .index = tile - base.parts[static_cast<size_t>(part)].tile0,
              .begin = begin,
              .end = std::min(rows, begin + chunk_rows),
              .acc = accumulators_[static_cast<size_t>(thread)].floats(kChunkRows * kMaxTile),
              .ahead = nullptr});
  };
  const auto run_item = [&](int64_t item, int thread) {
    if (item < quantizes) {
      run_quantize(item);
    } else if (item < quantizes + shrinks) {
      run_shrink(shrinks_[static_cast<size_t>(item - quantizes)]);
    } else {
      run_tile(item - quantizes - shrinks, thread);
    }
  };
  const int64_t items = quantizes + shrinks + base.tiles * chunks;
  if (rows * base.k * base.n < kWorthSharing) {
    for (int64_t item = 0; item < items; ++item) run_item(item, 0);
  } else {
    pool_.run(items, run_item);
  }
}

}  // namespace lorikeet::cpu
