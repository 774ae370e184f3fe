// A step's beginning and end, and the ops on rows.

#include <algorithm>
#include <vector>

#include "backend/cuda/cuda_backend.h"

namespace lorikeet::cuda {
namespace {

constexpr int kThreads = 256;

int64_t blocks_of(int64_t count) {
  return (count + kThreads - 1) / kThreads;
}

}  // namespace

void CudaBackend::fail(Status status) {
  if (!status && step_fault_.ok()) step_fault_.error = status.error();
}

void CudaBackend::take_larger_blocks() {
  const std::lock_guard lock(larger_mutex_);
  if (larger_shrunk_.memory.bytes() == 0) return;
  shrunk_ = std::move(larger_shrunk_);
  larger_shrunk_ = {};
}

// Rows of a prompt stand at consecutive positions; those of other sequences do not belong together.
void CudaBackend::make_tiles(const StepInput& input) {
  tiles_.clear();
  for (size_t row = 0; row < input.position.size(); ++row) {
    const bool goes_on = !tiles_.empty() && tiles_.back().rows < kTileRows &&
                         sequence_of_row_[row] == sequence_of_row_[row - 1] &&
                         input.position[row] == input.position[row - 1] + 1;
    if (goes_on) {
      ++tiles_.back().rows;
    } else {
      tiles_.push_back({static_cast<int32_t>(row), 1});
    }
  }
}

// One piece of the buffer, so one copy. False: it does not fit.
bool CudaBackend::send_plan(const StepInput& input) {
  const auto sequences = input.kv_len.size();
  for (size_t s = 0; s + 1 < input.q_start.size(); ++s) {
    for (int32_t row = input.q_start[s]; row < input.q_start[s + 1]; ++row) {
      sequence_of_row_[static_cast<size_t>(row)] = static_cast<int32_t>(s);
    }
  }
  const std::span<const int32_t> sequence(sequence_of_row_.data(), input.token.size());
  make_tiles(input);
  static_assert(sizeof(RowTile) == 2 * sizeof(int32_t));
  const std::span<const int32_t> tiles(reinterpret_cast<const int32_t*>(tiles_.data()), 2 * tiles_.size());
  const auto table = input.page_table.first(
      std::min(input.page_table.size(), sequences * static_cast<size_t>(input.page_table_stride)));
  const std::span<const int32_t> pieces[] = {input.token,      input.position, input.kv_slot, sequence,
                                             input.sample_row, table,          tiles};
  const int32_t* tile_numbers = nullptr;
  const int32_t** const places[] = {&plan_.token,      &plan_.position,   &plan_.kv_slot, &plan_.sequence,
                                    &plan_.sample_row, &plan_.page_table, &tile_numbers};
  size_t count = 0;
  for (const auto& piece : pieces) count += piece.size();
  const std::span<int32_t> room = buffer_.open<int32_t>(*device_, count);
  if (room.size() < count) return false;
  size_t at = 0, ends[std::size(pieces)];
  for (size_t i = 0; i < std::size(pieces); ++i) {
    std::ranges::copy(pieces[i], room.begin() + static_cast<std::ptrdiff_t>(at));
    ends[i] = at;
    at += pieces[i].size();
  }
  const int32_t* const sent = buffer_.send(*device_, std::span<const int32_t>(room));
  for (size_t i = 0; i < std::size(pieces); ++i) *places[i] = sent + ends[i];
  plan_.tiles = reinterpret_cast<const RowTile*>(tile_numbers);
  plan_.page_stride = input.page_table_stride;
  buffer_.keep();
  return true;
}

void CudaBackend::copy_pages(const PageCopies& copies) {
  if (copies.kv == nullptr) return;
  for (const CacheArguments& layer : static_cast<const CudaKvCache*>(copies.kv)->layers) {
    const auto base = reinterpret_cast<DeviceAddress>(layer.layer);
    for (size_t i = 0; i < copies.from.size(); ++i) {
      if (copies.from[i] == copies.to[i]) continue;
      device_->copy_within(base + static_cast<DeviceAddress>(copies.to[i] * layer.page_bytes),
                           base + static_cast<DeviceAddress>(copies.from[i] * layer.page_bytes),
                           static_cast<size_t>(layer.page_bytes));
    }
  }
}

void CudaBackend::step_begin(const StepInput& input) {
  device_->enter();
  step_fault_ = {};
  host_.begin(input);
  if (!host_.runs()) return;
  take_larger_blocks();
  buffer_.begin();
  if (!send_plan(host_.input())) {
    fail(Error{"a step failed: it has more pages than were reserved"});
    return;
  }
  copy_pages(input.copies);
}

Status CudaBackend::step_end(std::span<SampleResult> results) {
  const Status device = device_->wait();
  const Status host = host_.end(results);
  if (!step_fault_.ok()) return *step_fault_.error;
  if (!device) return device;
  return host;
}

void CudaBackend::embed(TensorView y, const Embedding& table, std::span<const EmbeddingSegment> segments) {
  if (!runs()) return;
  const Matrix& matrix = static_cast<const CudaEmbedding&>(table).table;
  device_->launch(Kernel::embed_rows, {host_.rows()}, kThreads, f32(y), matrix, plan_.token, int32_t{0},
                  int32_t{0});
  if (segments.empty()) return;
  const std::span<EmbeddingItem> items = buffer_.open<EmbeddingItem>(*device_, segments.size());
  if (items.empty()) return fail(Error{"a step failed: it has more segments than were reserved"});
  int32_t most = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    items[i] = static_cast<const CudaAdapterEmbedding*>(segments[i].adapter)->item;
    items[i].row0 = segments[i].row0;
    items[i].rows = segments[i].rows;
    items[i].segment_scale = segments[i].scale;
    most = std::max(most, segments[i].rows);
  }
  const EmbeddingItem* const sent = buffer_.send(*device_, std::span<const EmbeddingItem>(items));
  device_->launch(Kernel::embed_adapters, {std::ssize(items), std::min<int64_t>(most, kMostBlocks)}, kThreads,
                  f32(y), matrix, plan_.token, sent);
}

