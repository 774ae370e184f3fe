// A linear map with adapters: random weights, the backend's objects made of them, and the formula of
// contracts/adapter-manifest.ts in float64.
#pragma once

#include "backend/shared/coded_integers.h"
#include "backend/shared/quantization.h"
#include "ops_fixture.h"

namespace lorikeet::test {

struct AdapterPartCase {
  int part = 0;
  int rank = 0;
  float scale = 1.0f;
  std::optional<Numbers> a = {}, b = {}, lora_bias = {}, magnitude = {}, weight = {}, bias = {};
  std::vector<float> component_scale = {};
  std::vector<int32_t> replaced_rows = {};
  std::optional<Numbers> replaced_row_values = {};

  // Of row r of A times column r of B.
  double factor(int r) const {
    const double component = component_scale.empty() ? 1.0 : component_scale[static_cast<size_t>(r)];
    return static_cast<double>(scale) * component;
  }
};
using AdapterCase = std::vector<AdapterPartCase>;

struct AdapterShape {
  int rank = 8;
  DType dtype = DType::bf16;  // int8: of A and B, the others in bf16
  bool dora = false;
  bool lora_bias = false;
  bool weight = false;
  bool bias = false;
};

struct LinearCase {
  struct Part {
    Numbers weight;
    std::optional<Numbers> bias;
    std::shared_ptr<const CodedSource> coded = nullptr;  // what `weight` stands in
  };
  int64_t k = 0;
  std::vector<Part> parts;
  Quantization quantization = Quantization::none;
  bool integer_activations = false;

