#include "model/decoder.h"

#include <algorithm>
#include <cmath>

#include "backend/shared/dtype.h"

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
    : network_(network),
      weights_(weights),
      backend_(backend),
      kv_(kv),
      segments_(max_rows),
      vocab_(network.vocab) {
  samples_.reserve(static_cast<size_t>(max_rows));
}

Decoder::AttentionSite Decoder::attention_site(size_t layer) const {
  const Attention& attention = network_.layers[layer].attention;
  AttentionSite site;
  site.desc = {.q_heads = attention.q_heads,
               .kv_heads = attention.kv_heads,
               .head_dim = attention.head_dim,
               .scale = attention.scale,
               .window = attention.window,
               .chunk = attention.chunk,
               .softcap = attention.softcap,
               .sinks = weights_.layers[layer].sinks.get(),
               .alibi_slopes = attention.alibi ? alibi_slopes_.get() : nullptr,
               .coarse_alibi = attention.coarse_alibi,
               .query_scaling = attention.query_scaling,
               .clip = attention.clip,
               .projected = attention.projected,
               .gated = attention.gated};
  site.kv_layer = kv_place(network_, layer);
  site.rotation = attention.rope ? rotations_[*attention.rope].get() : no_rotation_.get();
  if (const auto& net = network_.layers[layer].delta_net) {
    site.delta_net = net->desc();
    site.delta_net.convolution = weights_.layers[layer].convolution.get();
    site.delta_net.log_decay = weights_.layers[layer].log_decay.get();
    site.delta_net.time_bias = weights_.layers[layer].time_bias.get();
  }
  if (const auto& net = network_.layers[layer].convolution) {
    site.convolution = net->desc();
    site.convolution.weight = weights_.layers[layer].convolution.get();
    site.convolution.bias = weights_.layers[layer].convolution_bias.get();
  }
  return site;
}

Result<std::unique_ptr<Decoder>> Decoder::create(const Network& network, const Weights& weights,
                                                 Backend& backend, KvCache& kv, int32_t max_rows) {
  std::unique_ptr<Decoder> decoder(new Decoder(network, weights, backend, kv, max_rows));
  if (Status s = decoder->allocate(max_rows); !s) return s.error();
  if (Status s = decoder->create_rotations(); !s) return s.error();
  for (size_t layer = 0; layer < network.layers.size(); ++layer)
    decoder->attention_.push_back(decoder->attention_site(layer));
  return decoder;
}

Status Decoder::create_rotations() {
  for (const Rope& rope : network_.ropes) {
    auto rotation = backend_.rotation_create(make_rope(rope));
    if (!rotation) return rotation.error();
    rotations_.push_back(std::move(*rotation));
  }
  auto none = backend_.rotation_create({});
  if (!none) return none.error();
  no_rotation_ = std::move(*none);
  const auto alibi = std::find_if(network_.layers.begin(), network_.layers.end(),
                                  [](const Layer& layer) { return layer.attention.alibi; });
  if (alibi == network_.layers.end()) return {};
  std::vector<float> values = alibi_slopes(alibi->attention.q_heads);
  if (alibi->attention.coarse_alibi) {
    for (float& value : values) value = bf16_to_f32(f32_to_bf16(value));
  }
  auto slopes = tensor_of(backend_, values);
  if (!slopes) return slopes.error();
  alibi_slopes_ = std::move(*slopes);
  return {};
}

