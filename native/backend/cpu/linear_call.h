// One call of CpuBackend::linear: its items, in the order in which linear.cc describes them.
#pragma once

#include <algorithm>
#include <atomic>
#include <utility>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/linear_ahead.h"
#include "backend/shared/coded_integers.h"
#include "backend/shared/dtype.h"

namespace lorikeet::cpu {

constexpr int64_t kChunkRows = 96;  // rows of an item; their accumulators are 24 KiB
constexpr int64_t kRowBlocks = 24;  // rows of an item are whole blocks of every product: of 6 and of 8
// Of k: a tile's block (128 KiB in bfloat16) stays in the second-level cache while the rows use it.
constexpr int64_t kBlockInputs = 1024;
constexpr int64_t kDecodedInputs = 64;  // of a coded tile: what is decoded stays in the first-level cache
constexpr int64_t kBlockGroups = 32;    // of a quantized tile: as many inputs, in half the bytes or less
constexpr int64_t kCodedInputs = 2048;  // of a coded tile in integers: as int4
constexpr int64_t kLeastRows = 8;       // that share a block's weights in the widest product
constexpr int64_t kQuantizeRows = 4;    // rows of an item that turns activations into integers
// Few rows wait for memory, and each jump to another run of it costs about a microsecond: there an item is
// several tiles, as long as that leaves each thread some items to balance with.
constexpr int64_t kFewRows = 4;
constexpr int64_t kRunBytes = int64_t{320} << 10;
constexpr int64_t kMostTiles = 8;  // of an item: their accumulators share those of one chunk
constexpr int64_t kItemsPerThread = 6;

struct CpuBackend::LinearCall {
  const Kernels& kernels;
  const QuantizedKernels& quantized_kernels;
  int threads;
  float* y;
  int64_t y_stride;  // of a map that is stored, or added
  const float* x;
  int64_t rows;
  const CpuLinear& weight;
  std::span<const LinearSegment> segments;
  LinearOutput output;
  const Activation& activation;
  float* s;  // [rows, s_stride], null when no segment has a low-rank delta
  int64_t s_stride;
  QuantizedRows q;
  // Items of each kind: how many there are, and how many have not ended.
  int64_t quantizes;
  std::atomic<int64_t> quantizes_left{quantizes};
  std::span<const ShrinkItem> shrinks;
  std::atomic<int64_t> shrinks_left{static_cast<int64_t>(shrinks.size())};

  // A of the next op's adapters: it needs them before its first product, so they come while this one
  // multiplies.
  std::span<const Ahead::Run> soon;

  // Rows are cut evenly, so that no item is much shorter than the others.
  int64_t chunks = (rows + kChunkRows - 1) / kChunkRows;
  int64_t chunk_rows = rows_of_a_chunk();

  int64_t item_tiles = tiles_of_an_item();

  int64_t tiles_of_an_item() const {
    if (rows > kFewRows) return 1;
    const BaseWeight& first = weight.parts[0].weight;
    const int64_t tile_bytes = static_cast<int64_t>(first.bytes()) / first.tiles();
    const int64_t balanced = tiles() / (kItemsPerThread * threads);
    return std::clamp<int64_t>(std::min(kRunBytes / std::max<int64_t>(tile_bytes, 1), balanced), 1,
                               kMostTiles);
  }

  int64_t rows_of_a_chunk() const {
    const int64_t even = (rows + chunks - 1) / std::max<int64_t>(chunks, 1);
    return std::min((even + kRowBlocks - 1) / kRowBlocks * kRowBlocks, kChunkRows);
  }
  int64_t items() const { return quantizes + static_cast<int64_t>(shrinks.size()) + tile_items() * chunks; }

  // What an item works in: the thread's own.
  struct Room {
    float* acc;      // [2, kChunkRows, tile outputs]
    float* decoded;  // [kDecodedInputs, tile outputs]

    Room behind(int64_t floats) const { return {acc + floats, decoded}; }
  };

  void run_item(int64_t item, Room room) {
    if (item < quantizes) return run_quantize(item);
    item -= quantizes;
    const auto shrink_items = static_cast<int64_t>(shrinks.size());
    if (item < shrink_items) return run_shrink(shrinks[static_cast<size_t>(item)]);
    item -= shrink_items;
    if (item_tiles > 1) return run_tiles(item * item_tiles, room);
    const int64_t next = (item + threads) / chunks;
    Tile tile = tile_of(item / chunks, item % chunks, room);
    tile.next_weight = next < tiles() ? weight_of_tile(next) : nullptr;
    if (output != LinearOutput::glu) return run_tile(tile);
    Tile up =
        tile_of(weight.parts[1].tile0 + item / chunks, item % chunks, room.behind(kChunkRows * kMaxTile));
    up.next_weight = std::exchange(tile.next_weight, weight_of_tile(weight.parts[1].tile0 + item / chunks));
    run_tile(tile);
    run_tile(up);
    finish_glu(tile, up);
  }

