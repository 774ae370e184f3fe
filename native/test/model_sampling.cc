#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "backend/shared/sampling.h"
#include "test/checks.h"

namespace lorikeet {

namespace {

SampleResult sampled(const std::vector<float>& logits, const SampleRow& row) {
  SampleScratch scratch(static_cast<int64_t>(logits.size()));
  SampleResult result;
  sample_row(result, logits.data(), static_cast<int64_t>(logits.size()), row, scratch);
  return result;
}

std::vector<float> random_logits(std::mt19937& random, size_t vocab) {
  std::normal_distribution<float> normal(0, 2);
  std::vector<float> logits(vocab);
  for (float& logit : logits) logit = normal(random);
  return logits;
}

// The sampler's distribution, spelled out in float64 with full sorts.
std::vector<double> distribution(const std::vector<float>& logits, const SampleRow& row) {
  std::vector<double> work(logits.begin(), logits.end());
  for (size_t i = 0; i < work.size() && !row.allowed.empty(); ++i) {
    if ((row.allowed[i / 32] >> (i % 32) & 1u) == 0) work[i] = -INFINITY;
  }
  for (size_t i = 0; i < row.bias_token.size(); ++i) work[row.bias_token[i]] += row.bias_value[i];
  for (size_t i = 0; i < row.history_token.size(); ++i) {
    double& logit = work[row.history_token[i]];
    logit = logit > 0 ? logit / row.repetition_penalty : logit * row.repetition_penalty;
    logit -= row.frequency_penalty * row.history_count[i];
    logit -= row.history_count[i] > 0 ? row.presence_penalty : 0;
  }
  const double top = *std::max_element(work.begin(), work.end());
  std::vector<double> p(work.size());
  for (size_t i = 0; i < p.size(); ++i) p[i] = std::exp((work[i] - top) / row.temperature);
  for (double& value : p) value = value >= row.min_p ? value : 0;
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  for (size_t i = row.top_k > 0 ? static_cast<size_t>(row.top_k) : p.size(); i < p.size(); ++i)
    p[order[i]] = 0;
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  double before = 0;
  for (const size_t token : order) {
    const double own = p[token];
    if (before >= row.top_p * total && before > 0) p[token] = 0;
    before += own;
  }
  const double kept = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& value : p) value /= kept;
  return p;
}

}  // namespace