  int64_t outputs() const {
    int64_t n = 0;
    for (const Part& part : parts) n += part.weight.rows;
    return n;
  }
};

inline LinearCase random_linear(Random& random, int64_t k, std::vector<int64_t> outputs, DType dtype,
                                bool bias) {
  LinearCase result{k, {}, Quantization::none};
  for (const int64_t n : outputs) {
    result.parts.push_back({random_tensor(random, n, k, dtype), std::nullopt});
    if (bias) result.parts.back().bias = random_tensor(random, 1, n, dtype);
  }
  return result;
}

inline AdapterPartCase random_adapter_part(Random& random, const LinearCase& base, int part,
                                           AdapterShape shape) {
  const int64_t n = base.parts[static_cast<size_t>(part)].weight.rows;
  AdapterPartCase result{
      .part = part, .rank = shape.rank, .scale = static_cast<float>(random.uniform(0.3, 2.5))};
  if (shape.rank > 0 && shape.dtype == DType::int8) {
    result.a = random_int8(random, shape.rank, base.k);
    result.b = random_int8(random, n, shape.rank);
    result.component_scale = random_floats(random, shape.rank, 1e-5, 1e-4);
  } else if (shape.rank > 0) {
    result.a = random_tensor(random, shape.rank, base.k, shape.dtype);
    result.b = random_tensor(random, n, shape.rank, shape.dtype);
  }
  if (shape.dtype == DType::int8) shape.dtype = DType::bf16;
  if (shape.dora) result.magnitude = random_tensor(random, 1, n, shape.dtype, 0.5, 2.0);
  if (shape.lora_bias) result.lora_bias = random_tensor(random, 1, n, shape.dtype);
  if (shape.weight) result.weight = random_tensor(random, n, base.k, shape.dtype);
  if (shape.bias) result.bias = random_tensor(random, 1, n, shape.dtype);
  return result;
}

inline std::optional<HostTensor> host_of(const std::optional<Numbers>& tensor) {
  return tensor ? std::optional(tensor->host()) : std::nullopt;
}

// The tensor with the values that a quantized map multiplies by.
inline Numbers dequantized(Numbers tensor, Quantization quantization) {
  if (quantization == Quantization::none) return tensor;
  const int group = group_size(quantization);
  const WeightGroups groups(tensor.host(), quantization, {}, 1);
  std::vector<int8_t> q(static_cast<size_t>(groups.groups() * group));
  std::vector<float> scale(static_cast<size_t>(groups.groups()));
  for (int64_t n = 0; n < tensor.rows; ++n) {
    REQUIRE(groups.read_row(q.data(), scale.data(), n));
    for (int64_t k = 0; k < tensor.cols; ++k) {
      tensor.values[static_cast<size_t>(n * tensor.cols + k)] =
          static_cast<double>(scale[static_cast<size_t>(k / group)]) * q[static_cast<size_t>(k)];
    }
  }
  return tensor;
}

// The activations as a quantized map sees them; the same values where it is not.
inline std::vector<double> dequantized(const float* x, int64_t k, Quantization quantization) {
  std::vector<double> values(x, x + k);
  if (quantization == Quantization::none) return values;
  for (int64_t begin = 0; begin < k; begin += kActivationGroup) {
    const auto count = static_cast<int>(std::min<int64_t>(kActivationGroup, k - begin));
    int8_t q[kActivationGroup];
    const double scale = quantize_activations(q, x + begin, count);
    for (int i = 0; i < count; ++i) values[static_cast<size_t>(begin + i)] = scale * q[i];
  }
  return values;
}

// The same, in an order of their own.
inline std::vector<double> dequantized(const float* x, int64_t k, const std::vector<int32_t>& order) {
  if (order.empty()) return dequantized(x, k, Quantization::int8);
  std::vector<float> ordered;
  for (const int32_t input : order) ordered.push_back(x[input]);
  const std::vector<double> seen = dequantized(ordered.data(), k, Quantization::int8);
  std::vector<double> values(seen.size());
  for (size_t i = 0; i < seen.size(); ++i) values[static_cast<size_t>(order[i])] = seen[i];
  return values;
}

inline LinearDesc describe(const LinearCase& from) {
  LinearDesc desc;
  desc.quantization = from.quantization;
  desc.integer_activations = from.integer_activations;
  for (const auto& part : from.parts)
    desc.parts.push_back({part.weight.host(), host_of(part.bias), {}, part.coded});
  return desc;
}

inline std::unique_ptr<Linear> create(Backend& backend, const LinearCase& from) {
  auto linear = backend.linear_create(describe(from));
  REQUIRE(linear);
  return std::move(*linear);
}

inline std::vector<AdapterPartDesc> describe(const AdapterCase& from) {
  std::vector<AdapterPartDesc> parts;
  for (const AdapterPartCase& part : from) {
    AdapterPartDesc desc{.part = part.part,
                         .rank = part.rank,
                         .scale = part.scale,
                         .a = {},
                         .b = {},
                         .component_scale = part.component_scale,
                         .lora_bias = {},
                         .magnitude = {},
                         .weight = {},
                         .bias = {}};
    if (part.rank > 0) {
      desc.a = part.a->host();
      desc.b = part.b->host();
    }
    desc.lora_bias = host_of(part.lora_bias);
    desc.magnitude = host_of(part.magnitude);
    desc.weight = host_of(part.weight);
    desc.bias = host_of(part.bias);
    desc.replaced_rows = part.replaced_rows;
    desc.replaced_row_values = host_of(part.replaced_row_values);
    parts.push_back(desc);
  }
  return parts;
}

inline std::unique_ptr<AdapterLinear> create(Backend& backend, const Linear& base, const AdapterCase& from) {
  auto adapter = backend.adapter_linear_create(base, describe(from));
  REQUIRE(adapter);
  return std::move(*adapter);
}

struct Expected {
  std::vector<double> values;
  std::vector<double> bounds;
};

namespace detail {

inline void expect_part(const LinearCase::Part& base, const AdapterPartCase* adapter, const float* x,
                        const std::vector<double>& x_of_base, Expected& out) {
  const auto k = static_cast<int64_t>(x_of_base.size());
  const Numbers& weight = adapter != nullptr && adapter->weight ? *adapter->weight : base.weight;
  const int rank = adapter != nullptr ? adapter->rank : 0;
  const double scale = adapter != nullptr ? static_cast<double>(adapter->scale) : 0.0;
  std::vector<double> s(static_cast<size_t>(rank)), s_size(static_cast<size_t>(rank));
  for (int r = 0; r < rank; ++r) {
    for (int64_t i = 0; i < k; ++i) {
      s[r] += adapter->a->at(r, i) * x[i];
      s_size[r] += std::abs(adapter->a->at(r, i) * x[i]);
    }
  }
  const bool replaced = adapter != nullptr && adapter->weight;
  for (int64_t n = 0; n < weight.rows; ++n) {
    double value = 0, size = 0;
    for (int64_t i = 0; i < k; ++i) {
      const double product = weight.at(n, i) * (replaced ? x[i] : x_of_base[static_cast<size_t>(i)]);
      value += product;
      size += std::abs(product);
    }
    for (int r = 0; r < rank; ++r) {
      value += adapter->factor(r) * adapter->b->at(n, r) * s[r];
      size += std::abs(adapter->factor(r) * adapter->b->at(n, r)) * s_size[r];
    }
    if (adapter != nullptr && adapter->lora_bias) {
      value += scale * adapter->lora_bias->at(0, n);
      size += std::abs(scale * adapter->lora_bias->at(0, n));
    }
    // Standard forward bound of a sum of products, gamma_m = m eps with m the length of its longest chain: k
    // for the base (a quantized group is one exact term with two roundings of its own), k + rank + 2 for the
    // delta. The DoRA ratio adds a relative error of the norm's own length.
    double steps = static_cast<double>(k + rank + 6);
    if (adapter != nullptr && adapter->magnitude) {
      double squares = 0;
      for (int64_t i = 0; i < k; ++i) {
        double w = weight.at(n, i);
        for (int r = 0; r < rank; ++r) w += adapter->factor(r) * adapter->b->at(n, r) * adapter->a->at(r, i);
        squares += w * w;
      }
      const double ratio = adapter->magnitude->at(0, n) / std::sqrt(squares);
      value *= ratio;
      size *= std::abs(ratio);
      steps += static_cast<double>(k + rank);
    }
    const auto& bias = adapter != nullptr && adapter->bias ? adapter->bias : base.bias;
    if (bias) {
      value += bias->at(0, n);
      size += std::abs(bias->at(0, n));
    }
    out.values.push_back(value);
    out.bounds.push_back(steps * kEpsilon * size);
  }
  if (adapter == nullptr) return;
  const size_t first = out.values.size() - static_cast<size_t>(weight.rows);
  for (size_t i = 0; i < adapter->replaced_rows.size(); ++i) {
    double value = 0, size = 0;
    for (int64_t j = 0; j < k; ++j) {
      const double product = adapter->replaced_row_values->at(static_cast<int64_t>(i), j) * x[j];
      value += product;
      size += std::abs(product);
    }
    const size_t at = first + static_cast<size_t>(adapter->replaced_rows[i]);
    out.values[at] = value;
    out.bounds[at] = static_cast<double>(k) * kEpsilon * size;
  }
}

}  // namespace detail

// One row of the result, of weights that are dequantized already, and how far float32 arithmetic in any order
// may be from it.
inline Expected expect_row(const LinearCase& base, const AdapterCase* adapter, const float* x) {
  Expected out;
  const std::vector<double> x_of_base = dequantized(x, base.k, base.quantization);
  const IntegerInputs integers = integer_inputs(describe(base));
  const std::vector<double> x_of_codes = dequantized(x, base.k, integers.order);
  for (size_t p = 0; p < base.parts.size(); ++p) {
    const AdapterPartCase* own = nullptr;
    if (adapter != nullptr) {
      for (const AdapterPartCase& part : *adapter) {
        if (part.part == static_cast<int>(p)) own = &part;
      }
    }
    detail::expect_part(base.parts[p], own, x, integers.parts[p] ? x_of_codes : x_of_base, out);
  }
  return out;
}

// silu(gate) * up of one row of a map with two parts of equal width. silu's slope is at most 1.1, so an error
// of the gate passes through that much; then two ulp of the exponential and four roundings, below 1e-35
// perhaps flushed to 0.
inline Expected glu_of(const Expected& row) {
  const size_t width = row.values.size() / 2;
  Expected out;
  for (size_t i = 0; i < width; ++i) {
    const double gate = row.values[i], up = row.values[width + i];
    const double gate_bound = row.bounds[i], up_bound = row.bounds[width + i];
    const double silu = gate / (1.0 + std::exp(-gate));
    out.values.push_back(silu * up);
    out.bounds.push_back(1.1 * gate_bound * (std::abs(up) + up_bound) + std::abs(silu) * up_bound +
                         8 * kEpsilon * std::abs(silu * up) + 1e-34);
  }
  return out;
}

// The adapter with its deltas multiplied.
inline AdapterCase scaled(AdapterCase adapter, float scale) {
  for (AdapterPartCase& part : adapter) part.scale *= scale;
  return adapter;
}

// Runs the map over rows whose adapters are given (null: base only; runs of the same one become one segment)
// and compares every row. `row_scale`: what each row's segment multiplies the deltas by; empty: 1.
inline void check_linear(const LinearCase& base, const std::vector<const AdapterCase*>& row_adapter,
                         Random& random, LinearOutput output = LinearOutput::store,
                         const std::vector<float>& row_scale = {}) {
  const auto scale_of = [&](int64_t row) {
    return row_scale.empty() ? 1.0f : row_scale[static_cast<size_t>(row)];
  };
  const auto rows = static_cast<int64_t>(row_adapter.size());
  const bool glu = output == LinearOutput::glu;
  const int64_t n = glu ? base.outputs() / 2 : base.outputs();
  const auto x = random_floats(random, rows * base.k);
  const auto before = random_floats(random, rows * n);
  Expected expected;
  LinearCase effective = base;
  for (auto& part : effective.parts) part.weight = dequantized(part.weight, base.quantization);
  for (int64_t row = 0; row < rows; ++row) {
    const AdapterCase* const own = row_adapter[static_cast<size_t>(row)];
    const AdapterCase own_scaled = own == nullptr ? AdapterCase{} : scaled(*own, scale_of(row));
    const Expected linear =
        expect_row(effective, own == nullptr ? nullptr : &own_scaled, &x[static_cast<size_t>(row * base.k)]);
    const Expected one = glu ? glu_of(linear) : linear;
    for (int64_t i = 0; i < n; ++i) {
      const auto at = static_cast<size_t>(row * n + i);
      const double old = output == LinearOutput::add ? static_cast<double>(before[at]) : 0.0;
      const double value = one.values[static_cast<size_t>(i)] + old;
      expected.values.push_back(value);
      expected.bounds.push_back(one.bounds[static_cast<size_t>(i)] + kEpsilon * std::abs(value) +
                                kEpsilon * std::abs(old));
    }
  }
  for (const auto& backend : all_backends()) {
    const auto linear = create(*backend, base);
    std::vector<std::pair<const AdapterCase*, std::unique_ptr<AdapterLinear>>> loaded;
    std::vector<LinearSegment> segments;
    for (int32_t row = 0; row < rows; ++row) {
      const AdapterCase* const want = row_adapter[static_cast<size_t>(row)];
      if (want == nullptr) continue;
      if (row > 0 && row_adapter[static_cast<size_t>(row) - 1] == want &&
          scale_of(row) == scale_of(row - 1)) {
        ++segments.back().rows;
        continue;
      }
      const AdapterLinear* adapter = nullptr;
      for (const auto& [key, value] : loaded) adapter = key == want ? value.get() : adapter;
      if (adapter == nullptr) {
        loaded.emplace_back(want, create(*backend, *linear, *want));
        adapter = loaded.back().second.get();
      }
      segments.push_back({row, 1, adapter, scale_of(row)});
    }
    const auto y =
        run_linear(*backend, *linear, x, {.segments = segments, .output = output, .announced = true}, before);
    INFO(device_of(*backend), " k=", base.k, " n=", n, " rows=", rows);
    CHECK(worst_ratio(y, expected.values, expected.bounds) <= 1.0);
  }
}

}  // namespace lorikeet::test
