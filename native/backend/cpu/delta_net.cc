// Gated delta net (Yang et al. 2025): a head of a sequence is an item, whose tokens go through its state some
// at a time. What each does to a number of the state is a chain of its own, whoever goes beside it, so a
// row's result is one fixed sequence of operations, however its sequence is cut into steps.
#include <algorithm>
#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "backend/shared/recurrent_sequence.h"

namespace lorikeet::cpu {
namespace {

constexpr int32_t kTokens = 16;  // that go through a head's state together

float decay_of(float log_decay, float time) {
  const double x = time;
  const double softplus = x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
  return static_cast<float>(std::exp(-std::exp(static_cast<double>(log_decay)) * softplus));
}

float sigmoid(float x) {
  return static_cast<float>(1.0 / (1.0 + std::exp(-static_cast<double>(x))));
}

}  // namespace

struct CpuBackend::DeltaCall {
  const Kernels& kernels;
  const DeltaNetDesc& desc;
  const float* convolution;
  const float* log_decay;
  const float* time_bias;

  // Some tokens of a head, convolved, and what they read of the state.
  struct Work {
    float *q, *k;         // [kTokens, KD]
    float *v, *o;         // [kTokens, VD]
    float *decay, *beta;  // [kTokens]
  };
  static size_t work_floats(int64_t key_dim, int64_t value_dim) {
    return static_cast<size_t>(kTokens * (2 * (key_dim + value_dim) + 2));
  }
  Work work_at(float* memory) const {
    const int64_t keys = int64_t{kTokens} * desc.key_dim, values = int64_t{kTokens} * desc.value_dim;
    float* const v = memory + 2 * keys;
    float* const decay = v + 2 * values;
    return {memory, memory + keys, v, v + values, decay, decay + kTokens};
  }

  // y [n] = channels from `first` of q | k | v behind the convolution, its taps in ascending order
  void convolve(float* y, int64_t first, int64_t n, const RecurrentSequence& sequence,
                int32_t position) const {
    std::fill_n(y, n, 0.0f);
    for (int tap = std::max(0, desc.taps - 1 - position); tap < desc.taps; ++tap) {
      const float* const x = sequence.inputs(position - (desc.taps - 1 - tap)) + first;
      kernels.multiply_add(y, convolution + tap * desc.mixed_width() + first, x, n);
    }
    ActivationRow silu{};
    silu.y = y;
    silu.x = y;
    silu.n = n;
    kernels.activation_row[static_cast<size_t>(ActivationKind::silu)](silu);
  }

  void load(const RecurrentSequence& sequence, int head, int32_t position, int64_t token,
            const Work& work) const {
    const int64_t key_head = head / (desc.value_heads / desc.key_heads);
    float* const q = work.q + token * desc.key_dim;
    float* const k = work.k + token * desc.key_dim;
    convolve(q, key_head * desc.key_dim, desc.key_dim, sequence, position);
    convolve(k, desc.key_width() + key_head * desc.key_dim, desc.key_dim, sequence, position);
    convolve(work.v + token * desc.value_dim, 2 * desc.key_width() + int64_t{head} * desc.value_dim,
             desc.value_dim, sequence, position);
    kernels.unit_row(q, 1.0f / std::sqrt(static_cast<float>(desc.key_dim)), desc.key_dim);
    kernels.unit_row(k, 1.0f, desc.key_dim);
    const float* const b = sequence.inputs(position) + desc.mixed_width();
    const float* const a = b + desc.value_heads;
    work.decay[token] = decay_of(log_decay[head], a[head] + time_bias[head]);
    work.beta[token] = sigmoid(b[head]);
  }

  // `count` tokens from `position` on, all of one page.
  void run(const RecurrentSequence& sequence, int head, int32_t position, int32_t count,
           const Work& work) const {
    for (int32_t token = 0; token < count; ++token) load(sequence, head, position + token, token, work);
    kernels.delta_steps({.state = sequence.state(position, head),
                         .o = work.o,
                         .q = work.q,
                         .k = work.k,
                         .v = work.v,
                         .decay = work.decay,
                         .beta = work.beta,
                         .tokens = count,
                         .key_dim = desc.key_dim,
                         .value_dim = desc.value_dim});
  }
};

size_t CpuBackend::delta_floats(const RecurrentState& shape) {
  return DeltaCall::work_floats(shape.key_dim, shape.value_dim);
}

void CpuBackend::keep_inputs(const CpuKvCache& cache, int layer, const float* in, const DeltaNetDesc& desc) {
  const int page_tokens = cache.desc.page_tokens;
  const RecurrentState shape = desc.state();
  for_rows(step_.rows(), shape.inputs, [&](int64_t row, int) {
    const int32_t slot = step_.input().kv_slot[static_cast<size_t>(row)];
    const float* const from = in + row * desc.row_width();
    float* const to = RecurrentPage(cache.page(layer, slot / page_tokens), shape).inputs(slot % page_tokens);
    std::copy_n(from, desc.mixed_width(), to);
    std::copy_n(from + desc.mixed_width() + desc.value_width(), 2 * desc.value_heads,
                to + desc.mixed_width());
  });
}

void CpuBackend::delta_net(TensorView out, TensorView in, KvCache& kv, int layer, const DeltaNetDesc& desc,
                           const HeadNorm& norm) {
  if (!step_.runs()) return;
  const auto& cache = static_cast<const CpuKvCache&>(kv);
  const StepInput& step = step_.input();
  keep_inputs(cache, layer, f32(in), desc);
  const DeltaCall call{.kernels = kernels_,
                       .desc = desc,
                       .convolution = f32(desc.convolution).data(),
                       .log_decay = f32(desc.log_decay).data(),
                       .time_bias = f32(desc.time_bias).data()};
  const RecurrentPages pages = cache.recurrent(layer);
  const auto sequences = static_cast<int64_t>(step.kv_len.size());
  const int64_t cost = state_head_floats(desc.state()) * (1 + step_.rows() / std::max<int64_t>(1, sequences));
  for_rows(sequences * desc.value_heads, cost, [&](int64_t item, int thread) {
    const RecurrentSequence sequence(pages, step, static_cast<size_t>(item / desc.value_heads));
    const int head = static_cast<int>(item % desc.value_heads);
    const auto work =
        call.work_at(thread_scratch_[static_cast<size_t>(thread)].floats(delta_floats(desc.state())));
    int32_t count = 0;
    for (int32_t position = sequence.restore(head); position < sequence.end(); position += count) {
      const int32_t of_page = pages.page_tokens - position % pages.page_tokens;
      count = std::min({kTokens, of_page, sequence.end() - position});
      call.run(sequence, head, position, count, work);
      for (int32_t token = std::max(0, sequence.begin() - position); token < count; ++token) {
        const int64_t row = sequence.row(position + token), channel = int64_t{head} * desc.value_dim;
        float* const o = work.o + int64_t{token} * desc.value_dim;
        ActivationRow gate{};
        gate.y = f32(out) + row * desc.value_width() + channel;
        gate.x = f32(in) + row * desc.row_width() + desc.mixed_width() + channel;
        gate.up = o;
        gate.n = desc.value_dim;
        normalize_heads(norm, o, desc.value_dim, row);
        kernels_.glu_row[static_cast<size_t>(ActivationKind::silu)](gate);
      }
    }
  });
  for (int64_t s = 0; s < sequences; ++s)
    RecurrentSequence(pages, step, static_cast<size_t>(s)).note_tokens();
}

}  // namespace lorikeet::cpu