Status Decoder::allocate(int32_t max_rows) {
  int64_t qkv = 0, attended = 0, activated = 0, experts = 0, beside = 0;
  int64_t q_latent = 0, q_heads = 0, kv_down = 0, kv_latent = 0, kv_heads = 0;
  for (const Layer& layer : network_.layers) {
    if (const auto& latent = layer.attention.latent) {
      qkv = std::max(qkv, 3 * latent->heads.q_width());
      q_latent = std::max(q_latent, latent->q_down.out());
      q_heads = std::max(q_heads, latent->q.out());
      kv_down = std::max(kv_down, latent->kv_down.out());
      kv_latent = std::max(kv_latent, latent->kv.in);
      kv_heads = std::max(kv_heads, latent->kv.out());
    }
    qkv = std::max(qkv, layer.attention.qkv.out());
    attended = std::max(attended, layer.attention.q_width());
    if (layer.delta_net) {
      qkv = std::max(qkv, layer.delta_net->in.out());
      attended = std::max(attended, layer.delta_net->desc().value_width());
    }
    if (layer.convolution) {
      qkv = std::max(qkv, layer.convolution->in.out());
      attended = std::max(attended, int64_t{layer.convolution->channels});
    }
    activated = std::max(activated, layer.mlp.width());
    if (!layer.mlp.experts) continue;
    experts = std::max(experts, layer.mlp.experts->router.out());
    if (layer.mlp.experts->norms) beside = network_.hidden;
  }
  const std::optional<LayerInputs>& inputs = network_.layer_inputs;
  const int64_t layer_inputs = inputs ? inputs->projection.out() : 0;
  struct Need {
    std::unique_ptr<Tensor>& tensor;
    int64_t rows;
    int64_t cols;
  };
  const Need needs[] = {
      {residual_, max_rows, network_.hidden},
      {embedded_, max_rows, network_.embedding.projection.empty() ? 0 : network_.embedding_width()},
      {update_, max_rows, network_.hidden},
      {normed_, max_rows, network_.hidden},
      {qkv_, max_rows, qkv},
      {q_latent_, max_rows, q_latent},
      {q_heads_, max_rows, q_heads},
      {kv_down_, max_rows, kv_down},
      {kv_latent_, max_rows, kv_latent},
      {kv_heads_, max_rows, kv_heads},
      {attended_, max_rows, attended},
      {activated_, max_rows, activated},
      {router_logits_, max_rows, experts},
      {shared_gate_, max_rows, experts > 0 ? 1 : 0},
      {beside_, max_rows, beside},
      {layer_inputs_, max_rows, layer_inputs},
      {inputs_projected_, max_rows, layer_inputs},
      {input_gate_, max_rows, inputs ? inputs->width : 0},
      {sampled_residual_, max_rows, network_.hidden},
      {sampled_update_, max_rows, network_.hidden},
      {head_input_, max_rows, network_.head.projection.empty() ? 0 : network_.head_width()},
      {logits_, kHeadRows, network_.vocab + network_.room},
  };
  for (const Need& need : needs) {
    if (need.cols == 0) continue;  // of no layer
    auto tensor = backend_.tensor_create(need.rows, need.cols);
    if (!tensor) return tensor.error();
    need.tensor = std::move(*tensor);
  }
  return {};
}

size_t Decoder::scratch_bytes() const {
  size_t total = 0;
  for (const auto* tensor :
       {&residual_,   &embedded_,         &head_input_,     &update_,    &normed_,       &qkv_,
        &q_latent_,   &q_heads_,          &kv_down_,        &kv_latent_, &kv_heads_,     &attended_,
        &activated_,  &router_logits_,    &shared_gate_,    &beside_,    &layer_inputs_, &inputs_projected_,
        &input_gate_, &sampled_residual_, &sampled_update_, &logits_}) {
    if (*tensor) total += (*tensor)->bytes();
  }
  return total;
}

Status Decoder::run(const StepPlan& plan, std::span<const Adapter* const> adapters,
                    std::span<SampleResult> results, const std::atomic<bool>& cancelled) {
  begin(plan, adapters);
  embed();
  for (int layer = 0; layer < network_.layer_count(); ++layer) {
    if (cancelled.load(std::memory_order_relaxed)) {
      (void)backend_.step_end({});
      return Error{"the step was cancelled: the engine closes", ErrorKind::closed};
    }
    attention_block(layer);
    mlp_block(layer);
    end_layer(layer);
  }
  head(plan);
  return backend_.step_end(results.first(static_cast<size_t>(plan.samples())));
}

