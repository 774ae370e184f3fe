#include <algorithm>
#include <numbers>

#include "ops_linear_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

struct Kind {
  const char* name;
  Activation activation;
  bool plain;
};

const Kind kKinds[] = {
    {"silu", {.kind = ActivationKind::silu}, true},
    {"gelu", {.kind = ActivationKind::gelu}, true},
    {"gelu_tanh", {.kind = ActivationKind::gelu_tanh}, true},
    {"relu", {.kind = ActivationKind::relu}, true},
    {"relu_squared", {.kind = ActivationKind::relu_squared}, true},
    {"sigmoid", {.kind = ActivationKind::sigmoid}, true},
    {"clamped_swiglu", {.kind = ActivationKind::clamped_swiglu, .alpha = 1.702f, .limit = 7.0f}, false},
    {"xielu",
     {.kind = ActivationKind::xielu,
      .alpha = 0.8f,
      .limit = 0,
      .alpha_n = 1.3f,
      .beta = 0.5f,
      .epsilon = -1e-6f},
     true},
};

double plain_of(double x, const Activation& f) {
  switch (f.kind) {
    case ActivationKind::silu:
      return x / (1 + std::exp(-x));
    case ActivationKind::gelu:
      return 0.5 * x * std::erfc(-x / std::numbers::sqrt2);
    case ActivationKind::gelu_tanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x)));
    case ActivationKind::relu:
      return std::max(x, 0.0);
    case ActivationKind::relu_squared:
      return x > 0 ? x * x : 0.0;
    case ActivationKind::sigmoid:
      return 1 / (1 + std::exp(-x));
    case ActivationKind::xielu: {
      const auto alpha = static_cast<double>(f.alpha), alpha_n = static_cast<double>(f.alpha_n);
      const auto beta = static_cast<double>(f.beta), eps = static_cast<double>(f.epsilon);
      return x > 0 ? alpha * x * x + beta * x : alpha_n * (std::expm1(std::min(x, eps)) - x) + beta * x;
    }
    case ActivationKind::clamped_swiglu:
      break;
  }
  return NAN;
}

double gated_of(double gate, double up, const Activation& f) {
  if (f.kind != ActivationKind::clamped_swiglu) return plain_of(gate, f) * up;
  const auto limit = static_cast<double>(f.limit);
  const double g = std::min(gate, limit), u = std::clamp(up, -limit, limit);
  return g / (1 + std::exp(-static_cast<double>(f.alpha) * g)) * (u + 1);
}

// A map of one input whose rows are the given numbers: with x = 1 they are its exact results.
std::unique_ptr<Linear> constants(Backend& backend, const std::vector<std::vector<float>>& parts) {
  LinearDesc desc;
  for (const auto& values : parts) {
    desc.parts.push_back({{reinterpret_cast<const std::byte*>(values.data()), DType::f32,
                           static_cast<int64_t>(values.size()), 1, nullptr},
                          std::nullopt});
  }
  auto linear = backend.linear_create(desc);
  REQUIRE(linear);
  return std::move(*linear);
}

}  // namespace

TEST_CASE("activations follow their formulas over the whole range, plain and gated") {
  Random random(24);
  std::vector<float> gate{0.0f,  -0.0f,  1e-30f, -1e-4f,  6.5f,  7.5f,
                          88.0f, -88.0f, 120.0f, -120.0f, 1e15f, -1e15f};
  while (gate.size() < 150) gate.push_back(static_cast<float>(random.uniform(-12, 12)));
  const std::vector<float> up = random_floats(random, static_cast<int64_t>(gate.size()), -12, 12);
  const float one = 1.0f;
  for (const Kind& kind : kKinds) {
    // Some ulp of the result, and of what cancels in it: an exponential near 1, or x itself far below 0.
    std::vector<double> plain, plain_bound, gated, gated_bound;
    for (size_t i = 0; i < gate.size(); ++i) {
      const double x = gate[i], u = up[i];
      const double slack =
          std::min(std::abs(x), 12.0) * 4e-7 + (kind.activation.kind == ActivationKind::xielu ? 6e-7 : 1e-34);
      plain.push_back(plain_of(x, kind.activation));
      plain_bound.push_back(slack + 24 * kEpsilon * std::abs(plain.back()));
      gated.push_back(gated_of(x, u, kind.activation));
      gated_bound.push_back(slack * (std::abs(u) + 1) + 24 * kEpsilon * std::abs(gated.back()));
    }
    for (const auto& backend : all_backends()) {
      INFO(device_of(*backend), " ", kind.name);
      const auto pair = constants(*backend, {gate, up});
      const auto of_pair = run_linear(*backend, *pair, {&one, 1},
                                      {.output = LinearOutput::glu, .activation = kind.activation});
      CHECK(worst_ratio(of_pair, gated, gated_bound) <= 1.0);
      if (!kind.plain) continue;
      const auto single = constants(*backend, {gate});
      const auto alone = run_linear(*backend, *single, {&one, 1},
                                    {.output = LinearOutput::activate, .activation = kind.activation});
      CHECK(worst_ratio(alone, plain, plain_bound) <= 1.0);
    }
  }
}

TEST_CASE("activations do not hide a NaN") {
  const std::vector<float> ones(20, 1.0f);
  const float x[2] = {NAN, 1.0f};
  for (const Kind& kind : kKinds) {
    for (const auto& backend : all_backends()) {
      INFO(device_of(*backend), " ", kind.name);
      const auto pair = constants(*backend, {ones, ones});
      auto y = run_linear(*backend, *pair, x, {.output = LinearOutput::glu, .activation = kind.activation});
      CHECK(std::isnan(y[3]));
      CHECK_FALSE(std::isnan(y[23]));
      if (!kind.plain) continue;
      const auto single = constants(*backend, {ones});
      y = run_linear(*backend, *single, x, {.output = LinearOutput::activate, .activation = kind.activation});
      CHECK(std::isnan(y[3]));
      CHECK_FALSE(std::isnan(y[23]));
    }
  }
}