void CudaBackend::embed_positions(TensorView y, const Embedding& table, int32_t offset) {
  if (!runs()) return;
  device_->launch(Kernel::embed_rows, {host_.rows()}, kThreads, f32(y),
                  static_cast<const CudaEmbedding&>(table).table, plan_.position, offset, int32_t{1});
}

void CudaBackend::norm(TensorView y, TensorView x, TensorView residual, const NormGain& gain, float epsilon,
                       std::span<const NormSegment> segments) {
  if (!runs()) return;
  const auto run = [&](int64_t begin, int64_t end, const NormGain& own) {
    NormArguments norm = static_cast<const CudaNormGain&>(own).arguments;
    norm.epsilon = epsilon;
    const int64_t at = begin * norm.width * norm.copies;
    // Blocks of one row are those of grid.x.
    for (int64_t row = begin; row < end; row += kMostBlocks) {
      const int64_t rows = std::min(end - row, kMostBlocks);
      const int64_t from = at + (row - begin) * norm.width * norm.copies;
      device_->launch(Kernel::norm_rows, {norm.copies, rows}, kNormThreads, f32(y) + from,
                      static_cast<const float*>(f32(x) + from),
                      residual.empty() ? static_cast<float*>(nullptr) : f32(residual) + from, norm);
    }
  };
  int64_t row = 0;
  for (const NormSegment& segment : segments) {
    run(row, segment.row0, gain);
    run(segment.row0, int64_t{segment.row0} + segment.rows, *segment.gain);
    row = int64_t{segment.row0} + segment.rows;
  }
  run(row, x.rows, gain);
}

void CudaBackend::delta_net(TensorView, TensorView, KvCache&, int, const DeltaNetDesc&, const HeadNorm&) {
  fail(Error{"recurrent layers are not served on a CUDA device yet", ErrorKind::unsupported});
}

