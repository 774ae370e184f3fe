#include "ops_fixture.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

// rmsnorm(x) * gain, with a bound: the sum of n squares in float32 has a relative error of n eps at most,
// halved by the root; four more roundings follow.
void expect_norm(const std::vector<double>& x, const Tensor& gain, double epsilon,
                 std::vector<double>& values, std::vector<double>& bounds) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const auto n = static_cast<double>(x.size());
  const double factor = 1.0 / std::sqrt(squares / n + epsilon);
  for (size_t i = 0; i < x.size(); ++i) {
    values.push_back(x[i] * factor * gain.at(0, static_cast<int64_t>(i)));
    bounds.push_back((n / 2 + 6) * kEpsilon * std::abs(values.back()) + 1e-30);
  }
}

}  // namespace

TEST_CASE("norm scales rows of any width, adds the residual first and follows replaced gains") {
  Random random(11);
  for (const int64_t n : {1, 7, 16, 63, 64, 65, 130, 257}) {
    for (const int64_t rows : {1, 5, 90}) {
      const Tensor gain = random_tensor(random, 1, n, DType::bf16);
      const Tensor other = random_tensor(random, 1, n, DType::f16);
      const float epsilon = 1e-5f;
      for (const bool with_residual : {false, true}) {
        const auto x = random_floats(random, rows * n, -3, 3);
        const auto old = random_floats(random, rows * n, -3, 3);
        std::vector<double> values, bounds;
        std::vector<float> sums = old;
        for (int64_t row = 0; row < rows; ++row) {
          std::vector<double> input;
          for (int64_t i = row * n; i < (row + 1) * n; ++i) {
            const auto at = static_cast<size_t>(i);
            sums[at] += x[at];
            input.push_back(with_residual ? sums[at] : x[at]);
          }
          const bool replaced = rows > 2 && row >= 1 && row < 3;
          expect_norm(input, replaced ? other : gain, static_cast<double>(epsilon), values, bounds);
        }
        for (const auto& backend : all_backends()) {
          const auto base = backend->norm_create(gain.host());
          const auto own = backend->norm_create(other.host());
          REQUIRE(base);
          REQUIRE(own);
          std::vector<NormSegment> segments;
          if (rows > 2) segments.push_back({1, 2, own->get()});
          std::vector<float> y(x.size()), residual = old;
          backend->norm(y.data(), x.data(), with_residual ? residual.data() : nullptr, rows, **base, epsilon,
                        segments);
          INFO(device_of(*backend), " n=", n, " rows=", rows, " residual=", with_residual);
          CHECK(worst_ratio(y.data(), values, bounds) <= 1.0);
          CHECK((residual == (with_residual ? sums : old)));
        }
      }
    }
  }
}

TEST_CASE("norm carries a NaN into its own row only") {
  Random random(12);
  const int64_t n = 33;
  auto x = random_floats(random, 3 * n);
  x[static_cast<size_t>(n + 5)] = NAN;
  const Tensor gain = random_tensor(random, 1, n, DType::f32, 0.5, 1.0);
  for (const auto& backend : all_backends()) {
    const auto base = backend->norm_create(gain.host());
    std::vector<float> y(x.size());
    backend->norm(y.data(), x.data(), nullptr, 3, **base, 1e-6f, {});
    for (int64_t i = 0; i < 3 * n; ++i) CHECK(std::isnan(y[static_cast<size_t>(i)]) == (i / n == 1));
  }
}
