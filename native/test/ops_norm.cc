#include "ops_fixture.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

// rmsnorm(x) * gain, with a bound: the sum of n squares in float32 has a relative error of n eps at most,
// halved by the root; four more roundings follow.
void expect_norm(const std::vector<double>& x, const Numbers& gain, double epsilon,
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
      const Numbers gain = random_tensor(random, 1, n, DType::bf16);
      const Numbers other = random_tensor(random, 1, n, DType::f16);
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
          const auto base = backend->norm_create(rms_of(gain));
          const auto own = backend->norm_create(rms_of(other));
          REQUIRE(base);
          REQUIRE(own);
          std::vector<NormSegment> segments;
          if (rows > 2) segments.push_back({1, 2, own->get()});
          const auto [y, residual] =
              run_norm(*backend, **base, epsilon, x, n,
                       with_residual ? std::span<const float>(old) : std::span<const float>(), segments);
          INFO(device_of(*backend), " n=", n, " rows=", rows, " residual=", with_residual);
          CHECK(worst_ratio(y, values, bounds) <= 1.0);
          CHECK((!with_residual || residual == sums));
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
  const Numbers gain = random_tensor(random, 1, n, DType::f32, 0.5, 1.0);
  for (const auto& backend : all_backends()) {
    const auto base = backend->norm_create(rms_of(gain));
    const auto y = run_norm(*backend, **base, 1e-6f, x, n).y;
    for (int64_t i = 0; i < 3 * n; ++i) CHECK(std::isnan(y[static_cast<size_t>(i)]) == (i / n == 1));
  }
}

namespace {

// (x - mean) / sqrt(variance + epsilon) * (offset + gain) + bias over one group. The bound: mean and variance
// are sums of n float32 numbers; the difference from the mean cancels.
void expect_layer_norm(const float* x, const Numbers& gain, const Numbers& bias, int64_t first, double offset,
                       double epsilon, std::vector<double>& values, std::vector<double>& bounds,
                       int64_t width) {
  const auto n = static_cast<double>(width);
  double mean = 0, squares = 0, size = 0;
  for (int64_t i = 0; i < width; ++i) {
    mean += static_cast<double>(x[i]) / n;
    size = std::max(size, std::abs(static_cast<double>(x[i])));
  }
  for (int64_t i = 0; i < width; ++i) squares += std::pow(static_cast<double>(x[i]) - mean, 2);
  const double factor = 1.0 / std::sqrt(squares / n + epsilon);
  for (int64_t i = 0; i < width; ++i) {
    const double g = offset + gain.at(0, first + i), b = bias.at(0, first + i);
    const double scaled = (static_cast<double>(x[i]) - mean) * factor * g;
    values.push_back(scaled + b);
    bounds.push_back((n + 8) * kEpsilon * (std::abs(scaled) + 2 * size * factor * std::abs(g)) +
                     2 * kEpsilon * std::abs(b) + 1e-30);
  }
}

}  // namespace

TEST_CASE("a layer norm takes off the mean, adds its bias, and works in place and on groups of a row") {
  Random random(13);
  for (const int64_t n : {2, 7, 16, 64, 130}) {
    for (const int64_t copies : {1, 3}) {
      const int64_t rows = 4, width = n * copies;
      const Numbers gain = random_tensor(random, 1, width, DType::f16);
      const Numbers bias = random_tensor(random, 1, width, DType::f32);
      const auto x = random_floats(random, rows * width, 2, 5);
      const auto old = random_floats(random, rows * width, -3, 3);
      std::vector<float> sums = old;
      std::vector<double> values, bounds;
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += x[i];
      for (int64_t group = 0; group < rows * copies; ++group) {
        expect_layer_norm(&sums[static_cast<size_t>(group * n)], gain, bias, group % copies * n, 1.0, 1e-5,
                          values, bounds, n);
      }
      for (const auto& backend : all_backends()) {
        NormDesc desc{.kind = NormKind::layer,
                      .width = n,
                      .copies = copies,
                      .gain = gain.host(),
                      .bias = bias.host(),
                      .offset = 1.0f};
        const auto norm = backend->norm_create(desc);
        REQUIRE(norm);
        const auto [y, residual] = run_norm(*backend, **norm, 1e-5f, x, width, old);
        const auto in_place = run_norm(*backend, **norm, 1e-5f, sums, width, {}, {}, true).y;
        INFO(device_of(*backend), " n=", n, " copies=", copies);
        CHECK(worst_ratio(y, values, bounds) <= 1.0);
        CHECK((residual == sums));
        CHECK((in_place == y));
      }
    }
  }
}

TEST_CASE("a norm without weights scales by 1, and an offset is added to the gain") {
  Random random(14);
  const int64_t n = 40;
  const auto x = random_floats(random, 2 * n, -3, 3);
  const Numbers gain = random_tensor(random, 1, n, DType::bf16, -0.5, 0.5);
  Numbers shifted = gain;
  for (double& value : shifted.values) value += 1.0;
  Numbers ones = shifted;
  std::fill(ones.values.begin(), ones.values.end(), 1.0);
  for (const bool plain : {true, false}) {
    std::vector<double> values, bounds;
    for (int64_t row = 0; row < 2; ++row) {
      const auto begin = x.begin() + row * n;
      expect_norm(std::vector<double>(begin, begin + n), plain ? ones : shifted, 1e-6, values, bounds);
    }
    for (const auto& backend : all_backends()) {
      NormDesc desc;
      desc.width = n;
      if (!plain) desc.gain = gain.host();
      if (!plain) desc.offset = 1.0f;
      const auto norm = backend->norm_create(desc);
      REQUIRE(norm);
      const auto y = run_norm(*backend, **norm, 1e-6f, x, n).y;
      INFO(device_of(*backend), " plain=", plain);
      CHECK(worst_ratio(y, values, bounds) <= 1.0);
    }
  }
}
