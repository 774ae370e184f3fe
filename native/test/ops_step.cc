// What a step promises as a whole: its faults come back at its end, it takes tokens that the one before drew,
// and it allocates nothing (which ops_fixture.h checks of every step of these suites).
#include "ops_kv_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

// Logits whose largest is `token`'s.
std::vector<float> logits_for(std::vector<int32_t> tokens, int64_t vocab) {
  std::vector<float> logits(tokens.size() * static_cast<size_t>(vocab), 0.0f);
  for (size_t row = 0; row < tokens.size(); ++row)
    logits[row * static_cast<size_t>(vocab) + static_cast<size_t>(tokens[row])] = 1.0f;
  return logits;
}

constexpr int64_t kVocab = 20;

struct Fixture {
  explicit Fixture(Backend& on) : backend(on) {
    auto made = backend.embedding_create({table.host(), nullptr, Quantization::none});
    REQUIRE(made);
    embedding = std::move(*made);
  }
  // Draws the tokens, a row each; a token of -1 has logits that are not finite.
  Status draw(const std::vector<int32_t>& tokens, std::span<SampleResult> results = {}) {
    std::vector<int32_t> wanted = tokens;
    for (int32_t& token : wanted) token = std::max(token, 0);
    auto values = logits_for(wanted, kVocab);
    for (size_t row = 0; row < tokens.size(); ++row) {
      if (tokens[row] < 0) values[row * kVocab] = NAN;
    }
    const auto logits = on_device(backend, values, kVocab);
    const std::vector<int32_t> sampled(tokens.size(), 0);
    const std::vector<SampleRow> samples(tokens.size());
    StepInput input;
    input.sample_row = sampled;
    input.samples = samples;
    backend.step_begin(input);
    backend.sample(whole(*logits), 0);
    return backend.step_end(results);
  }
  // Embeds rows, and gives each one's token.
  Result<std::vector<int32_t>> embedded(std::vector<int32_t> token, std::vector<int32_t> from) {
    const auto y = on_device(backend, std::vector<float>(token.size(), NAN), 1);
    StepInput input;
    input.token = token;
    input.token_from = from;
    backend.step_begin(input);
    backend.embed(whole(*y), *embedding, {});
    if (Status s = backend.step_end({}); !s) return s.error();
    std::vector<int32_t> tokens;
    for (const float value : from_device(backend, *y)) tokens.push_back(static_cast<int32_t>(value));
    return tokens;
  }

  Backend& backend;
  Numbers table = counting();
  std::unique_ptr<Embedding> embedding;

  // A table whose row t is t.
  static Numbers counting() {
    Numbers table{kVocab, 1, DType::f32, std::vector<std::byte>(kVocab * sizeof(float) + 1), {}};
    for (int64_t t = 0; t < kVocab; ++t)
      store_f32(table.bytes.data() + 1, DType::f32, t, static_cast<float>(t));
    return table;
  }
};

}  // namespace

TEST_CASE("a row takes the token that the step before drew for the sampled row that it names") {
  for (const auto& backend : all_backends()) {
    INFO(device_of(*backend));
    Fixture f(*backend);
    SampleResult results[3];
    REQUIRE(f.draw({7, 11, -1}, results));
    CHECK(results[1].token == 11);
    CHECK_FALSE(results[2].finite);
    const auto tokens = f.embedded({5, 5, 5, 5, 5}, {1, -1, 0, 1, 2});
    REQUIRE(tokens);
    CHECK(*tokens == std::vector<int32_t>{11, 5, 7, 11, 0});
  }
}

TEST_CASE("a step that names a token which was not drawn fails at its end, and the next one runs") {
  for (const auto& backend : all_backends()) {
    INFO(device_of(*backend));
    Fixture f(*backend);
    REQUIRE(f.draw({7}));
    CHECK_FALSE(f.embedded({5, 5}, {0, 1}));
    // Only the step before counts.
    CHECK_FALSE(f.embedded({5}, {0}));
    REQUIRE(f.draw({9}));
    CHECK(*f.embedded({5}, {0}) == std::vector<int32_t>{9});
  }
}

TEST_CASE("a step beyond what was reserved computes nothing and fails at its end, and the next one runs") {
  for (const auto& backend : all_backends()) {
    INFO(device_of(*backend));
    Fixture f(*backend);
    const std::vector<int32_t> tokens(static_cast<size_t>(kLimits.rows) + 1, 3);
    const auto y = on_device(*backend, std::vector<float>(tokens.size(), -1.0f), 1);
    StepInput input;
    input.token = tokens;
    backend->step_begin(input);
    backend->embed(whole(*y), *f.embedding, {});
    const Status ended = backend->step_end({});
    REQUIRE_FALSE(ended);
    CHECK(ended.error().message.find("rows") != std::string::npos);
    CHECK((from_device(*backend, *y) == std::vector<float>(tokens.size(), -1.0f)));
    CHECK(*f.embedded({4}, {}) == std::vector<int32_t>{4});
  }
}

TEST_CASE("a device's numbers come back as they were sent, of a part of a tensor too") {
  Random random(91);
  const auto values = random_floats(random, 60);
  for (const auto& backend : all_backends()) {
    const auto tensor = on_device(*backend, values, 6);
    CHECK(tensor->rows() == 10);
    CHECK(tensor->bytes() >= 60 * sizeof(float));
    REQUIRE(backend->upload(whole(*tensor).part(3, 2), std::span(values).first(12)));
    auto expected = values;
    std::copy_n(values.begin(), 12, expected.begin() + 18);
    CHECK((from_device(*backend, *tensor) == expected));
    // The same numbers as rows of another width.
    std::vector<float> two(8);
    REQUIRE(backend->download(two, {tensor.get(), 2, 2, 4}));
    CHECK(std::equal(two.begin(), two.end(), expected.begin() + 8));
  }
}
