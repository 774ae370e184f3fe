// Linear maps: the base's product, and what adapters add to the rows of their segments.
//
// Rows of adapters are in lists (kernels/arguments.h, DenseProduct): one launch multiplies all by their A,
// one by their B, whatever their ranks, which are never filled up; one finishes with ratios and biases. Rows
// of no adapter are in none of the first two.

#include <algorithm>

#include "backend/cuda/cuda_backend.h"

namespace lorikeet::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kDenseRows = 8;
constexpr int64_t kMostOutputBlocks = 4096;
constexpr int64_t kMostRowBlocks = 64;  // of an item: longer ones go round
constexpr int64_t kEnoughBlocks = 256;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

ActivationArguments arguments_of(const Activation& f) {
  return {static_cast<int32_t>(f.kind), f.alpha, f.limit, f.alpha_n, f.beta, f.epsilon};
}

// A block reads its rows' activations for all of its outputs, so many outputs spare reads; few rows are bound
// by the weights' bytes, and those come the faster the more multiprocessors ask for them.
ProductBlocks product_blocks(Format format, int64_t rows, int64_t outputs, int64_t times) {
  struct Kernels {
    Kernel rows8, rows32, rows64;
  };
  constexpr int64_t kVeryFewRows = 2, kFewRows = 8, kSomeRows = 128, kLeastBlocks = 64;
  const Kernels own =
      format == Format::int4
          ? Kernels{Kernel::product_int4_rows8, Kernel::product_int4_rows32, Kernel::product_int4_rows64}
      : format == Format::nf4
          ? Kernels{Kernel::product_nf4_rows8, Kernel::product_nf4_rows32, Kernel::product_nf4_rows64}
          : Kernels{Kernel::product_int8_rows8, Kernel::product_int8_rows32, Kernel::product_int8_rows64};
  // Tiles of 16 outputs: as many as leave enough blocks.
  const auto tiles = [&](int64_t most, int64_t least) {
    while (most > least && ceil_div(outputs, 16 * most) * times < kLeastBlocks) most /= 2;
    return most;
  };
  if (rows <= kFewRows)
    return {own.rows8, 8, 16 * tiles(rows <= kVeryFewRows ? 2 : kMostTiles8, 1), kThreads};
  if (rows > kSomeRows) return {own.rows64, 64, 16 * kTileWarps64, 32 * kTileWarps64};
  const int64_t warps = tiles(kMostTileWarps32, 4);
  return {own.rows32, 32, 16 * warps, static_cast<int>(32 * warps)};
}

struct CudaBackend::LinearCall {
  const CudaLinear& map;
  const float* x;
  int64_t rows;
  std::span<const LinearSegment> segments;
  float* acc;  // [rows, outputs]
};

void CudaBackend::quantize(const QuantizedRows& rows) {
  const auto chunks = static_cast<int32_t>(ceil_div(rows.weight.k, 64));
  device_->launch(Kernel::quantize_rows, {ceil_div(ceil_div(chunks, 4), 4), rows.count}, 128, quantized_,
                  x_scale_, static_cast<int32_t>(scale_stride(rows.count)), rows.x, rows.weight.k, chunks,
                  rows.x_row);
}

void CudaBackend::quantized_product(const LinearCall& call, const float* bias, bool add) {
  const Matrix& w = call.map.weight.view;
  for (int64_t first = 0; first < call.rows; first += kMostBlocks) {
    const int64_t rows = std::min(call.rows - first, kMostBlocks);
    quantize({w, call.x + first * w.k, nullptr, rows});
    const ProductBlocks blocks = product_blocks(w.format, rows, w.n);
    const QuantizedProduct product{.y = call.acc + first * w.n,
                                   .w = w.w,
                                   .scale = w.scale,
                                   .bias = bias,
                                   .x = quantized_,
                                   .x_scale = x_scale_,
                                   .y_stride = w.n,
                                   .chunks = static_cast<int32_t>(ceil_div(w.k, 64)),
                                   .n = static_cast<int32_t>(w.n),
                                   .rows = static_cast<int32_t>(rows),
                                   .add = add ? 1 : 0,
                                   .scale_stride = static_cast<int32_t>(scale_stride(rows)),
                                   .tiles = static_cast<int32_t>(blocks.outputs / 16)};
    device_->launch(blocks.kernel, {ceil_div(w.n, blocks.outputs), ceil_div(rows, blocks.rows)},
                    blocks.threads, product);
  }
}