void Decoder::begin(const StepPlan& plan, std::span<const Adapter* const> adapters) {
  rows_ = plan.rows();
  segments_.begin(plan, adapters);
  samples_.clear();
  for (int32_t sample = 0; sample < plan.samples(); ++sample) {
    samples_.push_back(sample_row_of(plan, sample));
    samples_.back().vocab = vocab_;
  }
  segments_.set_vocabularies(samples_);
  backend_.step_begin({.token = plan.token,
                       .token_from = plan.token_from,
                       .position = plan.position,
                       .kv_slot = plan.kv_slot,
                       .q_start = plan.q_start,
                       .kv_len = plan.kv_len,
                       .page_table = plan.page_table,
                       .page_table_stride = plan.page_table_stride,
                       .sample_row = plan.sample_row,
                       .samples = samples_,
                       .copies = {&kv_, plan.copy_from, plan.copy_to}});
}

void Decoder::embed() {
  const EmbeddingTable& table = network_.embedding;
  const TensorView x = residual();
  const bool projected = !table.projection.empty();
  const TensorView rows = projected ? rows_of(embedded_, network_.embedding_width()) : x;
  backend_.embed(rows, *weights_.embed, segments_.embed(&Adapter::embed));
  if (projected) {
    backend_.linear(x, rows, *weights_.embed_projection, segments_.map(&Adapter::embed_projection),
                    LinearOutput::store);
  }
  if (table.scale != 1.0f) backend_.scale(x, table.scale);
  if (weights_.positions) backend_.embed_positions(x, *weights_.positions, table.position_offset);
  if (table.norm) {
    backend_.norm(x, x, {}, *weights_.embed_norm, table.norm->epsilon, segments_.embed_norm());
  }
  if (network_.layer_inputs) embed_layer_inputs(*network_.layer_inputs);
  pending_ = false;
}

void Decoder::embed_layer_inputs(const LayerInputs& inputs) {
  const int64_t width = inputs.projection.out();
  const TensorView own = rows_of(layer_inputs_, width), projected = rows_of(inputs_projected_, width);
  backend_.embed(own, *weights_.inputs_table, segments_.embed(&Adapter::inputs_table));
  backend_.scale(own, inputs.table_scale);
  backend_.linear(projected, residual(), *weights_.inputs_projection,
                  segments_.map(&Adapter::inputs_projection), LinearOutput::store);
  backend_.scale(projected, inputs.projection_scale);
  const int32_t layers = network_.layer_count();
  const TensorView each{inputs_projected_.get(), 0, int64_t{rows_} * layers, inputs.width};
  backend_.norm(each, each, {}, *weights_.inputs_norm, inputs.norm.epsilon, segments_.inputs_norm(layers));
  backend_.add_scaled(own, projected, 1.0f);
  backend_.scale(own, inputs.scale);
}

void Decoder::attention_block(int layer) {
  if (network_.layers[static_cast<size_t>(layer)].delta_net) return delta_net_block(layer);
  if (network_.layers[static_cast<size_t>(layer)].convolution) return convolution_block(layer);
  const AttentionSite& site = attention_[static_cast<size_t>(layer)];
  const std::optional<LatentAttention>& latent = network_.layers[static_cast<size_t>(layer)].attention.latent;
  const TensorView attended = rows_of(attended_, site.desc.q_width());
  const TensorView x = enter(layer, NormSite::before_attention);
  const TensorView qkv = latent ? expanded_heads(layer, x) : linear(qkv_, x, layer, LinearSite::qkv);
  backend_.rope_kv(qkv, kv_, site.kv_layer, *site.rotation, site.desc, head_norms(layer));
  backend_.attention(attended, qkv, kv_, site.kv_layer, site.desc);
  linear(update_, latent ? trimmed_heads(latent->heads) : attended, layer, LinearSite::o);
  leave(layer, NormSite::after_attention);
}

