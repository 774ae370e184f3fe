#include "model/decoder.h"

#include <algorithm>
#include <cmath>

#include "model/rope.h"

namespace lorikeet {

Decoder::Decoder(const ModelConfig& config, const Weights& weights, Backend& backend, KvCache& kv,
                 int32_t max_rows)
    : config_(config),
      weights_(weights),
      backend_(backend),
      kv_(kv),
      rope_(make_rope(config.rope, config.head_dim)),
      segments_(max_rows) {
  attention_.q_heads = config.q_heads;
  attention_.kv_heads = config.kv_heads;
  attention_.head_dim = config.head_dim;
  attention_.scale = 1.0f / std::sqrt(static_cast<float>(config.head_dim));
  sample_rows_.reserve(kHeadRows);
}

Result<std::unique_ptr<Decoder>> Decoder::create(const ModelConfig& config, const Weights& weights,
                                                 Backend& backend, KvCache& kv, int32_t max_rows) {
  std::unique_ptr<Decoder> decoder(new Decoder(config, weights, backend, kv, max_rows));
  const Status allocated = decoder->allocate(max_rows);
  if (!allocated) return allocated.error();
  return decoder;
}

Status Decoder::allocate(int32_t max_rows) {
  struct Need {
    std::unique_ptr<Buffer>& buffer;
    int64_t rows;
    int64_t cols;
  };
  const Need needs[] = {
      {residual_, max_rows, config_.hidden},
      {update_, max_rows, config_.hidden},
      {normed_, max_rows, config_.hidden},
      {qkv_, max_rows, config_.q_width() + 2 * config_.kv_width()},
      {attended_, max_rows, config_.q_width()},
      {activated_, max_rows, config_.ffn},
      {sampled_residual_, max_rows, config_.hidden},
      {sampled_update_, max_rows, config_.hidden},
      {logits_, kHeadRows, config_.vocab},
  };
  for (const Need& need : needs) {
    auto buffer = backend_.buffer_create(need.rows, need.cols);
    if (!buffer) return buffer.error();
    need.buffer = std::move(*buffer);
  }
  return {};
}

size_t Decoder::scratch_bytes() const {
  size_t total = 0;
  for (const auto* buffer : {&residual_, &update_, &normed_, &qkv_, &attended_, &activated_,
                             &sampled_residual_, &sampled_update_, &logits_}) {
    total += (*buffer)->bytes();
  }
  return total;
}

Status Decoder::run(const StepPlan& plan, std::span<const Adapter* const> adapters,
                    std::span<SampleResult> results, const std::atomic<bool>& cancelled) {
  rows_ = plan.rows();
  segments_.begin(plan, adapters);
  backend_.step_begin({plan.token, plan.position, plan.kv_slot, plan.q_start, plan.kv_len, plan.page_table,
                       plan.page_table_stride});

  backend_.embed(residual_->f32(), *weights_.embed, segments_.embed());
  for (int layer = 0; layer < config_.layers; ++layer) {
    if (cancelled.load(std::memory_order_relaxed)) return Error{"the step was cancelled: the engine closes"};
    attention_block(layer);
    mlp_block(layer);
  }
  head(plan, results);
  return {};
}

void Decoder::attention_block(int layer) {
  if (layer == 0) {  // nothing to add yet: the residual is the embedding
    backend_.norm(normed_->f32(), residual_->f32(), nullptr, rows_, *weights_.layers[0].norm[0],
                  config_.norm_epsilon, segments_.norm(0, NormSite::input));
  } else {
    add_norm(layer, NormSite::input);
  }
  linear(*qkv_, *normed_, layer, LinearSite::qkv);
  backend_.rope_kv(qkv_->f32(), kv_, layer, rope_, attention_);
  backend_.attention(attended_->f32(), qkv_->f32(), kv_, layer, attention_);
  linear(*update_, *attended_, layer, LinearSite::o);
}

void Decoder::mlp_block(int layer) {
  add_norm(layer, NormSite::post_attention);
  linear(*activated_, *normed_, layer, LinearSite::gate_up, LinearOutput::glu);
  linear(*update_, *activated_, layer, LinearSite::down);
}

// Only sampled rows pass the final norm and the head.
void Decoder::head(const StepPlan& plan, std::span<SampleResult> results) {
  const int32_t samples = plan.samples();
  if (samples == 0) return;
  const int64_t hidden = config_.hidden;
  backend_.gather_rows(sampled_residual_->f32(), residual_->f32(), plan.sample_row, hidden);
  backend_.gather_rows(sampled_update_->f32(), update_->f32(), plan.sample_row, hidden);
  backend_.norm(normed_->f32(), sampled_update_->f32(), sampled_residual_->f32(), samples,
                *weights_.final_norm, config_.norm_epsilon, segments_.final_norm());
  for (int32_t first = 0; first < samples; first += kHeadRows) {
    const int32_t rows = std::min(kHeadRows, samples - first);
    backend_.linear(logits_->f32(), normed_->f32() + first * hidden, rows, *weights_.head,
                    segments_.head(first, first + rows), LinearOutput::store);
    sample_rows_.clear();
    for (int32_t r = 0; r < rows; ++r) sample_rows_.push_back(sample_row_of(plan, first + r));
    backend_.sample(results.subspan(first, rows), logits_->f32(), config_.vocab, sample_rows_);
  }
}

void Decoder::add_norm(int layer, NormSite site) {
  backend_.norm(normed_->f32(), update_->f32(), residual_->f32(), rows_,
                *weights_.layers[layer].norm[static_cast<size_t>(site)], config_.norm_epsilon,
                segments_.norm(layer, site));
}

void Decoder::announce_next(int layer, LinearSite site) {
  const bool last = site == LinearSite::down;
  if (last && layer + 1 == config_.layers) return;
  const auto next = last ? LinearSite::qkv : static_cast<LinearSite>(static_cast<int>(site) + 1);
  backend_.linear_soon(segments_.linear(last ? layer + 1 : layer, next));
}

void Decoder::linear(Buffer& y, Buffer& x, int layer, LinearSite site, LinearOutput output) {
  announce_next(layer, site);
  backend_.linear(y.f32(), x.f32(), rows_, *weights_.layers[layer].linear[static_cast<size_t>(site)],
                  segments_.linear(layer, site), output);
}

}  // namespace lorikeet
