#include <algorithm>
#include <map>
#include <numeric>

#include "backend/shared/routing.h"
#include "test/ops_linear_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

constexpr int kExperts = 5;
constexpr int64_t kHidden = 24, kWidth = 20;

struct ExpertCase {
  Numbers gate, up, down;
};

ExpertCase random_expert(Random& random) {
  return {random_tensor(random, kWidth, kHidden, DType::bf16),
          random_tensor(random, kWidth, kHidden, DType::bf16),
          random_tensor(random, kHidden, kWidth, DType::bf16)};
}

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

std::vector<ChosenExpert> routed(const RouterDesc& desc, const float* logits,
                                 std::span<const float> choice_bias = {},
                                 std::span<const float> expert_scale = {}) {
  Router router;
  router.reserve(desc.experts);
  std::vector<ChosenExpert> chosen(static_cast<size_t>(desc.chosen));
  router.route(chosen, logits, desc, choice_bias, expert_scale);
  return chosen;
}

std::vector<int32_t> chosen_by(const RouterDesc& desc, const std::vector<float>& logits) {
  const std::vector<ChosenExpert> chosen = routed(desc, logits.data());
  std::vector<int32_t> experts;
  for (const ChosenExpert& choice : chosen) experts.push_back(choice.expert);
  return experts;
}

}  // namespace

TEST_CASE("experts give each row the weighed sum of what it chose, alone as among others, stored or added") {
  Random random(71);
  std::vector<ExpertCase> cases;
  for (int e = 0; e < kExperts; ++e) {
    cases.push_back(random_expert(random));
  }
  const int64_t rows = 40;
  const auto x = random_floats(random, rows * kHidden);
  const auto logits = random_floats(random, rows * kExperts, -2, 2);
  const auto before = random_floats(random, rows * kHidden);
  const RouterDesc router{.experts = kExperts, .chosen = 2, .renormalize = true, .scale = 1.5f};
  std::vector<double> sums, bounds;
  for (int64_t row = 0; row < rows; ++row) {
    const auto chosen = routed(router, &logits[static_cast<size_t>(row * kExperts)]);
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
    const auto device_x = on_device(*backend, x, kHidden);
    const auto device_logits = on_device(*backend, logits, kExperts);
    // Of `count` rows from row `first`.
    const auto run = [&](int64_t first, int64_t count, bool add) {
      const auto y = on_device(*backend, before, kHidden);
      submit(*backend, [&] {
        backend->experts({.y = whole(*y).part(0, count),
                          .x = whole(*device_x).part(first, count),
                          .logits = whole(*device_logits).part(first, count),
                          .router = router,
                          .activation = {},
                          .add = add},
                         **experts);
      });
      return from_device(*backend, *y);
    };
    const auto y = run(0, rows, false);
    CHECK(worst_ratio(y, sums, bounds) <= 1.0);
    for (const int64_t row : {int64_t{0}, int64_t{7}, rows - 1}) {
      const auto alone = run(row, 1, false);
      CHECK(std::equal(alone.begin(), alone.begin() + kHidden, y.begin() + row * kHidden));
    }
    CHECK(worst_ratio(run(0, rows, true), added, bounds) <= 1.0);
  }
}

namespace {

struct ExpertDelta {
  AdapterCase up, down;
};

AdapterCase random_deltas(Random& random, const std::vector<const Numbers*>& weights, int rank) {
  AdapterCase deltas;
  for (size_t part = 0; part < weights.size(); ++part) {
    const LinearCase base{weights[part]->cols, {{*weights[part], std::nullopt}}, Quantization::none};
    deltas.push_back(random_adapter_part(random, base, 0, {.rank = rank, .dtype = DType::f32}));
    deltas.back().part = static_cast<int>(part);
  }
  return deltas;
}

// W + scale * delta in float64
Numbers merged(Numbers weight, const AdapterPartCase& delta, double scale) {
  for (int64_t n = 0; n < weight.rows; ++n) {
    for (int64_t k = 0; k < weight.cols; ++k) {
      for (int r = 0; r < delta.rank; ++r) {
        weight.values[static_cast<size_t>(n * weight.cols + k)] +=
            scale * delta.factor(r) * delta.b->at(n, r) * delta.a->at(r, k);
      }
    }
  }
  return weight;
}

}  // namespace