TensorView Decoder::expanded_heads(int layer, TensorView x) {
  const LatentAttention& latent = *network_.layers[static_cast<size_t>(layer)].attention.latent;
  TensorView queries = x;
  if (!latent.q_down.empty()) {
    queries = linear(q_latent_, x, layer, LinearSite::q_down);
    normalize(layer, NormSite::q_latent, *latent.q_norm, queries, queries);
  }
  const TensorView q = linear(q_heads_, queries, layer, LinearSite::q_heads);
  const TensorView down = linear(kv_down_, x, layer, LinearSite::kv_down);
  const TensorView own = rows_of(kv_latent_, latent.kv.in);
  backend_.take_columns(own, down, 0);
  normalize(layer, NormSite::kv_latent, latent.kv_norm, own, own);
  const TensorView kv = linear(kv_heads_, own, layer, LinearSite::kv_heads);
  const TensorView qkv = rows_of(qkv_, attention_[static_cast<size_t>(layer)].desc.width());
  backend_.join_heads(qkv, q, kv, down, latent.heads);
  return qkv;
}

// In the place of the queries, which nothing reads any more.
TensorView Decoder::trimmed_heads(const LatentHeads& heads) {
  const TensorView values = rows_of(q_heads_, heads.value_width());
  backend_.trim_heads(values, rows_of(attended_, heads.q_width()), heads);
  return values;
}

void Decoder::delta_net_block(int layer) {
  const DeltaNetDesc& desc = attention_[static_cast<size_t>(layer)].delta_net;
  const TensorView out = rows_of(attended_, desc.value_width());
  const TensorView in = linear(qkv_, enter(layer, NormSite::before_attention), layer, LinearSite::delta_in);
  const Norm& norm = network_.layers[static_cast<size_t>(layer)].delta_net->norm;
  backend_.delta_net(out, in, kv_, attention_[static_cast<size_t>(layer)].kv_layer, desc,
                     head_norm(layer, norm, NormSite::delta));
  linear(update_, out, layer, LinearSite::delta_out);
  leave(layer, NormSite::after_attention);
}

void Decoder::convolution_block(int layer) {
  const AttentionSite& site = attention_[static_cast<size_t>(layer)];
  const TensorView out = rows_of(attended_, site.convolution.channels);
  const TensorView in =
      linear(qkv_, enter(layer, NormSite::before_attention), layer, LinearSite::convolution_in);
  backend_.short_convolution(out, in, kv_, site.kv_layer, site.convolution);
  linear(update_, out, layer, LinearSite::convolution_out);
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
  mlp(layer, shared ? normed() : enter(layer, NormSite::before_mlp), true);
  pending_ = true;
}

void Decoder::mlp(int layer, TensorView x, bool add) {
  const Mlp& own = network_.layers[static_cast<size_t>(layer)].mlp;
  const LayerWeights& weights = weights_.layers[layer];
  if (!own.up.empty()) {
    const TensorView activated =
        linear(activated_, x, layer, LinearSite::up, own.gated ? LinearOutput::glu : LinearOutput::activate);
    linear(update_, activated, layer, LinearSite::down, add ? LinearOutput::add : LinearOutput::store);
  }
  if (!own.experts) return;
  if (own.experts->norms) return experts_beside(layer, *own.experts);
  if (!own.experts->shared_gate.empty()) {
    backend_.gate_rows(update(), linear(shared_gate_, x, layer, LinearSite::shared_gate));
  }
  backend_.experts({.y = update(),
                    .x = x,
                    .logits = linear(router_logits_, x, layer, LinearSite::router),
                    .router = weights.routing,
                    .activation = weights.activation,
                    .add = add || !own.up.empty(),
                    .segments = segments_.experts(layer)},
                   *weights.experts);
}

