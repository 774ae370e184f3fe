// Gated delta net (Yang et al. 2025), token by token.

#include <algorithm>
#include <cmath>

#include "backend/reference/backend.h"
#include "backend/shared/recurrent_sequence.h"

namespace lorikeet::reference {

namespace {

double sigmoid(double x) {
  return 1.0 / (1.0 + std::exp(-x));
}

double softplus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

// Transformers' l2norm.
void normalize_length(std::span<double> x, double factor) {
  double squares = 1e-6;
  for (const double value : x) squares += value * value;
  for (double& value : x) value *= factor / std::sqrt(squares);
}

}  // namespace

// One value head of one sequence.
struct ReferenceBackend::DeltaHead {
  const DeltaNetDesc& desc;
  const RecurrentSequence& sequence;
  int head;
  std::span<double> q, k;              // [KD]
  std::span<double> v, delta, output;  // [VD]

  // Channels [first, first + to.size()) of q | k | v, convolved, at the position.
  void convolve(std::span<double> to, int64_t first, int32_t position) const {
    const float* const weight = f32(desc.convolution).data() + first;
    std::fill(to.begin(), to.end(), 0.0);
    for (int tap = 0; tap < desc.taps; ++tap) {
      const int32_t from = position - (desc.taps - 1 - tap);
      if (from < 0) continue;
      const float* const x = sequence.inputs(from) + first;
      for (size_t i = 0; i < to.size(); ++i)
        to[i] += static_cast<double>(weight[tap * desc.mixed_width() + static_cast<int64_t>(i)]) * x[i];
    }
    for (double& value : to) value *= sigmoid(value);
  }

  void load(int32_t position) const {
    const int64_t key_head = head / (desc.value_heads / desc.key_heads);
    convolve(q, key_head * desc.key_dim, position);
    convolve(k, desc.key_width() + key_head * desc.key_dim, position);
    convolve(v, 2 * desc.key_width() + int64_t{head} * desc.value_dim, position);
    normalize_length(q, 1 / std::sqrt(static_cast<double>(desc.key_dim)));
    normalize_length(k, 1);
  }

  // state [KD, VD]; leaves q S in `output`
  void step(float* state, int32_t position) const {
    load(position);
    const float* const gates = sequence.inputs(position) + desc.mixed_width();  // b | a
    const auto index = static_cast<size_t>(head);
    const double rate = std::exp(static_cast<double>(f32(desc.log_decay)[index]));
    const double time =
        softplus(static_cast<double>(gates[desc.value_heads + head]) + f32(desc.time_bias)[index]);
    const double decay = std::exp(-rate * time);
    const double beta = sigmoid(gates[head]);
    std::copy(v.begin(), v.end(), delta.begin());
    for (size_t i = 0; i < k.size(); ++i) {
      for (size_t j = 0; j < v.size(); ++j) delta[j] -= k[i] * decay * state[i * v.size() + j];
    }
    std::fill(output.begin(), output.end(), 0.0);
    for (size_t i = 0; i < k.size(); ++i) {
      for (size_t j = 0; j < v.size(); ++j) {
        float& value = state[i * v.size() + j];
        value = static_cast<float>(decay * value + k[i] * beta * delta[j]);
        output[j] += q[i] * value;
      }
    }
  }
};

void ReferenceBackend::delta_net(TensorView out, TensorView in, KvCache& kv, int layer,
                                 const DeltaNetDesc& desc, const HeadNorm& norm) {
  if (!step_.runs()) return;
  const StepInput& step = step_.input();
  const RecurrentPages pages = static_cast<RefKvCache&>(kv).recurrent(layer);
  const std::span<double> room(delta_);
  const auto key = static_cast<size_t>(desc.key_dim), value = static_cast<size_t>(desc.value_dim);
  for (size_t s = 0; s + 1 < step.q_start.size(); ++s) {
    const RecurrentSequence sequence(pages, step, s);
    for (int32_t position = sequence.begin(); position < sequence.end(); ++position) {
      const float* const row = f32(in) + sequence.row(position) * in.cols;
      float* const inputs = sequence.inputs(position);
      std::copy_n(row, desc.mixed_width(), inputs);
      std::copy_n(row + desc.mixed_width() + desc.value_width(), 2 * desc.value_heads,
                  inputs + desc.mixed_width());
    }
    for (int head = 0; head < desc.value_heads; ++head) {
      const DeltaHead own{.desc = desc,
                          .sequence = sequence,
                          .head = head,
                          .q = room.first(key),
                          .k = room.subspan(key, key),
                          .v = room.subspan(2 * key, value),
                          .delta = room.subspan(2 * key + value, value),
                          .output = room.subspan(2 * key + 2 * value, value)};
      for (int32_t position = sequence.restore(head); position < sequence.end(); ++position) {
        own.step(sequence.state(position, head), position);
        if (position < sequence.begin()) continue;
        const int64_t row = sequence.row(position);
        float* const to = f32(out) + row * out.cols + int64_t{head} * desc.value_dim;
        const float* const z = f32(in) + row * in.cols + desc.mixed_width() + int64_t{head} * desc.value_dim;
        std::copy(own.output.begin(), own.output.end(), to);
        normalize_heads(to, desc.value_dim, norm, row);
        for (int i = 0; i < desc.value_dim; ++i) to[i] = static_cast<float>(to[i] * sigmoid(z[i]) * z[i]);
      }
    }
    sequence.note_tokens();
  }
}

}  // namespace lorikeet::reference