namespace {

struct DenseBlocks {
  Kernel kernel;
  int64_t rows, outputs;
};

DenseBlocks dense_blocks(Element type, int64_t rows) {
  const bool one = rows == 1;
  const Kernel kernel = type == Element::bf16  ? (one ? Kernel::dense_bf16_row1 : Kernel::dense_bf16_rows8)
                        : type == Element::f16 ? (one ? Kernel::dense_f16_row1 : Kernel::dense_f16_rows8)
                                               : (one ? Kernel::dense_f32_row1 : Kernel::dense_f32_rows8);
  return {kernel, one ? 1 : kDenseRows, kDenseWarps * (one ? kDenseOutputs1 : kDenseOutputs8)};
}

}  // namespace

void CudaBackend::base_product(const LinearCall& call, const float* bias, bool add) {
  const Matrix& w = call.map.weight.view;
  if (w.format != Format::none) return quantized_product(call, bias, add);
  DenseProduct product;
  product.x = call.x;
  product.y = call.acc;
  product.w = w.w;
  product.bias = bias;
  product.x_stride = product.k = w.k;
  product.y_stride = w.n;
  product.n = static_cast<int32_t>(w.n);
  product.rows = static_cast<int32_t>(call.rows);
  product.type = w.type;
  product.add = add ? 1 : 0;
  if (w.type != Element::int8 && dense_is_long(w.k)) {
    const auto [kernel, rows, outputs] = dense_blocks(w.type, call.rows);
    device_->launch(kernel, {ceil_div(call.rows, rows), ceil_div(w.n, outputs)}, kDenseThreads, product);
    return;
  }
  const int64_t outputs = std::min(ceil_div(w.n, dense_outputs(w.k)), kMostOutputBlocks);
  device_->launch(Kernel::dense_one, {outputs, std::min(ceil_div(call.rows, kDenseRows), kMostBlocks)},
                  kThreads, product);
}

namespace {

// Calls body(segment, part of the map, what the adapter does to it).
template <class Body>
void for_parts(std::span<const LinearSegment> segments, Body&& body) {
  for (const LinearSegment& segment : segments) {
    const auto& adapter = *static_cast<const CudaAdapterLinear*>(segment.adapter);
    for (size_t part = 0; part < adapter.parts.size(); ++part) {
      if (adapter.parts[part]) body(segment, part, *adapter.parts[part]);
    }
  }
}

// For loads of 16 bytes.
bool is_aligned(const void* address) {
  return reinterpret_cast<uintptr_t>(address) % 16 == 0;
}

bool changes_anything(std::span<const LinearSegment> segments) {
  bool any = false;
  for_parts(segments, [&](const auto&, size_t, const auto&) { any = true; });
  return any;
}

}  // namespace

