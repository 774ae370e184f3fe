#include "ops_kv_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

TEST_CASE("add_scaled, scale and soft_cap work on every element, however many") {
  Random random(61);
  for (const int64_t count : {1, 17, 4096, 70001}) {
    const auto x = random_floats(random, count, -50, 50);
    const auto before = random_floats(random, count, -50, 50);
    std::vector<double> sums, sum_bounds, scaled, scaled_bounds, capped, capped_bounds;
    for (size_t i = 0; i < x.size(); ++i) {
      const double a = before[i], b = x[i];
      sums.push_back(a + static_cast<double>(0.22f) * b);
      sum_bounds.push_back(2 * kEpsilon * (std::abs(a) + std::abs(b)));
      scaled.push_back(static_cast<double>(0.22f) * a);
      scaled_bounds.push_back(kEpsilon * std::abs(scaled.back()));
      capped.push_back(30 * std::tanh(a / 30));
      capped_bounds.push_back(30 * 4e-7);
    }
    for (const auto& backend : all_backends()) {
      INFO(device_of(*backend), " count=", count);
      const auto from = on_device(*backend, x, count);
      const auto run = [&](auto op) {
        const auto y = on_device(*backend, before, count);
        submit(*backend, [&] { op(whole(*y)); });
        return from_device(*backend, *y);
      };
      CHECK(worst_ratio(run([&](TensorView y) { backend->add_scaled(y, whole(*from), 0.22f); }), sums,
                        sum_bounds) <= 1.0);
      CHECK(worst_ratio(run([&](TensorView y) { backend->scale(y, 0.22f); }), scaled, scaled_bounds) <= 1.0);
      CHECK(worst_ratio(run([&](TensorView y) { backend->soft_cap(y, 30.0f); }), capped, capped_bounds) <=
            1.0);
    }
  }
}

TEST_CASE("multiply takes its factors from columns of wider rows") {
  Random random(63);
  constexpr int64_t kWidth = 3 * 33;
  for (const int64_t rows : {1, 7, 600}) {
    const auto x = random_floats(random, rows * kWidth, -5, 5);
    const auto before = random_floats(random, rows * 33, -5, 5);
    for (const int64_t column : {0, 33, 66}) {
      std::vector<double> values, bounds;
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t i = 0; i < 33; ++i) {
          values.push_back(static_cast<double>(before[static_cast<size_t>(row * 33 + i)]) *
                           static_cast<double>(x[static_cast<size_t>(row * kWidth + column + i)]));
          bounds.push_back(kEpsilon * std::abs(values.back()));
        }
      }
      for (const auto& backend : all_backends()) {
        const auto y = on_device(*backend, before, 33);
        const auto from = on_device(*backend, x, kWidth);
        submit(*backend, [&] { backend->multiply(whole(*y), whole(*from), column); });
        INFO(device_of(*backend), " rows=", rows, " column=", column);
        CHECK(worst_ratio(from_device(*backend, *y), values, bounds) <= 1.0);
      }
    }
  }
}

TEST_CASE("embed_positions adds the row of each token's own position") {
  Random random(62);
  const HeadShape heads{1, 1, 2};
  const KvCase kv = random_kv(random, heads, 16, DType::f32, {40, 12});
  const StepCase step = step_of(kv, {{0, 7, 40}, {1, 0, 1}});
  for (const DType type : kAllDTypes) {
    const Numbers table = random_tensor(random, 42, 33, type);
    const auto before = random_floats(random, step.rows() * 33);
    std::vector<double> values, bounds;
    for (size_t i = 0; i < before.size(); ++i) {
      const int position = step.position[i / 33];
      values.push_back(static_cast<double>(before[i]) + table.at(position + 2, static_cast<int64_t>(i % 33)));
      bounds.push_back(kEpsilon * std::abs(values.back()) + 1e-30);
    }
    for (const auto& backend : all_backends()) {
      const auto embedding = backend->embedding_create({table.host(), nullptr, Quantization::none});
      REQUIRE(embedding);
      const auto y = on_device(*backend, before, 33);
      submit(*backend, step.input(), [&] { backend->embed_positions(whole(*y), **embedding, 2); });
      INFO(device_of(*backend), " ", name_of(type));
      CHECK(worst_ratio(from_device(*backend, *y), values, bounds) <= 1.0);
    }
  }
}
