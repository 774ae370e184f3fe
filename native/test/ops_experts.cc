#include <algorithm>
#include <numeric>

#include "backend/shared/routing.h"
#include "test/ops_fixture.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

constexpr int kExperts = 5;
constexpr int64_t kHidden = 24, kWidth = 20;

struct ExpertCase {
  Tensor gate, up, down;
};

// down(silu(gate x) * (up x)) of one expert in float64, and what float32 may lose of it.
void expect_expert(const ExpertCase& expert, const float* x, double weight, std::vector<double>& values,
                   std::vector<double>& bounds) {
  std::vector<double> inner, inner_size;
  for (int64_t i = 0; i < kWidth; ++i) {
    double g = 0, u = 0, g_size = 0, u_size = 0;
    for (int64_t k = 0; k < kHidden; ++k) {
      const double value = x[k];
      g += expert.gate.at(i, k) * value;
      u += expert.up.at(i, k) * value;
      g_size += std::abs(expert.gate.at(i, k) * value);
      u_size += std::abs(expert.up.at(i, k) * value);
    }
    inner.push_back(g / (1 + std::exp(-g)) * u);
    inner_size.push_back((g_size + 1) * (u_size + 1));
  }
  for (int64_t h = 0; h < kHidden; ++h) {
    double sum = 0, size = 0;
    for (int64_t i = 0; i < kWidth; ++i) {
      sum += expert.down.at(h, i) * inner[static_cast<size_t>(i)];
      size += std::abs(expert.down.at(h, i)) * inner_size[static_cast<size_t>(i)];
    }
    values[static_cast<size_t>(h)] += weight * sum;
    bounds[static_cast<size_t>(h)] += 80 * kEpsilon * std::abs(weight) * size;
  }
}

std::vector<ExpertDesc> descriptions(const std::vector<ExpertCase>& cases) {
  std::vector<ExpertDesc> experts;
  for (const ExpertCase& expert : cases) {
    ExpertDesc desc;
    desc.up.parts = {{expert.gate.host(), std::nullopt}, {expert.up.host(), std::nullopt}};
    desc.down.parts = {{expert.down.host(), std::nullopt}};
    experts.push_back(std::move(desc));
  }
  return experts;
}

std::vector<int32_t> chosen_by(const RouterDesc& desc, const std::vector<float>& logits) {
  std::vector<ChosenExpert> chosen(static_cast<size_t>(desc.chosen));
  route(chosen, logits.data(), desc);
  std::vector<int32_t> experts;
  for (const ChosenExpert& choice : chosen) experts.push_back(choice.expert);
  return experts;
}

}  // namespace