// One launch of products, `make` giving those of each segment's part or none.
template <class Make>
void CudaBackend::launch_products(const LinearCall& call, Make&& make) {
  const std::span<DenseProduct> room =
      buffer_.open<DenseProduct>(*device_, call.segments.size() * call.map.parts.size());
  if (room.empty()) return fail(Error{"a step failed: it has more segments than were reserved"});
  size_t count = 0;
  int64_t blocks = 0, outputs = 0, rows = 0;
  bool all_long = true;
  for_parts(call.segments,
            [&](const LinearSegment& segment, size_t part, const CudaAdapterLinear::Part& own) {
              DenseProduct product;
              product.rows = segment.rows;
              if (!make(product, segment, call.map.parts[part], own)) return;
              blocks = std::max(blocks, ceil_div(product.n, dense_outputs(product.k)));
              outputs = std::max<int64_t>(outputs, product.n);
              rows = std::max<int64_t>(rows, product.rows);
              all_long &= dense_is_long(product.k) && is_aligned(product.x) && is_aligned(product.w);
              room[count++] = product;
            });
  if (count == 0) return;
  const DenseProduct* const sent = buffer_.send(*device_, std::span<const DenseProduct>(room.first(count)));
  if (rows == 1 && all_long) {
    device_->launch(Kernel::dense_items_row1,
                    {1, ceil_div(outputs, kDenseWarps * kDenseOutputsOfItem), static_cast<int64_t>(count)},
                    kThreads, sent);
    return;
  }
  // Blocks go round where there are enough of them: each has to read its item first.
  if (blocks * static_cast<int64_t>(count) >= 4 * kEnoughBlocks) blocks = ceil_div(blocks, 4);
  device_->launch(Kernel::dense_items,
                  {std::min(blocks, kMostOutputBlocks), std::min(ceil_div(rows, kDenseRows), kMostRowBlocks),
                   static_cast<int64_t>(count)},
                  kThreads, sent);
}

// acc = (acc + lora_bias) * ratio + bias of all rows and parts: the base's bias where an adapter has none.
void CudaBackend::finish(const LinearCall& call) {
  const CudaLinear& map = call.map;
  const std::span<Finish> room =
      buffer_.open<Finish>(*device_, (2 * call.segments.size() + 1) * map.parts.size());
  if (room.empty()) return fail(Error{"a step failed: it has more segments than were reserved"});
  size_t count = 0;
  int64_t outputs = 0, most = 0;
  const auto add = [&](int64_t begin, int64_t end, size_t part, const CudaAdapterLinear::Part* own,
                       float scale) {
    const CudaLinear::Part& place = map.parts[part];
    const float* const base = map.bias.bytes() == 0 ? nullptr : map.bias.at<const float>() + place.first;
    Finish item;
    item.acc = call.acc + begin * map.outputs() + place.first;
    item.bias = own != nullptr && own->bias != nullptr ? own->bias : base;
    if (own != nullptr) {
      item.lora_bias = own->lora_bias;
      item.ratio = own->ratio;
    }
    if (end == begin || (item.bias == nullptr && item.lora_bias == nullptr && item.ratio == nullptr)) return;
    item.stride = map.outputs();
    item.n = static_cast<int32_t>(place.n);
    item.rows = static_cast<int32_t>(end - begin);
    item.scale = scale;
    outputs = std::max(outputs, place.n);
    most = std::max(most, end - begin);
    room[count++] = item;
  };
  for (size_t part = 0; part < map.parts.size(); ++part) {
    int64_t row = 0;
    for (const LinearSegment& segment : call.segments) {
      const auto& own = static_cast<const CudaAdapterLinear*>(segment.adapter)->parts[part];
      if (!own) continue;
      add(row, segment.row0, part, nullptr, 1.0f);
      row = int64_t{segment.row0} + segment.rows;
      add(segment.row0, row, part, &*own, segment.scale);
    }
    add(row, call.rows, part, nullptr, 1.0f);
  }
  if (count == 0) return;
  const Finish* const sent = buffer_.send(*device_, std::span<const Finish>(room.first(count)));
  device_->launch(Kernel::finish_items,
                  {ceil_div(outputs, kThreads), std::min(most, kMostBlocks), static_cast<int64_t>(count)},
                  kThreads, sent);
}