void Decoder::experts_beside(int layer, const ExpertLayer& experts) {
  const ExpertNorms& norms = *experts.norms;
  const LayerWeights& weights = weights_.layers[layer];
  const TensorView beside = rows_of(beside_, network_.hidden);
  normalize(layer, NormSite::after_dense, norms.after_mlp, update(), update());
  normalize(layer, NormSite::before_router, norms.router, normed(), residual());
  const TensorView logits = linear(router_logits_, normed(), layer, LinearSite::router);
  normalize(layer, NormSite::before_experts, norms.before, normed(), residual());
  backend_.experts({.y = beside,
                    .x = normed(),
                    .logits = logits,
                    .router = weights.routing,
                    .activation = weights.activation,
                    .add = false,
                    .segments = segments_.experts(layer)},
                   *weights.experts);
  normalize(layer, NormSite::after_experts, norms.after, beside, beside);
  backend_.add_scaled(update(), beside, 1.0f);
}

void Decoder::end_layer(int layer) {
  const Layer& own = network_.layers[static_cast<size_t>(layer)];
  const float scale = weights_.layers[layer].scale;
  if (own.input) {
    if (pending_) add_update();
    const TensorView gate =
        linear(input_gate_, residual(), layer, LinearSite::input_gate, LinearOutput::activate);
    backend_.multiply(gate, rows_of(layer_inputs_, network_.layer_inputs->projection.out()),
                      int64_t{layer} * gate.cols);
    linear(update_, gate, layer, LinearSite::input_projection);
    normalize(layer, NormSite::after_input, own.input->after, update(), update());
    pending_ = true;
  }
  if (scale == 1.0f) return;
  if (pending_) add_update();
  backend_.scale(residual(), scale);
}

// Only sampled rows pass the final norm, and the head unless their hidden states are wanted.
void Decoder::head(const StepPlan& plan) {
  const int32_t samples = plan.samples();
  if (samples == 0) return;
  masks_.begin();
  sampled_ = head_input(final_norm(samples));
  for (int32_t first = 0, rows = 0; first < samples; first += rows) {
    rows = like(first, samples);
    const auto wanted = std::span(samples_).subspan(static_cast<size_t>(first), static_cast<size_t>(rows));
    if (wanted.front().mode == SampleMode::hidden) continue;
    const TensorView logits = logits_of(sampled_.part(first, rows), first);
    masks_.take(plan, first, wanted);
    backend_.sample(logits, first);
  }
}

int32_t Decoder::like(int32_t first, int32_t samples) const {
  const auto is_hidden = [this](int32_t sample) {
    return samples_[static_cast<size_t>(sample)].mode == SampleMode::hidden;
  };
  const int32_t most = std::min(kHeadRows, samples - first);
  int32_t rows = 1;
  while (rows < most && is_hidden(first + rows) == is_hidden(first)) ++rows;
  return rows;
}

Status Decoder::read_hidden(std::vector<float>& values, std::span<SampleResult> results) {
  values.clear();
  for (size_t sample = 0; sample < samples_.size(); ++sample) {
    if (samples_[sample].mode != SampleMode::hidden) continue;
    const size_t begin = values.size();
    values.resize(begin + static_cast<size_t>(network_.head_width()));
    const auto row = std::span(values).subspan(begin);
    if (Status s = backend_.download(row, sampled_.part(static_cast<int64_t>(sample), 1)); !s) return s;
    results[sample] = {};
    results[sample].finite = std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); });
  }
  return {};
}

TensorView Decoder::final_norm(int32_t samples) {
  const TensorView residual{sampled_residual_.get(), 0, samples, network_.hidden};
  const TensorView update{sampled_update_.get(), 0, samples, network_.hidden};
  backend_.gather_sampled(residual, this->residual());
  if (pending_) backend_.gather_sampled(update, this->update());
  const bool joined = pending_ && network_.final_norm && network_.residual_scale == 1.0f;
  if (pending_ && !joined) backend_.add_scaled(residual, update, network_.residual_scale);
  if (!network_.final_norm) return residual;
  const TensorView normed{normed_.get(), 0, samples, network_.hidden};
  backend_.norm(normed, joined ? update : residual, joined ? residual : TensorView{}, *weights_.final_norm,
                network_.final_norm->epsilon, segments_.final_norm());
  return normed;
}