 private:
  // That items stand for.
  int64_t tiles() const {
    return output == LinearOutput::glu ? weight.parts[0].weight.tiles() : weight.tiles;
  }

  int64_t tile_items() const { return (tiles() + item_tiles - 1) / item_tiles; }

  // Few rows of item_tiles tiles: all of the gate's before those of the up projection.
  void run_tiles(int64_t first, Room room) const {
    const int64_t count = std::min(item_tiles, tiles() - first);
    const int64_t stride = kFewRows * kMaxTile;
    static_assert(kMostTiles * kFewRows <= kChunkRows);
    for (int64_t i = 0; i < count; ++i) run_tile(tile_of(first + i, 0, room.behind(i * stride)));
    if (output != LinearOutput::glu) return;
    const Room up_room = room.behind(kChunkRows * kMaxTile);
    const int64_t up = weight.parts[1].tile0 + first;
    for (int64_t i = 0; i < count; ++i) run_tile(tile_of(up + i, 0, up_room.behind(i * stride)));
    for (int64_t i = 0; i < count; ++i) {
      finish_glu(tile_of(first + i, 0, room.behind(i * stride)),
                 tile_of(up + i, 0, up_room.behind(i * stride)));
    }
  }

  int part_of_tile(int64_t tile) const {
    int part = static_cast<int>(weight.parts.size()) - 1;
    while (weight.parts[static_cast<size_t>(part)].tile0 > tile) --part;
    return part;
  }

  const uint8_t* weight_of_tile(int64_t tile) const {
    const CpuLinear::Part& part = weight.parts[static_cast<size_t>(part_of_tile(tile))];
    if (const QuantizedWeight* const packed = part.weight.quantized())
      return packed->block(tile - part.tile0, 0);
    const CodedWeight* const coded = part.weight.coded();
    return coded != nullptr && coded->in_integers() ? coded->codes(tile - part.tile0, 0) : nullptr;
  }

  void run_quantize(int64_t item) {
    for (int64_t row = item * kQuantizeRows; row < std::min(rows, (item + 1) * kQuantizeRows); ++row) {
      if (weight.coded_in_integers) {
        quantize_ordered(row);
        continue;
      }
      quantized_kernels.quantize_row({.q = q.q + row * q.stride,
                                      .scale = q.scale + row * q.scales,
                                      .offset = q.offset + row * q.groups,
                                      .x = x + row * weight.k,
                                      .k = weight.k,
                                      .group = group_size(weight.quantization),
                                      .zero_point = zero_point(weight.quantization)});
    }
    quantizes_left.fetch_sub(1, std::memory_order_release);
  }

  void quantize_ordered(int64_t row) const {
    quantized_kernels.quantize_ordered_row(
        {.q = q.q + row * q.stride,
         .scale = q.scale + row * q.scales,
         .sum = q.offset + row * q.groups,
         .x = x + row * weight.k,
         .k = weight.k,
         .order = weight.input_order.empty() ? nullptr : weight.input_order.data()});
  }

  void run_shrink(const ShrinkItem& item) {
    const CpuAdapterLinear::Part& part = *item.part;
    const float* factor = part.factor.data() + item.rank0;
    float scaled[kShrinkRanks];
    if (item.scale != 1.0f) {
      for (int32_t r = 0; r < item.ranks; ++r) scaled[r] = item.scale * factor[r];
      factor = scaled;
    }
    kernels.shrink[static_cast<int>(part.a.dtype())](
        {.s = s + item.row0 * s_stride + part.s_offset + item.rank0,
         .s_stride = s_stride,
         .x = x + item.row0 * weight.k,
         .x_stride = weight.k,
         .rows = item.rows,
         .a = part.a.row(item.rank0),
         .a_stride = part.a.stride(),
         .k = weight.k,
         .ranks = item.ranks,
         .factor = factor});
    shrinks_left.fetch_sub(1, std::memory_order_release);
  }

  // A tile of one part and the rows of one item.
  struct Tile {
    int64_t number;  // of all tiles' chunks
    int part;
    int64_t index;
    int64_t begin, end;
    float* acc;      // [end - begin, tile outputs]
    float* decoded;  // Room's
    Ahead* ahead;
    // Of the tile that this thread is likely to take next: those between go to the other threads.
    const uint8_t* next_weight;
  };