void CudaBackend::take_columns(TensorView, TensorView, int64_t) {
  fail(Error{"latent attention is not served on a CUDA device yet", ErrorKind::unsupported});
}

void CudaBackend::join_heads(TensorView, TensorView, TensorView, TensorView, const LatentHeads&) {
  fail(Error{"latent attention is not served on a CUDA device yet", ErrorKind::unsupported});
}

void CudaBackend::trim_heads(TensorView, TensorView, const LatentHeads&) {
  fail(Error{"latent attention is not served on a CUDA device yet", ErrorKind::unsupported});
}

void CudaBackend::short_convolution(TensorView, TensorView, KvCache&, int, const ShortConvolutionDesc&) {
  fail(Error{"short convolutions are not served on a CUDA device yet", ErrorKind::unsupported});
}

void CudaBackend::gate_rows(TensorView y, TensorView gate) {
  if (!runs()) return;
  device_->launch(Kernel::gate_rows, {blocks_of(y.cols), y.rows}, kThreads, f32(y),
                  static_cast<const float*>(f32(gate)), y.cols);
}

void CudaBackend::multiply(TensorView y, TensorView x, int64_t column) {
  if (!runs()) return;
  for (int64_t first = 0; first < y.rows; first += kMostBlocks) {
    const int64_t rows = std::min(y.rows - first, kMostBlocks);
    device_->launch(Kernel::multiply_columns, {blocks_of(y.cols), rows}, kThreads, f32(y) + first * y.cols,
                    static_cast<const float*>(f32(x) + first * x.cols + column), y.cols, x.cols);
  }
}

void CudaBackend::add_scaled(TensorView y, TensorView x, float factor) {
  if (!runs()) return;
  device_->launch(Kernel::add_scaled, {blocks_of(y.count())}, kThreads, f32(y),
                  static_cast<const float*>(f32(x)), factor, y.count());
}

void CudaBackend::scale(TensorView y, float factor) {
  if (!runs()) return;
  device_->launch(Kernel::scale_by, {blocks_of(y.count())}, kThreads, f32(y), factor, y.count());
}

void CudaBackend::soft_cap(TensorView y, float cap) {
  if (!runs()) return;
  device_->launch(Kernel::soft_cap, {blocks_of(y.count())}, kThreads, f32(y), cap, y.count());
}

void CudaBackend::gather_sampled(TensorView to, TensorView from) {
  if (!runs()) return;
  device_->launch(Kernel::gather_rows, {blocks_of(to.cols), to.rows}, kThreads, f32(to),
                  static_cast<const float*>(f32(from)), plan_.sample_row, to.cols);
}

// On the host, by the code of all backends (backend/shared/sampling.h): the same draws from the same logits.
// Costs a wait for the logits and, per row, what the host needs for its vocabulary.
void CudaBackend::sample(TensorView logits, int32_t first) {
  if (!runs()) return;
  const auto room = static_cast<int64_t>(logits_.bytes() / sizeof(float)) / logits.cols;
  auto* const values = reinterpret_cast<float*>(logits_.data());
  const std::span<SampleResult> results = host_.results(first, logits.rows);
  for (int64_t begin = 0; begin < logits.rows; begin += room) {
    const TensorView slice = logits.part(begin, std::min(room, logits.rows - begin));
    device_->copy_out(values, reinterpret_cast<DeviceAddress>(f32(slice)),
                      static_cast<size_t>(slice.count()) * sizeof(float));
    if (Status s = device_->wait(); !s) return fail(s);
    for (int64_t r = 0; r < slice.rows; ++r) {
      const auto at = static_cast<size_t>(begin + r);
      sample_row(results[at], values + r * logits.cols, logits.cols,
                 host_.input().samples[static_cast<size_t>(first) + at], *sampling_);
    }
  }
}

}  // namespace lorikeet::cuda
