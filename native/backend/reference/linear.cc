// y = ratio * (W' x + scale (B (A x) + lora_bias)) + bias, where W' is the adapter's own weight or the
// base's. LoRA: Hu et al. 2021. DoRA: Liu et al. 2024, section 4: the ratio magnitude / ||W' + s B A||_row
// also multiplies the base product, and the bias is added after.

#include <algorithm>
#include <cmath>
#include <numbers>

#include "backend/reference/backend.h"
#include "backend/shared/coded_integers.h"

namespace lorikeet::reference {

size_t RefLinear::bytes() const {
  size_t total = 0;
  for (const Part& part : parts) total += bytes_of(part.weight) + bytes_of(part.bias) + bytes_of(part.merged);
  return total;
}

size_t RefAdapterLinear::bytes() const {
  size_t total = 0;
  for (const Part& p : parts) {
    total += bytes_of(p.a) + bytes_of(p.b) + bytes_of(p.lora_bias) + bytes_of(p.ratio) + bytes_of(p.weight) +
             bytes_of(p.bias) + p.replaced_rows.size() * sizeof(int32_t) + bytes_of(p.replaced_row_values) +
             bytes_of(p.ax);
  }
  return total;
}

Result<std::unique_ptr<Linear>> ReferenceBackend::linear_create(const LinearDesc& desc) {
  auto linear = std::make_unique<RefLinear>();
  linear->k = desc.parts.front().weight.cols;
  linear->room = desc.room;
  linear->quantization = desc.quantization;
  IntegerInputs integers = integer_inputs(desc);
  linear->coded_in_integers = integers.any();
  linear->input_order = std::move(integers.order);
  for (size_t i = 0; i < desc.parts.size(); ++i) {
    const LinearPart& part = desc.parts[i];
    if (part.weight.cols != linear->k) return Error{"parts of a linear map differ in their number of inputs"};
    assert(!part.coded || desc.quantization == Quantization::none);
    Result<Floats> weight =
        part.coded ? to_floats(*part.coded) : to_floats(part.weight, desc.quantization, part.nf4_absmax);
    if (!weight) return weight.error();
    linear->parts.push_back({.first = linear->n,
                             .n = part.weight.rows,
                             .weight = std::move(*weight),
                             .bias = to_floats(part.bias),
                             .in_integers = integers.parts[i]});
    linear->n += part.weight.rows;
  }
  return std::unique_ptr<Linear>(std::move(linear));
}

namespace {

template <class X>
double dot(const float* x, const X* y, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += static_cast<double>(x[i]) * y[i];
  return sum;
}

Floats scaled(Floats values, float scale) {
  for (float& value : values) value *= scale;
  return values;
}

// B [n, rank] with everything folded in that the delta is multiplied by.
Floats scaled_b(const AdapterPartDesc& desc) {
  Floats b = scaled(to_floats(desc.b), desc.scale);
  const size_t rank = desc.component_scale.size();
  for (size_t i = 0; rank > 0 && i < b.size(); ++i) b[i] *= desc.component_scale[i % rank];
  return b;
}

// magnitude [n] / row norms of W' [n, K] + B [n, rank] A [rank, K]
Result<Floats> dora_ratio(const Floats& magnitude, const Floats& weight, const RefAdapterLinear::Part& part,
                          int64_t k) {
  Floats ratio(magnitude.size());
  for (size_t row = 0; row < ratio.size(); ++row) {
    double squares = 0;
    for (int64_t col = 0; col < k; ++col) {
      double value = weight[row * k + col];
      for (int r = 0; r < part.rank; ++r) {
        value += static_cast<double>(part.b[row * part.rank + r]) * part.a[r * k + col];
      }
      squares += value * value;
    }
    if (!(squares > 0)) return Error{"DoRA: a row of W + s B A is zero, so it has no direction"};
    ratio[row] = static_cast<float>(magnitude[row] / std::sqrt(squares));
  }
  return ratio;
}

// One row of activations: for adapters and replaced weights, and for the base's weights; and its segment's
// scale.
struct Row {
  const float* x;
  const double* for_base;
  int64_t k;
  float scale;
};

// x [K] -> y [n] of one part of the map for one row.
void part_row(float* y, const Row& row, const RefLinear::Part& base, const RefAdapterLinear::Part* adapter,
              LinearOutput output) {
  const auto [x, for_base, k, scale] = row;
  for (int r = 0; adapter != nullptr && r < adapter->rank; ++r) {
    adapter->ax[r] = static_cast<float>(dot(&adapter->a[r * k], x, k));
  }
  const bool replaced = adapter != nullptr && adapter->weight;
  const std::optional<Floats>& bias = adapter != nullptr && adapter->bias ? adapter->bias : base.bias;
  for (int64_t i = 0; i < base.n; ++i) {
    double value = replaced ? dot(&(*adapter->weight)[i * k], x, k) : dot(&base.weight[i * k], for_base, k);
    if (!base.merged.empty()) value += dot(&base.merged[i * k], x, k);
    if (adapter != nullptr) {
      if (adapter->rank > 0)
        value += scale * dot(&adapter->b[i * adapter->rank], adapter->ax.data(), adapter->rank);
      if (adapter->lora_bias) value += static_cast<double>(scale) * (*adapter->lora_bias)[i];
      if (adapter->ratio) value *= (*adapter->ratio)[i];
    }
    if (bias) value += (*bias)[i];
    y[i] = static_cast<float>(output == LinearOutput::add ? y[i] + value : value);
  }
  if (adapter == nullptr) return;
  for (size_t i = 0; i < adapter->replaced_rows.size(); ++i) {
    const auto at = static_cast<size_t>(adapter->replaced_rows[i]);
    y[at] = static_cast<float>(dot(&adapter->replaced_row_values[i * static_cast<size_t>(k)], x, k));
  }
}

double activate(double x, const Activation& f) {
  switch (f.kind) {
    case ActivationKind::silu:
      return x / (1.0 + std::exp(-x));
    case ActivationKind::gelu:
      return 0.5 * x * (1.0 + std::erf(x * std::numbers::sqrt2 / 2));
    case ActivationKind::gelu_tanh:
      return 0.5 * x * (1.0 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case ActivationKind::relu:
      return x < 0 ? 0.0 : x;
    case ActivationKind::relu_squared:
      return x < 0 ? 0.0 : x * x;
    case ActivationKind::sigmoid:
      return 1.0 / (1.0 + std::exp(-x));
    case ActivationKind::clamped_swiglu:
      break;  // not without up
    case ActivationKind::xielu:
      if (x > 0) return f.alpha * x * x + f.beta * x;
      return f.alpha_n * (std::expm1(x > f.epsilon ? f.epsilon : x) - x) + f.beta * x;
  }
  assert(false);
  return x;
}

double gated(double gate, double up, const Activation& f) {
  if (f.kind != ActivationKind::clamped_swiglu) return activate(gate, f) * up;
  const double limit = f.limit;
  const double g = gate > limit ? limit : gate;
  const double u = up > limit ? limit : up < -limit ? -limit : up;
  return g / (1.0 + std::exp(-f.alpha * g)) * (u + 1.0);
}

// gate_up [2 width] -> y [width]
void glu_row(float* y, const float* gate_up, int64_t width, const Activation& f) {
  for (int64_t i = 0; i < width; ++i) y[i] = static_cast<float>(gated(gate_up[i], gate_up[width + i], f));
}

}  // namespace

Result<std::unique_ptr<AdapterLinear>> ReferenceBackend::adapter_linear_create(
    const Linear& base, std::span<const AdapterPartDesc> parts) {
  const auto& linear = static_cast<const RefLinear&>(base);
  auto adapter = std::make_unique<RefAdapterLinear>();
  for (const AdapterPartDesc& desc : parts) {
    RefAdapterLinear::Part part;
    part.part = desc.part;
    part.rank = desc.rank;
    if (desc.rank > 0) {
      part.a = to_floats(desc.a);
      part.b = scaled_b(desc);
      part.ax.resize(static_cast<size_t>(desc.rank));
    }
    if (desc.lora_bias) part.lora_bias = scaled(to_floats(*desc.lora_bias), desc.scale);
    part.weight = to_floats(desc.weight);
    part.bias = to_floats(desc.bias);
    part.replaced_rows = desc.replaced_rows;
    if (desc.replaced_row_values) part.replaced_row_values = to_floats(*desc.replaced_row_values);
    if (desc.magnitude) {
      const Floats& weight = part.weight ? *part.weight : linear.parts[desc.part].weight;
      Result<Floats> ratio = dora_ratio(to_floats(*desc.magnitude), weight, part, linear.k);
      if (!ratio) return ratio.error();
      part.ratio = std::move(*ratio);
    }
    adapter->parts.push_back(std::move(part));
  }
  return std::unique_ptr<AdapterLinear>(std::move(adapter));
}

// What parts in codes see that are multiplied in integers.
std::span<const double> ReferenceBackend::ordered_row(const float* x, const RefLinear& linear) {
  if (!linear.coded_in_integers) return {};
  const auto input = [&](int64_t i) {
    return linear.input_order.empty() ? static_cast<size_t>(i)
                                      : static_cast<size_t>(linear.input_order[static_cast<size_t>(i)]);
  };
  for (int64_t begin = 0; begin < linear.k; begin += kActivationGroup) {
    const int count = static_cast<int>(std::min<int64_t>(kActivationGroup, linear.k - begin));
    float ordered[kActivationGroup];
    int8_t q[kActivationGroup];
    for (int i = 0; i < count; ++i) ordered[i] = x[input(begin + i)];
    const double scale = quantize_activations(q, ordered, count);
    for (int i = 0; i < count; ++i) ordered_row_[input(begin + i)] = scale * q[i];
  }
  return std::span(ordered_row_).first(static_cast<size_t>(linear.k));
}

// What the base weights of a quantized map see of a row; scale times q is exact in float64.
std::span<const double> ReferenceBackend::quantized_row(const float* x, int64_t k,
                                                        Quantization quantization) {
  std::copy_n(x, k, row_.begin());
  for (int64_t begin = 0; quantization != Quantization::none && begin < k; begin += kActivationGroup) {
    const int count = static_cast<int>(std::min<int64_t>(kActivationGroup, k - begin));
    int8_t q[kActivationGroup];
    const double scale = quantize_activations(q, x + begin, count);
    for (int i = 0; i < count; ++i) row_[begin + i] = scale * q[i];
  }
  return std::span(row_).first(static_cast<size_t>(k));
}

void ReferenceBackend::linear(TensorView y, TensorView x, const Linear& weight,
                              std::span<const LinearSegment> segments, LinearOutput output,
                              const Activation& activation) {
  if (!step_.runs()) return;
  const auto& linear = static_cast<const RefLinear&>(weight);
  assert(linear.k <= static_cast<int64_t>(row_.size()) && linear.n <= static_cast<int64_t>(gate_up_.size()));
  size_t segment = 0;
  for (int64_t row = 0; row < x.rows; ++row) {
    while (segment < segments.size() && row >= segments[segment].row0 + segments[segment].rows) ++segment;
    const bool inside = segment < segments.size() && row >= segments[segment].row0;
    const auto* adapter = inside ? static_cast<const RefAdapterLinear*>(segments[segment].adapter) : nullptr;
    const float scale = inside ? segments[segment].scale : 1.0f;
    const float* const x_row = f32(x) + row * linear.k;
    float* const y_row = f32(y) + row * y.cols;
    float* const out = output == LinearOutput::glu ? gate_up_.data() : y_row;
    const std::span<const double> for_base = quantized_row(x_row, linear.k, linear.quantization);
    const std::span<const double> for_codes = ordered_row(x_row, linear);
    for (size_t p = 0; p < linear.parts.size(); ++p) {
      const RefAdapterLinear::Part* delta = nullptr;
      if (adapter != nullptr) {
        for (const auto& candidate : adapter->parts) {
          if (candidate.part == static_cast<int>(p)) delta = &candidate;
        }
      }
      const RefLinear::Part& part = linear.parts[p];
      const double* const seen = part.in_integers ? for_codes.data() : for_base.data();
      part_row(out + part.first, {x_row, seen, linear.k, scale}, part, delta, output);
    }
    if (output == LinearOutput::glu) glu_row(y_row, out, linear.n / 2, activation);
    if (output == LinearOutput::activate) {
      for (int64_t i = 0; i < linear.n; ++i) out[i] = static_cast<float>(activate(out[i], activation));
    }
  }
}

}  // namespace lorikeet::reference