TensorView Decoder::head_input(TensorView normed) {
  if (network_.head.projection.empty()) return normed;
  const TensorView projected{head_input_.get(), 0, normed.rows, network_.head_width()};
  backend_.linear(projected, normed, *weights_.head_projection, segments_.head_projection(),
                  LinearOutput::store);
  return projected;
}

// Of sampled rows from `first`.
TensorView Decoder::logits_of(TensorView normed, int32_t first) {
  const Head& head = network_.head;
  const TensorView logits{logits_.get(), 0, normed.rows, network_.vocab + network_.room};
  backend_.linear(logits, normed, *weights_.head,
                  segments_.head(first, first + static_cast<int32_t>(normed.rows)), LinearOutput::store);
  if (head.scale != 1.0f) backend_.scale(logits, head.scale);
  if (head.softcap != 0.0f) backend_.soft_cap(logits, head.softcap);
  return logits;
}

void Decoder::add_update() {
  backend_.add_scaled(residual(), update(), network_.residual_scale);
  pending_ = false;
}

TensorView Decoder::enter(int layer, NormSite site) {
  const auto index = static_cast<size_t>(site);
  const Layer& own = network_.layers[static_cast<size_t>(layer)];
  const std::optional<Norm>& norm = block_norm(own, site);
  if (pending_ && (!norm || own.norms_residual || network_.residual_scale != 1.0f)) add_update();
  if (norm && own.norms_residual) normalize(layer, site, *norm, residual(), residual());
  if (!norm || own.norms_residual) return residual();
  // A pending update is added on the way.
  backend_.norm(normed(), pending_ ? update() : residual(), pending_ ? residual() : TensorView{},
                *weights_.layers[layer].norm[index], norm->epsilon, segments_.norm(layer, site));
  pending_ = false;
  return normed();
}

void Decoder::leave(int layer, NormSite site) {
  const Layer& own = network_.layers[static_cast<size_t>(layer)];
  const std::optional<Norm>& norm = block_norm(own, site);
  pending_ = true;
  if (!norm) return;
  if (own.norms_residual) add_update();
  const TensorView normed = own.norms_residual ? residual() : update();
  normalize(layer, site, *norm, normed, normed);
}

void Decoder::normalize(int layer, NormSite site, const Norm& norm, TensorView y, TensorView x) {
  backend_.norm(y, x, {}, *weights_.layers[layer].norm[static_cast<size_t>(site)], norm.epsilon,
                segments_.norm(layer, site));
}

HeadNorm Decoder::head_norm(int layer, const Norm& norm, NormSite site) {
  return {weights_.layers[layer].norm[static_cast<size_t>(site)].get(), norm.epsilon,
          segments_.norm(layer, site)};
}

HeadNorms Decoder::head_norms(int layer) {
  const Attention& attention = network_.layers[static_cast<size_t>(layer)].attention;
  const auto at = [&](const std::optional<Norm>& norm, NormSite site) {
    return norm ? head_norm(layer, *norm, site) : HeadNorm{};
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

TensorView Decoder::linear(const std::unique_ptr<Tensor>& y, TensorView x, int layer, LinearSite site,
                           LinearOutput output) {
  const LayerWeights& weights = weights_.layers[layer];
  const Linear& map = *weights.linear[static_cast<size_t>(site)];
  const TensorView to = rows_of(y, output == LinearOutput::glu ? map.outputs() / 2 : map.outputs());
  announce_next(layer, site);
  backend_.linear(to, x, map, segments_.linear(layer, site), output, weights.activation);
  return to;
}

}  // namespace lorikeet