  Tile tile_of(int64_t tile, int64_t chunk, Room room) const {
    const int part = part_of_tile(tile);
    const int64_t begin = chunk * chunk_rows;
    return {.number = tile * chunks + chunk,
            .part = part,
            .index = tile - weight.parts[static_cast<size_t>(part)].tile0,
            .begin = begin,
            .end = std::min(rows, begin + chunk_rows),
            .acc = room.acc,
            .decoded = room.decoded,
            .ahead = nullptr,
            .next_weight = nullptr};
  }

  static const CpuAdapterLinear::Part* part_of(const LinearSegment& segment, int part) {
    const auto& own = static_cast<const CpuAdapterLinear*>(segment.adapter)->parts[static_cast<size_t>(part)];
    return own ? &*own : nullptr;
  }

  // Calls body(begin, end, part, scale) for the rows of the tile's item under each segment whose adapter
  // touches the part.
  template <class Body>
  void for_segments(const Tile& tile, Body&& body) const {
    auto segment = std::partition_point(segments.begin(), segments.end(), [&](const LinearSegment& s) {
      return s.row0 + s.rows <= tile.begin;
    });
    for (; segment != segments.end() && segment->row0 < tile.end; ++segment) {
      const CpuAdapterLinear::Part* const part = part_of(*segment, tile.part);
      if (part == nullptr) continue;
      body(std::max<int64_t>(segment->row0, tile.begin),
           std::min<int64_t>(segment->row0 + segment->rows, tile.end), *part, segment->scale);
    }
  }

  void product(const Tile& tile, int64_t begin, int64_t end, const BaseWeight& from) const {
    if (const QuantizedWeight* const quantized = from.quantized())
      return product(tile, begin, end, *quantized);
    if (const CodedWeight* const coded = from.coded()) return product(tile, begin, end, *coded);
    product(tile, begin, end, *from.packed());
  }