TEST_CASE("experts give each row the weighed sum of what it chose, alone as among others, stored or added") {
  Random random(71);
  std::vector<ExpertCase> cases;
  for (int e = 0; e < kExperts; ++e) {
    cases.push_back({random_tensor(random, kWidth, kHidden, DType::bf16),
                     random_tensor(random, kWidth, kHidden, DType::bf16),
                     random_tensor(random, kHidden, kWidth, DType::bf16)});
  }
  const int64_t rows = 40;
  const auto x = random_floats(random, rows * kHidden);
  const auto logits = random_floats(random, rows * kExperts, -2, 2);
  const auto before = random_floats(random, rows * kHidden);
  RouterDesc router{.experts = kExperts, .chosen = 2, .renormalize = true, .scale = 1.5f};
  std::vector<double> sums, bounds;
  for (int64_t row = 0; row < rows; ++row) {
    std::vector<ChosenExpert> chosen(2);
    route(chosen, &logits[static_cast<size_t>(row * kExperts)], router);
    CHECK(chosen[0].weight + chosen[1].weight == doctest::Approx(1.5));
    std::vector<double> values(kHidden, 0.0), bound(kHidden, 0.0);
    for (const ChosenExpert& choice : chosen) {
      expect_expert(cases[static_cast<size_t>(choice.expert)], &x[static_cast<size_t>(row * kHidden)],
                    static_cast<double>(choice.weight), values, bound);
    }
    sums.insert(sums.end(), values.begin(), values.end());
    bounds.insert(bounds.end(), bound.begin(), bound.end());
  }
  std::vector<double> added = sums;
  for (size_t i = 0; i < added.size(); ++i) added[i] += static_cast<double>(before[i]);
  for (const auto& backend : all_backends()) {
    INFO(device_of(*backend));
    const auto experts = backend->experts_create(descriptions(cases));
    REQUIRE(experts);
    auto y = before;
    ExpertsCall call{.y = y.data(),
                     .x = x.data(),
                     .logits = logits.data(),
                     .rows = rows,
                     .router = router,
                     .activation = {},
                     .add = false};
    backend->experts(call, **experts);
    CHECK(worst_ratio(y.data(), sums, bounds) <= 1.0);
    for (const int64_t row : {int64_t{0}, int64_t{7}, rows - 1}) {
      std::vector<float> alone(kHidden, NAN);
      ExpertsCall one = call;
      one.y = alone.data();
      one.x = &x[static_cast<size_t>(row * kHidden)];
      one.logits = &logits[static_cast<size_t>(row * kExperts)];
      one.rows = 1;
      backend->experts(one, **experts);
      CHECK(std::equal(alone.begin(), alone.end(), y.begin() + row * kHidden));
    }
    y = before;
    call.y = y.data();
    call.add = true;
    backend->experts(call, **experts);
    CHECK(worst_ratio(y.data(), added, bounds) <= 1.0);
  }
}

TEST_CASE("a router chooses by score and bias, within the best groups, and weighs by the score alone") {
  RouterDesc desc{.experts = 4, .chosen = 2, .score = RouterScore::sigmoid};
  CHECK(chosen_by(desc, {0.1f, 0.9f, 0.5f, 0.4f}) == std::vector<int32_t>{1, 2});
  CHECK(chosen_by(desc, {1.0f, 1.0f, 1.0f, 1.0f}) == std::vector<int32_t>{0, 1});  // a tie goes to the lower
  CHECK(chosen_by(desc, {NAN, 0.0f, 1.0f, 0.5f}) == std::vector<int32_t>{2, 3});
  const std::vector<float> bias{0.0f, 0.0f, 0.0f, 1.0f};
  desc.choice_bias = bias;
  std::vector<ChosenExpert> chosen(2);
  const std::vector<float> logits{0.1f, 0.9f, 0.5f, 0.4f};
  route(chosen, logits.data(), desc);
  CHECK(chosen[0].expert == 3);
  CHECK(chosen[0].weight == doctest::Approx(1 / (1 + std::exp(-0.4))));
  // Of two groups the second has the better pair, though the best expert stands in the first.
  RouterDesc grouped{.experts = 4, .chosen = 2, .score = RouterScore::sigmoid};
  grouped.groups = 2;
  CHECK(chosen_by(grouped, {0.9f, -3.0f, 0.5f, 0.4f}) == std::vector<int32_t>{2, 3});
}

TEST_CASE("gate_rows scales each row by the sigmoid of its gate") {
  Random random(72);
  const auto before = random_floats(random, 6 * 33);
  const auto gate = random_floats(random, 6, -4, 4);
  std::vector<double> values, bounds;
  for (size_t i = 0; i < before.size(); ++i) {
    values.push_back(static_cast<double>(before[i]) / (1 + std::exp(-static_cast<double>(gate[i / 33]))));
    bounds.push_back(3 * kEpsilon * std::abs(values.back()));
  }
  for (const auto& backend : all_backends()) {
    auto y = before;
    backend->gate_rows(y.data(), gate.data(), 6, 33);
    INFO(device_of(*backend));
    CHECK(worst_ratio(y.data(), values, bounds) <= 1.0);
  }
}