void CudaBackend::apply_adapters(const LinearCall& call) {
  const int64_t k = call.map.inputs(), n = call.map.outputs();
  auto* const shrunk = shrunk_.memory.at<float>();
  using Part = CudaAdapterLinear::Part;
  const auto multiply = [&](DenseProduct& product, const DeviceRows& by, const LinearSegment& segment) {
    product.x = call.x + segment.row0 * k;
    product.x_stride = product.k = k;
    product.w = by.data;
    product.type = by.type;
  };
  launch_products(call, [&](DenseProduct& product, const LinearSegment& segment,
                            const CudaLinear::Part& place, const Part& own) {
    if (own.weight.data == nullptr) return false;
    multiply(product, own.weight, segment);
    product.y = call.acc + segment.row0 * n + place.first;
    product.y_stride = n;
    product.n = static_cast<int32_t>(place.n);
    return true;
  });
  launch_products(call, [&](DenseProduct& product, const LinearSegment& segment, const CudaLinear::Part&,
                            const Part& own) {
    if (own.rank == 0) return false;
    multiply(product, own.a, segment);
    product.y = shrunk + segment.row0 * shrunk_.ranks + own.s_offset;
    product.y_stride = shrunk_.ranks;
    product.n = own.rank;
    product.factor = own.factor;
    product.scale = own.scale * segment.scale;
    return true;
  });
  launch_products(call, [&](DenseProduct& product, const LinearSegment& segment,
                            const CudaLinear::Part& place, const Part& own) {
    if (own.rank == 0) return false;
    product.x = shrunk + segment.row0 * shrunk_.ranks + own.s_offset;
    product.x_stride = shrunk_.ranks;
    product.k = own.rank;
    product.w = own.b.data;
    product.type = own.b.type;
    product.y = call.acc + segment.row0 * n + place.first;
    product.y_stride = n;
    product.n = static_cast<int32_t>(place.n);
    product.add = 1;
    return true;
  });
  finish(call);
  launch_products(call, [&](DenseProduct& product, const LinearSegment& segment,
                            const CudaLinear::Part& place, const Part& own) {
    if (own.replaced_count == 0) return false;
    multiply(product, own.replaced_values, segment);
    product.y = call.acc + segment.row0 * n + place.first;
    product.y_stride = n;
    product.n = own.replaced_count;
    product.index = own.replaced;
    return true;
  });
}

void CudaBackend::linear(TensorView y, TensorView x, const Linear& weight,
                         std::span<const LinearSegment> segments, LinearOutput output,
                         const Activation& activation) {
  if (!runs()) return;
  const auto& map = static_cast<const CudaLinear&>(weight);
  const bool adapted = changes_anything(segments);
  // In place unless something still has to be done to the whole sum.
  const bool in_place = output == LinearOutput::store || (output == LinearOutput::add && !adapted);
  const LinearCall call{map, f32(x), x.rows, segments, in_place ? f32(y) : acc_};
  const float* const bias = map.bias.bytes() == 0 || adapted ? nullptr : map.bias.at<const float>();
  base_product(call, bias, output == LinearOutput::add && !adapted);
  if (adapted) apply_adapters(call);
  if (in_place) return;
  if (output == LinearOutput::add) {
    const int64_t count = x.rows * map.outputs();
    device_->launch(Kernel::add_scaled, {ceil_div(count, kThreads)}, kThreads, f32(y),
                    static_cast<const float*>(acc_), 1.0f, count);
    return;
  }
  const bool gated = output == LinearOutput::glu;
  const int64_t width = gated ? map.outputs() / 2 : map.outputs();
  for (int64_t first = 0; first < x.rows; first += kMostBlocks) {
    device_->launch(Kernel::activate_rows, {ceil_div(width, kThreads), std::min(x.rows - first, kMostBlocks)},
                    kThreads, f32(y) + first * width, static_cast<const float*>(acc_ + first * map.outputs()),
                    width, static_cast<int32_t>(gated), arguments_of(activation));
  }
}

}  // namespace lorikeet::cuda
