#include <bit>
#include <cmath>
#include <random>

#include "simulator/machine/numbers.h"
#include "simulator/test/machine.h"

namespace lorikeet::simulator {

namespace {

// Runs a test on a machine of each order, and expects the same bytes of all.
template <typename Run>
auto in_all_orders(Run run) {
  using Result = decltype(run(std::declval<Machine&>()));
  std::vector<Result> results;
  for (const Order order : all_orders()) {
    Machine machine(kernels_text("right.ptx"), {.order = order, .seed = 7});
    results.push_back(run(machine));
  }
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
  return results[0];
}

void expect_ends(const LaunchResult& result) {
  if (result.fault) FAIL(result.fault->text());
}

}  // namespace

TEST_CASE("sums of rows by shuffles, barriers and the last block are those of a host, in every order") {
  constexpr int kRows = 5, kWidth = 1000;
  std::vector<float> in(kRows * kWidth);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i % 13);
  const auto sums = in_all_orders([&](Machine& machine) {
    const uint64_t out = machine.allocate(kRows * 4), total = machine.allocate(4);
    expect_ends(machine.launch("row_sums", shape(kRows, 256), machine.upload(in), out, total,
                               machine.upload(std::vector<unsigned>{0}), kWidth));
    auto values = machine.download<float>(out, kRows);
    values.push_back(machine.download<float>(total, 1)[0]);
    return values;
  });
  float total = 0;
  for (int row = 0; row < kRows; ++row) {
    float expected = 0;  // whole numbers: exact in any order
    for (int i = 0; i < kWidth; ++i) expected += in[static_cast<size_t>(row * kWidth + i)];
    CHECK(sums[static_cast<size_t>(row)] == expected);
    total += expected;
  }
  CHECK(sums[kRows] == total);
}

TEST_CASE("a product staged by cp.async, ldmatrix and mma agrees with float64") {
  constexpr int kM = 32, kN = 24, kK = 64;
  std::mt19937 random(3);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<uint16_t> a(kM * kK), b(kN * kK);
  for (auto& value : a) value = to_brain(uniform(random)).bits;
  for (auto& value : b) value = to_brain(uniform(random)).bits;
  Counters counters;
  const auto c = in_all_orders([&](Machine& machine) {
    const uint64_t out = machine.allocate(kM * kN * 4);
    const LaunchResult result = machine.launch("tiled_product", {{kN / 8, kM / 16}, {32}, 0}, out,
                                               machine.upload(a), machine.upload(b), kN, kK);
    expect_ends(result);
    counters = result.counters;
    return machine.download<float>(out, kM * kN);
  });
  for (int row = 0; row < kM; ++row) {
    for (int column = 0; column < kN; ++column) {
      double expected = 0;
      for (int k = 0; k < kK; ++k) {
        expected += static_cast<double>(to_float(Brain{a[static_cast<size_t>(row * kK + k)]})) *
                    static_cast<double>(to_float(Brain{b[static_cast<size_t>(column * kK + k)]}));
      }
      CHECK(std::abs(static_cast<double>(c[static_cast<size_t>(row * kN + column)]) - expected) < 1e-5);
    }
  }
  CHECK(counters.matrix_products == (kM / 16) * (kN / 8) * (kK / 16));
  // Each block reads its tile of a and of b once, by whole sectors; and writes pairs of columns, row by row.
  const uint64_t blocks = (kM / 16) * (kN / 8);
  CHECK(counters.global_bytes_read == blocks * (16 + 8) * kK * 2);
  CHECK(counters.global_bytes_written == kM * kN * 4);
  CHECK(counters.global_sectors >= (counters.global_bytes_read + counters.global_bytes_written) / 32);
}