TEST_CASE("philox gives the published vectors") {
  CHECK(philox(0, {0, 0, 0, 0}) == std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox(UINT64_MAX, {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX}) ==
        std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox(0x299f31d0a4093822, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}) ==
        std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("temperature 0 takes the best token, the lowest id among equals") {
  CHECK(sampled({1, 3, 3, 2}, {}).token == 1);
  CHECK(sampled({-5}, {}).token == 0);
}

TEST_CASE("bias moves and bans tokens, also when greedy") {
  const std::vector<int32_t> token{1, 2};
  const std::vector<float> value{-INFINITY, 2.5f};
  SampleRow row;
  row.bias_token = token;
  row.bias_value = value;
  CHECK(sampled({4, 9, 2, 1}, row).token == 2);
}

TEST_CASE("a repetition penalty applies to every token seen, the others to generated ones") {
  const std::vector<int32_t> token{0, 1};
  const std::vector<int32_t> count{0, 3};
  SampleRow row;
  row.history_token = token;
  row.history_count = count;
  row.repetition_penalty = 2.0f;
  CHECK(sampled({4, 4, 3}, row).token == 2);       // 2, 2, 3
  CHECK(sampled({-1, -1, -1.5}, row).token == 2);  // -2, -2, -1.5
  row.repetition_penalty = 1.0f;
  row.presence_penalty = 1.5f;
  CHECK(sampled({1, 2, 0}, row).token == 0);  // 1, 0.5, 0
  row.presence_penalty = 0;
  row.frequency_penalty = 0.5f;
  CHECK(sampled({1, 2, 0}, row).token == 0);  // 1, 0.5, 0
}

TEST_CASE("log-probabilities are of the raw logits, whatever the sampling rules") {
  const std::vector<int32_t> token{2};
  const std::vector<float> value{100.0f};
  SampleRow row;
  row.bias_token = token;
  row.bias_value = value;
  row.temperature = 0.3f;
  row.top_logprobs = 3;
  const std::vector<float> logits{1, 3, 0, 3};
  const double normaliser = std::log(std::exp(1.0) + 2 * std::exp(3.0) + 1);
  const SampleResult result = sampled(logits, row);
  CHECK(result.token == 2);
  CHECK(result.logprob == doctest::Approx(-normaliser));
  REQUIRE(result.top_count == 3);
  CHECK(result.top_token[0] == 1);  // ties by lowest id
  CHECK(result.top_token[1] == 3);
  CHECK(result.top_token[2] == 0);
  CHECK(result.top_logprob[2] == doctest::Approx(1 - normaliser));
}

TEST_CASE("listed tokens are reported in their order in place of the most likely") {
  const std::vector<int32_t> listed{2, 0, 2};
  SampleRow row;
  row.listed_token = listed;
  row.top_logprobs = 0;
  const SampleResult result = sampled({1, 3, 0}, row);
  const double normaliser = std::log(std::exp(1.0) + std::exp(3.0) + 1);
  CHECK(result.token == 1);
  CHECK(result.logprob == doctest::Approx(3 - normaliser));
  REQUIRE(result.top_count == 3);
  CHECK(result.top_token[0] == 2);
  CHECK(result.top_token[1] == 0);
  CHECK(result.top_logprob[0] == doctest::Approx(-normaliser));
  CHECK(result.top_logprob[1] == doctest::Approx(1 - normaliser));
  CHECK(result.top_logprob[2] == result.top_logprob[0]);
  row.top_logprobs = -1;
  CHECK(sampled({1, 3, 0}, row).top_count == 0);
}

TEST_CASE("score reports the target and draws nothing") {
  SampleRow row;
  row.mode = SampleMode::score;
  row.target = 2;
  const SampleResult result = sampled({1, 3, 0}, row);
  CHECK(result.token == 2);
  CHECK(result.logprob == doctest::Approx(-std::log(std::exp(1.0) + std::exp(3.0) + 1)));
}

TEST_CASE("more alternatives than tokens are as many as there are tokens") {
  SampleRow row;
  row.top_logprobs = 20;
  CHECK(sampled({1, 2, 3}, row).top_count == 3);
}

TEST_CASE("logits that are not finite, and a row whose every token is banned, are reported") {
  CHECK_FALSE(sampled({1, NAN, 2}, {}).finite);
  CHECK_FALSE(sampled({1, INFINITY, 2}, {}).finite);
  CHECK_FALSE(sampled({1, -INFINITY, 2}, {}).finite);
  const std::vector<int32_t> token{0, 1};
  const std::vector<float> value{-INFINITY, -INFINITY};
  SampleRow row;
  row.bias_token = token;
  row.bias_value = value;
  CHECK_FALSE(sampled({1, 2}, row).finite);
  row.temperature = 1;
  CHECK_FALSE(sampled({1, 2}, row).finite);
}

TEST_CASE("only allowed tokens are drawn, before bias, penalties and temperature") {
  std::vector<float> logits(70, 0.0f);
  logits[3] = 9, logits[40] = 2, logits[69] = 1;
  const std::vector<uint32_t> allowed{0, 1u << 8,
                                      1u << 5 | 1u << 6 | ~0u << 7};  // 40, 69; 70 and on are no tokens
  SampleRow row;
  row.allowed = allowed;
  row.top_logprobs = 2;
  const SampleResult greedy = sampled(logits, row);
  CHECK(greedy.token == 40);
  CHECK(greedy.top_token[0] == 3);  // reported as if nothing were masked
  const std::vector<int32_t> bias_token{3, 69};
  const std::vector<float> bias_value{100, 5};
  row.bias_token = bias_token;
  row.bias_value = bias_value;
  CHECK(sampled(logits, row).token == 69);
  const std::vector<float> bans{0, -INFINITY};
  const std::vector<int32_t> history_token{3, 40, 5};
  const std::vector<int32_t> history_count{1, 2, 3};
  row.bias_value = bans;
  row.history_token = history_token;
  row.history_count = history_count;
  row.repetition_penalty = 2;
  row.presence_penalty = -1.5f;
  row.frequency_penalty = -1;
  row.temperature = 3;
  for (row.seed = 0; row.seed < 100; ++row.seed) CHECK(sampled(logits, row).token == 40);
  const std::vector<float> all_bans{-INFINITY, -INFINITY};
  const std::vector<int32_t> all{40, 69};
  row.bias_token = all;
  row.bias_value = all_bans;
  CHECK_FALSE(sampled(logits, row).finite);
}

TEST_CASE("a mask that allows every token changes nothing, bit for bit") {
  std::mt19937 random(5);
  const std::vector<float> logits = random_logits(random, 100);
  const std::vector<uint32_t> all(4, ~0u);
  SampleRow row;
  row.temperature = 1.3f;
  row.top_p = 0.9f;
  row.top_logprobs = 3;
  for (row.seed = 0; row.seed < 200; ++row.seed) {
    row.allowed = {};
    const SampleResult plain = sampled(logits, row);
    row.allowed = all;
    const SampleResult masked = sampled(logits, row);
    CHECK(masked.token == plain.token);
    CHECK(masked.logprob == plain.logprob);
  }
}

TEST_CASE("a skipped row draws nothing") {
  SampleRow row;
  row.skipped = true;
  CHECK_FALSE(sampled({1, 2}, row).drawn);
  CHECK_FALSE(sampled({1, NAN}, row).drawn);
  row.skipped = false;
  CHECK(sampled({1, 2}, row).drawn);
}

TEST_CASE("top-k keeps exactly k, top-p the smallest sufficient set, both at least one") {
  SampleRow row;
  row.temperature = 1;
  row.top_k = 1;
  for (uint64_t seed = 0; seed < 50; ++seed) {
    row.seed = seed;
    CHECK(sampled({0, 1, 1, 0.5}, row).token == 1);
  }
  row.top_k = 0;
  row.top_p = 0.0f;
  CHECK(sampled({0, 1, 1, 0.5}, row).token == 1);
  // Probabilities 0.4, 0.3, 0.2, 0.1: 0.7 needs two tokens; a hair more needs three.
  const std::vector<float> logits{std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};
  for (uint64_t seed = 0; seed < 200; ++seed) {
    row.seed = seed;
    row.top_p = 0.69f;
    const int32_t token = sampled(logits, row).token;
    CHECK((token == 1 || token == 3));
    row.top_p = 0.71f;
    CHECK(sampled(logits, row).token != 0);
  }
}

TEST_CASE("draws follow the float64 distribution of every rule and of their mixtures") {
  std::mt19937 random(3);
  const std::vector<float> logits = random_logits(random, 24);
  const std::vector<int32_t> bias_token{3, 5};
  const std::vector<float> bias_value{2.0f, -INFINITY};
  const std::vector<int32_t> history_token{1, 7, 9};
  const std::vector<int32_t> history_count{0, 2, 1};
  const std::vector<uint32_t> allowed{0x00f7'5abdu};
  std::vector<SampleRow> rows(9);
  for (SampleRow& row : rows) row.temperature = 1;
  rows[1].temperature = 0.6f;
  rows[2].top_k = 5;
  rows[3].top_p = 0.8f;
  rows[4].min_p = 0.1f;
  rows[5].top_k = 12;
  rows[5].top_p = 0.9f;
  rows[6] = rows[5];
  rows[6].temperature = 1.4f;
  rows[6].bias_token = bias_token;
  rows[6].bias_value = bias_value;
  rows[6].history_token = history_token;
  rows[6].history_count = history_count;
  rows[6].repetition_penalty = 1.3f;
  rows[6].presence_penalty = 0.4f;
  rows[6].frequency_penalty = 0.2f;
  rows[6].min_p = 0.02f;
  rows[7].allowed = allowed;
  rows[8] = rows[6];
  rows[8].allowed = allowed;
  constexpr int kDraws = 20000;
  for (size_t r = 0; r < rows.size(); ++r) {
    CAPTURE(r);
    SampleRow row = rows[r];
    const std::vector<double> expected = distribution(logits, row);
    std::vector<int> drawn(logits.size());
    row.seed = 11 + r;
    for (row.counter = 0; row.counter < kDraws; ++row.counter) ++drawn[sampled(logits, row).token];
    for (size_t token = 0; token < logits.size(); ++token) {
      CAPTURE(token);
      if (expected[token] == 0) CHECK(drawn[token] == 0);
      const double deviation = std::sqrt(kDraws * expected[token] * (1 - expected[token]));
      CHECK(std::abs(drawn[token] - kDraws * expected[token]) <=
            4.5 * deviation + 1);  // fixed seeds: no flakiness
    }
  }
}

TEST_CASE("a draw depends on seed and counter alone") {
  std::mt19937 random(5);
  const std::vector<float> logits = random_logits(random, 500);
  SampleRow row;
  row.temperature = 1;
  row.seed = 42;
  row.counter = 7;
  const int32_t token = sampled(logits, row).token;
  SampleScratch used(500);
  SampleResult result;
  sample_row(result, random_logits(random, 500).data(), 500, row, used);
  sample_row(result, logits.data(), 500, row, used);
  CHECK(result.token == token);
  int different = 0;
  for (row.counter = 8; row.counter < 40; ++row.counter)
    different += sampled(logits, row).token != token ? 1 : 0;
  CHECK(different > 16);
}

TEST_CASE("uniform numbers lie in [0, 1) and fill it") {
  double sum = 0;
  double least = 1;
  double most = 0;
  for (uint64_t counter = 0; counter < 10000; ++counter) {
    const double u = uniform(1, counter);
    sum += u;
    least = std::min(least, u);
    most = std::max(most, u);
  }
  CHECK(least >= 0);
  CHECK(most < 1);
  CHECK(least < 0.001);
  CHECK(most > 0.999);
  CHECK(sum / 10000 == doctest::Approx(0.5).epsilon(0.02));
}

}  // namespace lorikeet
