#include <cstring>

#include "ops_fixture.h"

using namespace lorikeet;
using namespace lorikeet::test;

TEST_CASE("glu is silu(gate) * up over the whole range of gates") {
  Random random(21);
  for (const int64_t width : {1, 5, 16, 33, 200}) {
    for (const int64_t rows : {1, 4, 150}) {
      auto gate_up = random_floats(random, rows * 2 * width, -12, 12);
      // Gates where the exponential overflows, vanishes, or is about 1.
      const float extremes[] = {0.0f, -0.0f, 1e-30f, 88.0f, -88.0f, 120.0f, -120.0f, 1e37f, -1e37f};
      for (size_t i = 0; i < std::size(extremes) && rows > 1; ++i) {
        gate_up[i % static_cast<size_t>(width) +
                (i % static_cast<size_t>(rows)) * 2 * static_cast<size_t>(width)] = extremes[i];
      }
      std::vector<double> values, bounds;
      for (int64_t row = 0; row < rows; ++row) {
        for (int64_t i = 0; i < width; ++i) {
          const double gate = gate_up[static_cast<size_t>(row * 2 * width + i)];
          const double up = gate_up[static_cast<size_t>(row * 2 * width + width + i)];
          values.push_back(gate / (1.0 + std::exp(-gate)) * up);
          // Two ulp of the exponential, whose own relative error grows by |gate| eps of its argument's
          // rounding (it has none: the argument is exact), and four roundings. Results under 1e-35 may be
          // flushed to zero.
          bounds.push_back(8 * kEpsilon * std::abs(values.back()) + 1e-34);
        }
      }
      for (const auto& backend : all_backends()) {
        std::vector<float> y(static_cast<size_t>(rows * width));
        backend->glu(y.data(), gate_up.data(), rows, width);
        INFO(device_of(*backend), " width=", width, " rows=", rows);
        CHECK(worst_ratio(y.data(), values, bounds) <= 1.0);
      }
    }
  }
}

TEST_CASE("glu does not hide a NaN") {
  for (const auto& backend : all_backends()) {
    for (const size_t at : {size_t{3}, size_t{23}}) {
      std::vector<float> gate_up(40, 1.0f), y(20);
      gate_up[at] = NAN;
      backend->glu(y.data(), gate_up.data(), 1, 20);
      CHECK(std::isnan(y[3]));
      CHECK_FALSE(std::isnan(y[4]));
    }
  }
}

TEST_CASE("gather_rows copies the named rows bit by bit, in order, repeats included") {
  Random random(22);
  for (const int64_t cols : {1, 17, 64}) {
    const auto from = random_floats(random, 9 * cols);
    const std::vector<int32_t> index{8, 0, 3, 3, 7};
    for (const auto& backend : all_backends()) {
      std::vector<float> to(index.size() * static_cast<size_t>(cols), NAN);
      backend->gather_rows(to.data(), from.data(), index, cols);
      for (size_t i = 0; i < index.size(); ++i) {
        CHECK(std::memcmp(&to[i * static_cast<size_t>(cols)], &from[static_cast<size_t>(index[i] * cols)],
                          static_cast<size_t>(cols) * sizeof(float)) == 0);
      }
    }
  }
}