TEST_CASE("experts with adapters give what their weights with the deltas added give, each row its own's") {
  Random random(73);
  std::vector<ExpertCase> cases;
  for (int e = 0; e < kExperts; ++e) cases.push_back(random_expert(random));
  // The first adapter leaves experts 1 and 3 alone, and expert 2's down.
  std::vector<std::map<int, ExpertDelta>> adapters(2);
  for (int e = 0; e < kExperts; ++e) {
    const ExpertCase& own = cases[static_cast<size_t>(e)];
    for (size_t a = 0; a < 2; ++a) {
      if (a == 0 && e % 2 == 1) continue;
      const int rank = a == 0 ? 3 : 5;
      adapters[a][e].up = random_deltas(random, {&own.gate, &own.up}, rank);
      if (a != 0 || e != 2) adapters[a][e].down = random_deltas(random, {&own.down}, rank);
    }
  }
  const int64_t rows = 40;
  const auto x = random_floats(random, rows * kHidden);
  const auto logits = random_floats(random, rows * kExperts, -2, 2);
  const RouterDesc router{.experts = kExperts, .chosen = 2, .renormalize = true};
  struct Run {
    int32_t row0, rows;
    size_t adapter;
    float scale;
  };
  const std::vector<Run> runs{{3, 7, 0, 1.0f}, {10, 15, 1, 0.5f}, {30, 1, 0, -2.0f}};
  std::vector<double> sums, bounds;
  for (int64_t row = 0; row < rows; ++row) {
    const auto chosen = routed(router, &logits[static_cast<size_t>(row * kExperts)]);
    std::vector<double> values(kHidden, 0.0), bound(kHidden, 0.0);
    for (const ChosenExpert& choice : chosen) {
      ExpertCase expert = cases[static_cast<size_t>(choice.expert)];
      for (const Run& run : runs) {
        const auto& deltas = adapters[run.adapter];
        if (row < run.row0 || row >= run.row0 + run.rows || !deltas.contains(choice.expert)) continue;
        const ExpertDelta& delta = deltas.at(choice.expert);
        const auto scale = static_cast<double>(run.scale);
        expert.gate = merged(expert.gate, delta.up[0], scale);
        expert.up = merged(expert.up, delta.up[1], scale);
        if (!delta.down.empty()) expert.down = merged(expert.down, delta.down[0], scale);
      }
      expect_expert(expert, &x[static_cast<size_t>(row * kHidden)], static_cast<double>(choice.weight),
                    values, bound);
    }
    sums.insert(sums.end(), values.begin(), values.end());
    // What a delta adds may cancel what the base gives.
    for (const double one : bound) bounds.push_back(20 * one);
  }
  for (const auto& backend : all_backends()) {
    INFO(device_of(*backend));
    const auto experts = backend->experts_create(descriptions(cases));
    REQUIRE(experts);
    std::vector<std::unique_ptr<AdapterExperts>> created;
    for (const auto& adapter : adapters) {
      std::vector<AdapterExpertDesc> descs;
      for (const auto& [e, delta] : adapter) descs.push_back({e, describe(delta.up), describe(delta.down)});
      auto made = backend->adapter_experts_create(**experts, descs);
      REQUIRE(made);
      CHECK((*made)->bytes() > 0);
      created.push_back(std::move(*made));
    }
    const auto device_x = on_device(*backend, x, kHidden);
    const auto device_logits = on_device(*backend, logits, kExperts);
    // Of `count` rows from row `first`.
    const auto run = [&](int64_t first, int64_t count, const std::vector<ExpertsSegment>& segments) {
      const auto y = on_device(*backend, x, kHidden);
      submit(*backend, [&] {
        backend->experts({.y = whole(*y).part(0, count),
                          .x = whole(*device_x).part(first, count),
                          .logits = whole(*device_logits).part(first, count),
                          .router = router,
                          .activation = {},
                          .segments = segments},
                         **experts);
      });
      return from_device(*backend, *y);
    };
    std::vector<ExpertsSegment> segments;
    for (const Run& each : runs)
      segments.push_back({each.row0, each.rows, created[each.adapter].get(), each.scale});
    const auto y = run(0, rows, segments);
    CHECK(worst_ratio(y, sums, bounds) <= 1.0);
    const auto base = run(0, rows, {});
    const auto same = [&](const std::vector<float>& one, int64_t at, int64_t row) {
      return std::equal(one.begin() + at * kHidden, one.begin() + (at + 1) * kHidden,
                        y.begin() + row * kHidden);
    };
    for (const int64_t row : {int64_t{0}, int64_t{26}, rows - 1}) CHECK(same(base, row, row));
    for (const Run& each : runs) {
      const int64_t row = each.row0 + each.rows - 1;
      CHECK_FALSE(same(base, row, row));
      CHECK(same(run(row, 1, {{0, 1, created[each.adapter].get(), each.scale}}), 0, row));
    }
    CHECK_FALSE(
        backend->adapter_experts_create(**experts, std::vector<AdapterExpertDesc>{{kExperts, {}, {}}}));
  }
}