TEST_CASE("the 4-bit product by integer mma gives the bits of the same sums on the host") {
  constexpr int kM = 8, kN = 32, kK = 128;
  std::mt19937 random(5);
  std::vector<int> q(kN * kK);  // -8 .. 7
  for (int& value : q) value = static_cast<int>(random() % 16) - 8;
  std::vector<int8_t> x(kM * kK);
  for (int8_t& value : x) value = static_cast<int8_t>(random() % 255 - 127);
  std::vector<float> s(kK / 32 * kN), xs(kM);
  for (float& value : s) value = std::ldexp(1.0f + static_cast<float>(random() % 1000) / 1000, -6);
  for (float& value : xs) value = std::ldexp(1.0f + static_cast<float>(random() % 1000) / 1000, -7);
  // As the fragment of A holds them: rows g and g + 8, k = 4t .. and 16 + 4t ..
  std::vector<uint32_t> w(kN * kK / 8);
  for (int tile = 0; tile < kN / 16; ++tile) {
    for (int group = 0; group < kK / 32; ++group) {
      for (int lane = 0; lane < 32; ++lane) {
        uint32_t words[2] = {0, 0};
        for (int i = 0; i < 4; ++i) {
          const auto nibble = [&](int row, int k) {
            return static_cast<uint32_t>(q[static_cast<size_t>((tile * 16 + row) * kK + group * 32 + k)] + 8);
          };
          const int g = lane / 4, k = lane % 4 * 4 + i;
          words[0] |= (nibble(g, k) | nibble(g + 8, k) << 4) << (8 * i);
          words[1] |= (nibble(g, k + 16) | nibble(g + 8, k + 16) << 4) << (8 * i);
        }
        std::copy_n(words, 2, w.begin() + ((tile * (kK / 32) + group) * 32 + lane) * 2);
      }
    }
  }
  const auto y = in_all_orders([&](Machine& machine) {
    const uint64_t out = machine.allocate(kM * kN * 4);
    expect_ends(machine.launch("int4_product", shape(kN / 16, 32), out, machine.upload(w), machine.upload(s),
                               machine.upload(x), machine.upload(xs), kN, kK));
    return machine.download<float>(out, kM * kN);
  });
  for (int m = 0; m < kM; ++m) {
    for (int n = 0; n < kN; ++n) {
      float sum = 0;
      for (int group = 0; group < kK / 32; ++group) {
        int exact = 0;
        for (int k = group * 32; k < group * 32 + 32; ++k) {
          exact += q[static_cast<size_t>(n * kK + k)] * x[static_cast<size_t>(m * kK + k)];
        }
        sum = std::fma(static_cast<float>(exact), s[static_cast<size_t>(group * kN + n)], sum);
      }
      CHECK(y[static_cast<size_t>(m * kN + n)] == sum * xs[static_cast<size_t>(m)]);
    }
  }
}

TEST_CASE("ways part and meet again: loops, calls in branches, local arrays, shared counters") {
  constexpr int kThreads = 64, kBlocks = 3;
  std::vector<int> in(kThreads * kBlocks);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<int>(i * 37 % 101);
  const auto out = in_all_orders([&](Machine& machine) {
    const uint64_t to = machine.allocate(in.size() * 4);
    expect_ends(machine.launch("ways", shape(kBlocks, kThreads), to, machine.upload(in)));
    return machine.download<int>(to, in.size());
  });
  for (size_t i = 0; i < in.size(); ++i) {
    const int value = in[i];
    int result = 0, count = 0;
    if (value % 3 == 0) {
      for (int n = value + 1; n != 1; ++result) n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    } else {
      int local[4] = {1, 2, 3, 4};
      for (int j = 0; j < value % 7; ++j) local[(value + j) & 3] += j;
      result = local[value & 3] * 1000 + local[(value + 1) & 3];
    }
    const size_t block = i / kThreads * kThreads;
    for (size_t j = block; j < block + kThreads; ++j) count += (in[j] & 3) == (value & 3);
    CHECK(out[i] == result + count * 1000000);
  }
}

TEST_CASE("variables of a module have their initial values, and keep what launches write") {
  Machine machine(kernels_text("right.ptx"));
  const uint64_t out = machine.allocate(32 * 4);
  expect_ends(machine.launch("variables", shape(1, 32, 128), out));
  expect_ends(machine.launch("variables", shape(1, 32, 128), out));
  const float table[4] = {0.5f, 1.5f, -2.5f, 8.0f};
  const auto values = machine.download<float>(out, 32);
  for (size_t i = 0; i < 32; ++i) CHECK(values[i] == table[(i ^ 1) & 3]);
  const auto calls = machine.module().variable("calls");
  REQUIRE(calls);
  CHECK(machine.download<int>(calls->address, 1)[0] == 2);
  CHECK(machine.launch("variables", shape(1, 32, 64), out).fault->kind == FaultKind::out_of_bounds);
}

TEST_CASE("what lanes tell each other: ballots, matches, sums, counts over the block") {
  constexpr size_t kThreads = 64;
  std::vector<int> in(kThreads);
  for (size_t i = 0; i < kThreads; ++i) in[i] = static_cast<int>(i * 7 % 31);
  const auto out = in_all_orders([&](Machine& machine) {
    const uint64_t to = machine.allocate(kThreads * 6 * 4);
    expect_ends(machine.launch("votes", shape(1, kThreads), to, machine.upload(in)));
    return machine.download<unsigned>(to, kThreads * 6);
  });
  for (size_t i = 0; i < kThreads; ++i) {
    unsigned odd = 0, same = 0, sum = 0, count = 0;
    bool five = false;
    for (size_t lane = 0; lane < 32; ++lane) {
      const int other = in[i / 32 * 32 + lane];
      odd |= static_cast<unsigned>(other & 1) << lane;
      same |= static_cast<unsigned>((other & 3) == (in[i] & 3)) << lane;
      sum += static_cast<unsigned>(other);
      five |= other == 5;
    }
    for (const int value : in) count += static_cast<unsigned>(value & 1);
    CHECK(out[i * 6] == odd);
    CHECK(out[i * 6 + 1] == same);
    CHECK(out[i * 6 + 2] == sum);
    CHECK(out[i * 6 + 3] == 2u + five);
    CHECK(out[i * 6 + 4] == count);
    CHECK(out[i * 6 + 5] == ~0u);
  }
}

}  // namespace lorikeet::simulator
