// Mixtures of experts: kernels/experts.cu, with the products of kernels/product.cu for quantized ones.

#include <algorithm>

#include "backend/cuda/cuda_backend.h"

namespace lorikeet::cuda {
namespace {

constexpr int kThreads = 256;
// Of dense products of experts, and of those of adapters, most of whose blocks have nothing to do.
constexpr int64_t kMostOutputBlocks = 4096, kMostDeltaBlocks = 1 << 16;
constexpr int64_t kFewRows = 8, kManyRows = 32;  // of a block of quantized products

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace

// Some rows of a call: as many as the scratch has places for.
struct CudaBackend::ExpertsPass {
  const ExpertsCall& call;
  const CudaExperts& experts;
  // Of the whole call, by map.
  std::array<std::span<const ExpertSegment>, kExpertMaps> segments;
  int64_t row0 = 0, rows = 0, places = 0;
  int64_t item_rows = 0, items = 0;
};
// One of the maps of a pass: y [places, n] of x [places, k], or of the rows x_row of x.
struct CudaBackend::ExpertsProduct {
  size_t map;
  const float* x;
  const int32_t* x_row;
  float* y;
};

void CudaBackend::choose_experts(const ExpertsPass& pass) {
  const RouterDesc& router = pass.call.router;
  const RouterArguments route{.logits = f32(pass.call.logits) + pass.row0 * router.experts,
                              .bias = f32(router.choice_bias),
                              .factor = f32(router.expert_scale),
                              .expert = experts_.expert,
                              .weight = experts_.weight,
                              .experts = router.experts,
                              .chosen = router.chosen,
                              .groups = router.groups,
                              .chosen_groups = router.chosen_groups,
                              .sigmoid = router.score == RouterScore::sigmoid ? 1 : 0,
                              .renormalize = router.renormalize ? 1 : 0,
                              .scale = router.scale};
  device_->launch(Kernel::route_rows, {pass.rows}, 32, route);
  const SortArguments sort{.chosen = experts_.expert,
                           .place = experts_.place,
                           .row = experts_.row_of,
                           .expert = experts_.expert_of,
                           .items = experts_.items,
                           .places = static_cast<int32_t>(pass.places),
                           .chosen_of_row = router.chosen,
                           .row0 = static_cast<int32_t>(pass.row0),
                           .item_rows = static_cast<int32_t>(pass.item_rows),
                           .most_items = static_cast<int32_t>(pass.items)};
  device_->launch(Kernel::sort_places, {router.experts}, kThreads, sort);
}

void CudaBackend::experts_product(const ExpertsPass& pass, const ExpertsProduct& product) {
  const Matrix& w = pass.experts.maps[product.map].front().weight.view;
  const ExpertMap* const table = pass.experts.tables[product.map];
  const bool adapted = !pass.segments[product.map].empty();
  if (w.format == Format::none) {
    DenseProduct dense;
    dense.x = product.x;
    dense.x_row = product.x_row;
    dense.y = product.y;
    dense.x_stride = dense.k = w.k;
    dense.y_stride = w.n;
    dense.n = static_cast<int32_t>(w.n);
    device_->launch(Kernel::dense_experts,
                    {std::min(ceil_div(w.n, dense_outputs(w.k)), kMostOutputBlocks), 1, pass.items}, kThreads,
                    dense, table, static_cast<const ExpertItem*>(experts_.items),
                    static_cast<int32_t>(!adapted));
  } else {
    quantize({w, product.x, product.x_row, pass.places});
    const ProductBlocks blocks = product_blocks(w.format, pass.item_rows, w.n, pass.items);
    const QuantizedProduct quantized{.y = product.y,
                                     .x = quantized_,
                                     .x_scale = x_scale_,
                                     .y_stride = w.n,
                                     .experts = table,
                                     .items = experts_.items,
                                     .chunks = static_cast<int32_t>(ceil_div(w.k, 64)),
                                     .n = static_cast<int32_t>(w.n),
                                     .bare = adapted ? 1 : 0,
                                     .scale_stride = static_cast<int32_t>(scale_stride(pass.places)),
                                     .tiles = static_cast<int32_t>(blocks.outputs / 16)};
    device_->launch(blocks.kernel, {ceil_div(w.n, blocks.outputs), pass.items}, blocks.threads, quantized);
  }
  if (adapted) adapt_experts(pass, product);
}

void CudaBackend::adapt_experts(const ExpertsPass& pass, const ExpertsProduct& product) {
  const CudaLinear& map = pass.experts.maps[product.map].front();
  const int64_t n = map.outputs(), parts = std::ssize(map.parts);
  const std::span<const ExpertSegment> segments = pass.segments[product.map];
  const ExpertDeltas deltas{.segments = segments.data(),
                            .maps = pass.experts.tables[product.map],
                            .row = experts_.row_of,
                            .expert = experts_.expert_of,
                            .segment_count = static_cast<int32_t>(segments.size()),
                            .parts = static_cast<int32_t>(parts),
                            .places = static_cast<int32_t>(pass.places)};
  const auto launch = [&](const DenseProduct& dense, int64_t k, int64_t outputs, int32_t expand) {
    const int64_t blocks = pass.places * parts;
    const int64_t most = std::max<int64_t>(1, kMostDeltaBlocks / blocks);
    for (int64_t first = 0; first < blocks; first += kMostBlocks) {
      device_->launch(
          Kernel::dense_deltas,
          {std::min(ceil_div(outputs, dense_outputs(k)), most), 1, std::min(blocks - first, kMostBlocks)},
          kThreads, dense, deltas, static_cast<int32_t>(first), expand);
    }
  };
  DenseProduct shrink, expand;
  shrink.x = product.x;
  shrink.x_row = product.x_row;
  shrink.x_stride = shrink.k = map.inputs();
  shrink.y = shrunk_.memory.at<float>();
  shrink.y_stride = shrunk_.expert_ranks;
  launch(shrink, shrink.k, shrunk_.expert_ranks, 0);
  expand.x = shrink.y;
  expand.x_stride = shrink.y_stride;
  expand.y = product.y;
  expand.y_stride = n;
  launch(expand, shrunk_.expert_ranks, n, 1);
  device_->launch(Kernel::finish_experts, {ceil_div(n, kThreads), pass.places}, kThreads, product.y,
                  static_cast<int32_t>(n), deltas);
}

void CudaBackend::run_experts(const ExpertsPass& pass) {
  const ExpertsCall& call = pass.call;
  choose_experts(pass);
  experts_product(pass, {kUp, f32(call.x), experts_.row_of, experts_.up});
  const int64_t width = pass.experts.maps[kDown].front().inputs();
  device_->launch(Kernel::activate_rows, {ceil_div(width, kThreads), pass.places}, kThreads, experts_.inner,
                  static_cast<const float*>(experts_.up), width, int32_t{1}, arguments_of(call.activation));
  experts_product(pass, {kDown, experts_.inner, nullptr, experts_.down});
  device_->launch(Kernel::add_experts, {ceil_div(call.y.cols, kThreads), pass.rows}, kThreads,
                  f32(call.y) + pass.row0 * call.y.cols, static_cast<const float*>(experts_.down),
                  static_cast<const float*>(experts_.weight), static_cast<const int32_t*>(experts_.place),
                  static_cast<int32_t>(call.router.chosen), call.y.cols, static_cast<int32_t>(call.add));
}

void CudaBackend::experts(const ExpertsCall& call, const Experts& experts) {
  if (!runs()) return;
  ExpertsPass pass{.call = call, .experts = static_cast<const CudaExperts&>(experts), .segments = {}};
  if (!send_segments(pass)) return fail(Error{"a step failed: it has more segments than were reserved"});
  const int64_t chosen = call.router.chosen, count = call.router.experts;
  for (; pass.row0 < call.x.rows; pass.row0 += pass.rows) {
    pass.rows = std::min(experts_.rows, call.x.rows - pass.row0);
    pass.places = pass.rows * chosen;
    pass.item_rows = pass.places <= kFewRows * count ? kFewRows : kManyRows;
    pass.items = std::min(pass.places, pass.places / pass.item_rows + count);
    run_experts(pass);
  }
}

// Both maps' in one piece of the buffer, for the whole op: another piece might take its place.
bool CudaBackend::send_segments(ExpertsPass& pass) {
  const std::span<const ExpertsSegment> segments = pass.call.segments;
  if (segments.empty()) return true;
  const std::span<ExpertSegment> room = buffer_.open<ExpertSegment>(*device_, kExpertMaps * segments.size());
  if (room.empty()) return false;
  std::array<size_t, kExpertMaps + 1> ends{};
  size_t count = 0;
  for (size_t map = 0; map < kExpertMaps; ++map) {
    for (const ExpertsSegment& segment : segments) {
      const ExpertPart* const parts = static_cast<const CudaAdapterExperts*>(segment.adapter)->tables[map];
      if (parts == nullptr) continue;
      room[count++] = {.parts = parts, .row0 = segment.row0, .rows = segment.rows, .scale = segment.scale};
    }
    ends[map + 1] = count;
  }
  const ExpertSegment* const sent = buffer_.send(*device_, std::span<const ExpertSegment>(room.first(count)));
  for (size_t map = 0; map < kExpertMaps; ++map) {
    pass.segments[map] = {sent + ends[map], ends[map + 1] - ends[map]};
  }
  return true;
}

}  // namespace lorikeet::cuda