TEST_CASE("a router chooses by score and bias, within the best groups, and weighs by the score alone") {
  RouterDesc desc{.experts = 4, .chosen = 2, .score = RouterScore::sigmoid};
  CHECK(chosen_by(desc, {0.1f, 0.9f, 0.5f, 0.4f}) == std::vector<int32_t>{1, 2});
  CHECK(chosen_by(desc, {1.0f, 1.0f, 1.0f, 1.0f}) == std::vector<int32_t>{0, 1});  // a tie goes to the lower
  CHECK(chosen_by(desc, {NAN, 0.0f, 1.0f, 0.5f}) == std::vector<int32_t>{2, 3});
  const std::vector<float> bias{0.0f, 0.0f, 0.0f, 1.0f};
  const std::vector<float> logits{0.1f, 0.9f, 0.5f, 0.4f};
  const auto chosen = routed(desc, logits.data(), bias);
  CHECK(chosen[0].expert == 3);
  CHECK(chosen[0].weight == doctest::Approx(1 / (1 + std::exp(-0.4))));
  // Of two groups the second has the better pair, though the best expert stands in the first.
  RouterDesc grouped{.experts = 4, .chosen = 2, .score = RouterScore::sigmoid};
  grouped.groups = 2;
  CHECK(chosen_by(grouped, {0.9f, -3.0f, 0.5f, 0.4f}) == std::vector<int32_t>{2, 3});
  grouped.group_best = 1;  // by the best alone it is the first
  CHECK(chosen_by(grouped, {0.9f, -3.0f, 0.5f, 0.4f}) == std::vector<int32_t>{0, 1});
}