  void product(const Tile& tile, int64_t begin, int64_t end, const QuantizedWeight& packed) const {
    const Quantization quantization = packed.quantization();
    const auto run = quantization == Quantization::int4  ? quantized_kernels.product4
                     : quantization == Quantization::nf4 ? quantized_kernels.product_nf4
                                                         : quantized_kernels.product8;
    const int64_t block_groups = quantization == Quantization::int4 ? 2 * kBlockGroups : kBlockGroups;
    const int64_t width = packed.tile_outputs();
    const int blocks = packed.blocks(tile.index);
    for (int block = 0; block < blocks; ++block) {
      for (int64_t group = 0; group < q.groups; group += block_groups) {
        const uint8_t* const from = packed.block(tile.index, block) + group * packed.group_bytes();
        const int64_t groups = std::min(block_groups, q.groups - group);
        const bool last = block + 1 == blocks && group + groups == q.groups;
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
             .weight = from,
             .groups = groups,
             .accumulate = group > 0,
             .ahead = tile.ahead,
             .next_weight = last ? tile.next_weight : from + groups * packed.group_bytes()});
      }
    }
  }

  void integer_product(const Tile& tile, int64_t begin, int64_t end, const CodedWeight& coded) const {
    const int64_t width = coded.tile_outputs();
    const int blocks = coded.blocks(tile.index);
    for (int block = 0; block < blocks; ++block) {
      CodedProduct args = coded.integer_product(tile.index, block);
      args.acc = tile.acc + (begin - tile.begin) * width + block * width / 2;
      args.acc_stride = width;
      args.x = q.q + begin * q.stride;
      args.x_stride = q.stride;
      args.x_scale = q.scale + begin * q.scales;
      args.x_scale_stride = q.scales;
      args.x_sum = q.offset + begin * q.groups;
      args.x_sum_stride = q.groups;
      args.rows = static_cast<int>(end - begin);
      args.ahead = tile.ahead;
      for (args.begin = 0; args.begin < q.stride; args.begin = args.end) {
        args.end = std::min(q.stride, args.begin + kCodedInputs);
        const bool last = block + 1 == blocks && args.end == q.stride;
        args.next_weight = last ? tile.next_weight : args.codes + args.end * width / 4;
        quantized_kernels.product_coded(args);
      }
    }
  }

  // A few inputs of the tile at a time as float32, for all rows: the same sums as of a plain weight.
  void product(const Tile& tile, int64_t begin, int64_t end, const CodedWeight& coded) const {
    if (coded.in_integers()) return integer_product(tile, begin, end, coded);
    const auto run = kernels.tile_product[static_cast<int>(DType::f32)];
    for (int64_t k = 0; k < weight.k; k += kDecodedInputs) {
      const int64_t count = std::min(kDecodedInputs, weight.k - k);
      coded.decode(kernels, tile.decoded, tile.index, k, k + count);
      run({.acc = tile.acc + (begin - tile.begin) * coded.tile_outputs(),
           .x = x + begin * weight.k + k,
           .x_stride = weight.k,
           .rows = static_cast<int>(end - begin),
           .weight = tile.decoded,
           .k = count,
           .groups = coded.blocks(tile.index),
           .accumulate = k > 0});
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
    for_segments(tile, [&](int64_t begin, int64_t end, const CpuAdapterLinear::Part& part, float) {
      if (!part.weight) return;
      if (row < begin) product(tile, row, begin, packed);
      product(tile, begin, end, *part.weight);
      row = end;
    });
    if (row < tile.end) product(tile, row, tile.end, packed);
  }

  void expand(const Tile& tile) const {
    for_segments(tile, [&](int64_t begin, int64_t end, const CpuAdapterLinear::Part& part, float) {
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

  void finish(const Tile& tile, int64_t begin, int64_t end, const CpuAdapterLinear::Part* own,
              float scale = 1.0f) const {
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
                    .add = output == LinearOutput::add};
    float scaled_bias[kMaxTile];
    if (scale != 1.0f && args.lora_bias != nullptr) {
      for (int64_t i = 0; i < width; ++i) scaled_bias[i] = scale * args.lora_bias[i];
      args.lora_bias = scaled_bias;
    }
    for (int64_t row = begin; row < end; ++row) {
      float* const acc = tile.acc + (row - tile.begin) * width;
      args.y = output == LinearOutput::glu ? acc : y + row * y_stride + part.output0 + first;
      args.acc = acc;
      kernels.tile_finish(args);
      if (output == LinearOutput::activate) activate(args.y, args.y, nullptr, args.n);
    }
  }

  static void await_zero(const std::atomic<int64_t>& left) {
    Backoff backoff;
    while (left.load(std::memory_order_acquire) > 0) backoff.wait();
  }

  // The adapters' B of the tile, scattered over their own memory, and the item's share of the next op's A.
  Ahead look_ahead(const Tile& tile, std::span<Ahead::Run> runs) const {
    size_t count = 0;
    for_segments(tile, [&](int64_t, int64_t, const CpuAdapterLinear::Part& part, float) {
      if (part.rank == 0) return;
      const auto* const b = static_cast<const std::byte*>(part.b.tile(tile.index));
      const int64_t values = part.rank * part.b.groups(tile.index) * part.b.tile_outputs() / 2;
      runs[count++] = {b, b + values * static_cast<int64_t>(dtype_bytes(part.b.dtype()))};
    });
    // One block of rows is bound by memory, and asking for more in it gains nothing.
    const int64_t row_blocks = (tile.end - tile.begin + kLeastRows - 1) / kLeastRows;
    if (row_blocks > 1) count += write_share(soon, {tile.number, weight.tiles * chunks}, runs.subspan(count));
    const int64_t lines = bytes_of(runs.first(count)) / 64;
    const int64_t asks = 2 * q.groups * row_blocks;
    const auto per_ask = static_cast<int>((lines + asks - 1) / std::max<int64_t>(asks, 1));
    return {runs.data() + count, runs.data(), per_ask};
  }

  void run_tile(Tile tile) const {
    Ahead::Run runs[2 * kChunkRows];
    Ahead ahead = look_ahead(tile, runs);
    tile.ahead = &ahead;
    await_zero(quantizes_left);
    base(tile);
    await_zero(shrinks_left);
    if (s != nullptr) expand(tile);
    int64_t row = tile.begin;
    for_segments(tile, [&](int64_t begin, int64_t end, const CpuAdapterLinear::Part& part, float scale) {
      finish(tile, row, begin, nullptr);
      finish(tile, begin, end, &part, scale);
      row = end;
    });
    finish(tile, row, tile.end, nullptr);
  }

  // Both are in their accumulators, which are still in the cache.
  void finish_glu(const Tile& gate, const Tile& up) const {
    const BaseWeight& packed = weight.parts[0].weight;
    const int64_t width = packed.tile_outputs();
    const int64_t first = gate.index * width;
    for (int64_t row = gate.begin; row < gate.end; ++row) {
      const int64_t at = (row - gate.begin) * width;
      activate(y + row * packed.n() + first, gate.acc + at, up.acc + at, std::min(width, packed.n() - first));
    }
  }

  // Plain where `up` is null.
  void activate(float* to, const float* from, const float* up, int64_t n) const {
    const auto kind = static_cast<size_t>(activation.kind);
    (up == nullptr ? kernels.activation_row : kernels.glu_row)[kind]({.y = to,
                                                                      .x = from,
                                                                      .up = up,
                                                                      .n = n,
                                                                      .alpha = activation.alpha,
                                                                      .limit = activation.limit,
                                                                      .alpha_n = activation.alpha_n,
                                                                      .beta = activation.beta,
                                                                      .epsilon = activation.epsilon});
  }
};

}  // namespace lorikeet::cpu
