#include "model/decoder.h"

#include <algorithm>
#include <cmath>

namespace lorikeet {

namespace {

// Press et al. 2021: powers of 2^(-8 / n) for n heads, a power of two; other numbers of heads take every
// second slope of twice as many for the rest.
std::vector<float> alibi_slopes(int32_t heads) {
  int32_t whole = 1;
  while (2 * whole <= heads) whole *= 2;
  std::vector<float> slopes;
  for (int32_t i = 1; i <= whole; ++i) {
    slopes.push_back(static_cast<float>(std::pow(2.0, -8.0 * i / whole)));
  }
  for (int32_t i = 1; static_cast<int32_t>(slopes.size()) < heads; i += 2) {
    slopes.push_back(static_cast<float>(std::pow(2.0, -4.0 * i / whole)));
  }
  return slopes;
}

}  // namespace

Decoder::Decoder(const Network& network, const Weights& weights, Backend& backend, KvCache& kv,
                 int32_t max_rows)
    : network_(network), weights_(weights), backend_(backend), kv_(kv), segments_(max_rows) {
  for (const Rope& rope : network.ropes) ropes_.push_back(make_rope(rope));
  for (const Layer& layer : network.layers) {
    if (layer.attention.alibi) alibi_slopes_ = alibi_slopes(layer.attention.q_heads);
  }
  for (size_t layer = 0; layer < network.layers.size(); ++layer) attention_.push_back(attention_site(layer));
  sample_rows_.reserve(kHeadRows);
}

Decoder::AttentionSite Decoder::attention_site(size_t layer) const {
  const Attention& attention = network_.layers[layer].attention;
  AttentionSite site;
  site.desc = {.q_heads = attention.q_heads,
               .kv_heads = attention.kv_heads,
               .head_dim = attention.head_dim,
               .scale = attention.scale,
               .window = attention.window,
               .softcap = attention.softcap,
               .sinks = weights_.layers[layer].sinks,
               .alibi_slopes = {},
               .query_scaling = attention.query_scaling};
  if (attention.alibi) site.desc.alibi_slopes = alibi_slopes_;
  site.rope = attention.rope ? &ropes_[*attention.rope] : &no_rope_;
  return site;
}

Result<std::unique_ptr<Decoder>> Decoder::create(const Network& network, const Weights& weights,
                                                 Backend& backend, KvCache& kv, int32_t max_rows) {
  std::unique_ptr<Decoder> decoder(new Decoder(network, weights, backend, kv, max_rows));
  const Status allocated = decoder->allocate(max_rows);
  if (!allocated) return allocated.error();
  return decoder;
}

Status Decoder::allocate(int32_t max_rows) {
  int64_t qkv = 0, attended = 0, activated = 0, experts = 0;
  for (const Layer& layer : network_.layers) {
    qkv = std::max(qkv, layer.attention.qkv.out());
    attended = std::max(attended, layer.attention.q_width());
    activated = std::max(activated, layer.mlp.width());
    if (layer.mlp.experts) experts = std::max(experts, layer.mlp.experts->router.out());
  }
  struct Need {
    std::unique_ptr<Buffer>& buffer;
    int64_t rows;
    int64_t cols;
  };
  const Need needs[] = {
      {residual_, max_rows, network_.hidden},
      {update_, max_rows, network_.hidden},
      {normed_, max_rows, network_.hidden},
      {qkv_, max_rows, qkv},
      {attended_, max_rows, attended},
      {activated_, max_rows, activated},
      {router_logits_, max_rows, experts},
      {shared_gate_, max_rows, experts > 0 ? 1 : 0},
      {sampled_residual_, max_rows, network_.hidden},
      {sampled_update_, max_rows, network_.hidden},
      {logits_, kHeadRows, network_.vocab},
  };
  for (const Need& need : needs) {
    if (need.cols == 0) continue;  // of no layer
    auto buffer = backend_.buffer_create(need.rows, need.cols);
    if (!buffer) return buffer.error();
    need.buffer = std::move(*buffer);
  }
  return {};
}

size_t Decoder::scratch_bytes() const {
  size_t total = 0;
  for (const auto* buffer : {&residual_, &update_, &normed_, &qkv_, &attended_, &activated_, &router_logits_,
                             &shared_gate_, &sampled_residual_, &sampled_update_, &logits_}) {
    if (*buffer) total += (*buffer)->bytes();
  }
  return total;
}

Status Decoder::run(const StepPlan& plan, std::span<const Adapter* const> adapters,
                    std::span<SampleResult> results, const std::atomic<bool>& cancelled) {
  rows_ = plan.rows();
  segments_.begin(plan, adapters);
  backend_.step_begin({plan.token, plan.position, plan.kv_slot, plan.q_start, plan.kv_len, plan.page_table,
                       plan.page_table_stride});
  embed();
  for (int layer = 0; layer < network_.layer_count(); ++layer) {
    if (cancelled.load(std::memory_order_relaxed)) {
      return Error{"the step was cancelled: the engine closes", ErrorKind::closed};
    }
    attention_block(layer);
    mlp_block(layer);
  }
  head(plan, results);
  return {};
}

void Decoder::embed() {
  const EmbeddingTable& table = network_.embedding;
  float* const x = residual_->f32();
  backend_.embed(x, *weights_.embed, segments_.embed());
  if (table.scale != 1.0f) backend_.scale(x, int64_t{rows_} * network_.hidden, table.scale);
  if (weights_.positions) backend_.embed_positions(x, *weights_.positions, table.position_offset);
  if (table.norm) {
    backend_.norm(x, x, nullptr, rows_, *weights_.embed_norm, table.norm->epsilon, segments_.embed_norm());
  }
  pending_ = false;
}

void Decoder::attention_block(int layer) {
  const AttentionSite& site = attention_[static_cast<size_t>(layer)];
  linear(*qkv_, enter(layer, NormSite::before_attention), layer, LinearSite::qkv);
  backend_.rope_kv(qkv_->f32(), kv_, layer, *site.rope, site.desc, head_norms(layer));
  backend_.attention(attended_->f32(), qkv_->f32(), kv_, layer, site.desc);
  linear(*update_, attended_->f32(), layer, LinearSite::o);
  leave(layer, NormSite::after_attention);
}

void Decoder::mlp_block(int layer) {
  const Layer& own = network_.layers[static_cast<size_t>(layer)];
  if (!own.parallel) {
    mlp(layer, enter(layer, NormSite::before_mlp), false);
    leave(layer, NormSite::after_mlp);
    return;
  }
  // Attention's update stays pending, and the MLP's joins it. What attention read is still in normed_.
  pending_ = false;
  const bool shared = !own.before_mlp && own.before_attention;
  mlp(layer, shared ? normed_->f32() : enter(layer, NormSite::before_mlp), true);
  pending_ = true;
}

void Decoder::mlp(int layer, const float* x, bool add) {
  const Mlp& own = network_.layers[static_cast<size_t>(layer)].mlp;
  const LayerWeights& weights = weights_.layers[layer];
  if (!own.up.empty()) {
    linear(*activated_, x, layer, LinearSite::up, own.gated ? LinearOutput::glu : LinearOutput::activate);
    linear(*update_, activated_->f32(), layer, LinearSite::down,
           add ? LinearOutput::add : LinearOutput::store);
  }
  if (!own.experts) return;
  if (!own.experts->shared_gate.empty()) {
    linear(*shared_gate_, x, layer, LinearSite::shared_gate);
    backend_.gate_rows(update_->f32(), shared_gate_->f32(), rows_, network_.hidden);
  }
  linear(*router_logits_, x, layer, LinearSite::router);
  backend_.experts({.y = update_->f32(),
                    .x = x,
                    .logits = router_logits_->f32(),
                    .rows = rows_,
                    .router = weights.routing,
                    .activation = weights.activation,
                    .add = add || !own.up.empty()},
                   *weights.experts);
}

// Only sampled rows pass the final norm and the head.
void Decoder::head(const StepPlan& plan, std::span<SampleResult> results) {
  const int32_t samples = plan.samples();
  if (samples == 0) return;
  const int64_t hidden = network_.hidden;
  backend_.gather_rows(sampled_residual_->f32(), residual_->f32(), plan.sample_row, hidden);
  backend_.gather_rows(sampled_update_->f32(), update_->f32(), plan.sample_row, hidden);
  const bool joined = network_.final_norm && network_.residual_scale == 1.0f;
  if (!joined) {
    backend_.add_scaled(sampled_residual_->f32(), sampled_update_->f32(), samples * hidden,
                        network_.residual_scale);
  }
  const float* normed = sampled_residual_->f32();
  if (network_.final_norm) {
    backend_.norm(normed_->f32(), joined ? sampled_update_->f32() : sampled_residual_->f32(),
                  joined ? sampled_residual_->f32() : nullptr, samples, *weights_.final_norm,
                  network_.final_norm->epsilon, segments_.final_norm());
    normed = normed_->f32();
  }
  for (int32_t first = 0; first < samples; first += kHeadRows) {
    const int32_t rows = std::min(kHeadRows, samples - first);
    logits_of(normed, first, rows);
    sample_rows_.clear();
    for (int32_t r = 0; r < rows; ++r) sample_rows_.push_back(sample_row_of(plan, first + r));
    backend_.sample(results.subspan(first, rows), logits_->f32(), network_.vocab, sample_rows_);
  }
}

// Of sampled rows [first, first + rows).
void Decoder::logits_of(const float* normed, int32_t first, int32_t rows) {
  const Head& head = network_.head;
  const int64_t count = int64_t{rows} * network_.vocab;
  backend_.linear(logits_->f32(), normed + int64_t{first} * network_.hidden, rows, *weights_.head,
                  segments_.head(first, first + rows), LinearOutput::store);
  if (head.scale != 1.0f) backend_.scale(logits_->f32(), count, head.scale);
  if (head.softcap != 0.0f) backend_.soft_cap(logits_->f32(), count, head.softcap);
}

void Decoder::add_update() {
  backend_.add_scaled(residual_->f32(), update_->f32(), int64_t{rows_} * network_.hidden,
                      network_.residual_scale);
  pending_ = false;
}

const float* Decoder::enter(int layer, NormSite site) {
  const auto index = static_cast<size_t>(site);
  const Layer& own = network_.layers[static_cast<size_t>(layer)];
  const std::optional<Norm>& norm =
      site == NormSite::before_attention ? own.before_attention : own.before_mlp;
  if (pending_ && (!norm || network_.residual_scale != 1.0f)) add_update();
  if (!norm) return residual_->f32();
  // A pending update is added on the way.
  backend_.norm(normed_->f32(), pending_ ? update_->f32() : residual_->f32(),
                pending_ ? residual_->f32() : nullptr, rows_, *weights_.layers[layer].norm[index],
                norm->epsilon, segments_.norm(layer, site));
  pending_ = false;
  return normed_->f32();
}

void Decoder::leave(int layer, NormSite site) {
  const Layer& own = network_.layers[static_cast<size_t>(layer)];
  const std::optional<Norm>& norm = site == NormSite::after_attention ? own.after_attention : own.after_mlp;
  pending_ = true;
  if (!norm) return;
  backend_.norm(update_->f32(), update_->f32(), nullptr, rows_,
                *weights_.layers[layer].norm[static_cast<size_t>(site)], norm->epsilon,
                segments_.norm(layer, site));
}

HeadNorms Decoder::head_norms(int layer) {
  const Attention& attention = network_.layers[static_cast<size_t>(layer)].attention;
  const auto at = [&](const std::optional<Norm>& norm, NormSite site) -> HeadNorm {
    if (!norm) return {};
    return {weights_.layers[layer].norm[static_cast<size_t>(site)].get(), norm->epsilon,
            segments_.norm(layer, site)};
  };
  return {at(attention.q_norm, NormSite::q), at(attention.k_norm, NormSite::k),
          at(attention.v_norm, NormSite::v), attention.norm_after_rope};
}

void Decoder::announce_next(int layer, LinearSite site) {
  auto next = static_cast<size_t>(site) + 1;
  for (; layer < network_.layer_count(); ++layer, next = 0) {
    const auto& maps = weights_.layers[layer].linear;
    while (next < maps.size() && !maps[next]) ++next;
    if (next < maps.size())
      return backend_.linear_soon(segments_.linear(layer, static_cast<LinearSite>(next)));
  }
}

void Decoder::linear(Buffer& y, const float* x, int layer, LinearSite site, LinearOutput output) {
  const LayerWeights& weights = weights_.layers[layer];
  announce_next(layer, site);
  backend_.linear(y.f32(), x, rows_, *weights.linear[static_cast<size_t>(site)],
                  segments_.linear(layer, site), output, weights.activation);
}

}  // namespace lorikeet