TEST_CASE("experts read what the weights have scaled, where that is the router's way") {
  Random random(75);
  std::vector<ExpertCase> cases;
  for (int e = 0; e < kExperts; ++e) cases.push_back(random_expert(random));
  constexpr int64_t kRows = 20;
  const auto x = random_floats(random, kRows * kHidden);
  const auto logits = random_floats(random, kRows * kExperts, -2, 2);
  const RouterDesc router{
      .experts = kExperts, .chosen = 2, .score = RouterScore::sigmoid, .scales_inputs = true};
  std::vector<double> sums, bounds;
  for (int64_t row = 0; row < kRows; ++row) {
    std::vector<double> values(kHidden, 0.0), bound(kHidden, 0.0);
    for (const ChosenExpert& choice : routed(router, &logits[static_cast<size_t>(row * kExperts)])) {
      std::vector<float> scaled;
      for (int64_t k = 0; k < kHidden; ++k)
        scaled.push_back(choice.weight * x[static_cast<size_t>(row * kHidden + k)]);
      expect_expert(cases[static_cast<size_t>(choice.expert)], scaled.data(), 1.0, values, bound);
    }
    sums.insert(sums.end(), values.begin(), values.end());
    bounds.insert(bounds.end(), bound.begin(), bound.end());
  }
  for (const auto& backend : all_backends()) {
    INFO(device_of(*backend));
    const auto experts = backend->experts_create(descriptions(cases));
    REQUIRE(experts);
    const auto device_x = on_device(*backend, x, kHidden),
               device_logits = on_device(*backend, logits, kExperts), y = on_device(*backend, x, kHidden);
    submit(*backend, [&] {
      backend->experts({.y = whole(*y),
                        .x = whole(*device_x),
                        .logits = whole(*device_logits),
                        .router = router,
                        .activation = {}},
                       **experts);
    });
    CHECK(worst_ratio(from_device(*backend, *y), sums, bounds) <= 1.0);
  }
}

TEST_CASE("experts give what each has a scale of its own for, after the weights were made to sum to 1") {
  Random random(74);
  std::vector<ExpertCase> cases;
  for (int e = 0; e < kExperts; ++e) cases.push_back(random_expert(random));
  constexpr int64_t kRows = 20;
  const auto x = random_floats(random, kRows * kHidden);
  const auto logits = random_floats(random, kRows * kExperts, -2, 2);
  const auto scale = random_floats(random, kExperts, -2, 2);
  RouterDesc router{.experts = kExperts, .chosen = 2, .renormalize = true};
  std::vector<double> sums, bounds;
  for (int64_t row = 0; row < kRows; ++row) {
    const float* const own = &logits[static_cast<size_t>(row * kExperts)];
    const auto plain = routed(router, own), scaled = routed(router, own, {}, scale);
    std::vector<double> values(kHidden, 0.0), bound(kHidden, 0.0);
    for (size_t i = 0; i < scaled.size(); ++i) {
      REQUIRE(scaled[i].expert == plain[i].expert);
      const double weight = static_cast<double>(plain[i].weight) *
                            static_cast<double>(scale[static_cast<size_t>(plain[i].expert)]);
      CHECK(static_cast<double>(scaled[i].weight) == doctest::Approx(weight));
      expect_expert(cases[static_cast<size_t>(plain[i].expert)], &x[static_cast<size_t>(row * kHidden)],
                    weight, values, bound);
    }
    sums.insert(sums.end(), values.begin(), values.end());
    bounds.insert(bounds.end(), bound.begin(), bound.end());
  }
  for (const auto& backend : all_backends()) {
    INFO(device_of(*backend));
    const auto experts = backend->experts_create(descriptions(cases));
    REQUIRE(experts);
    const auto device_x = on_device(*backend, x, kHidden),
               device_logits = on_device(*backend, logits, kExperts),
               device_scale = on_device(*backend, scale, kExperts), y = on_device(*backend, x, kHidden);
    router.expert_scale = device_scale.get();
    submit(*backend, [&] {
      backend->experts({.y = whole(*y),
                        .x = whole(*device_x),
                        .logits = whole(*device_logits),
                        .router = router,
                        .activation = {}},
                       **experts);
    });
    CHECK(worst_ratio(from_device(*backend, *y), sums, bounds) <= 1.0);
  }
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
    const auto y = on_device(*backend, before, 33);
    const auto gates = on_device(*backend, gate, 1);
    submit(*backend, [&] { backend->gate_rows(whole(*y), whole(*gates)); });
    INFO(device_of(*backend));
    CHECK(worst_ratio(from_device(*backend, *y), values, bounds) <= 1.0);
  }
}
