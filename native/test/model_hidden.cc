#include <cmath>

#include "test/checks.h"
#include "tiny_model.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

constexpr int32_t kHiddenMode = static_cast<int32_t>(SampleMode::hidden);

struct Fixture {
  Fixture() {
    write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
    model = open_tiny(folder.path());
  }
  TempFolder folder;
  std::unique_ptr<Model> model;
};

void clear_samples(StepPlan& plan) {
  plan.sample_row.clear();
  plan.sample_int.clear();
  plan.sample_float.clear();
  plan.sample_seed.clear();
  plan.history_start = {0};
  plan.bias_start = {0};
}

void want(StepPlan& plan, int32_t row, int32_t mode) {
  plan.sample_row.push_back(row);
  add_sample(plan, mode, 0, mode == kHiddenMode ? -1 : 5);
  plan.sample_seed.insert(plan.sample_seed.end(), {1, 0});
  plan.history_start.push_back(0);
  plan.bias_start.push_back(0);
}

// Every row's hidden state.
StepPlan hidden_plan(const std::vector<int32_t>& tokens) {
  StepPlan plan = plan_of(tokens);
  clear_samples(plan);
  for (int32_t row = 0; row < plan.rows(); ++row) want(plan, row, kHiddenMode);
  return plan;
}

// The rows of `plan` from `begin`: what a step computes that finds the others in the cache.
StepPlan rest_of(StepPlan plan, int32_t begin) {
  for (auto* column : {&plan.token, &plan.position, &plan.kv_slot}) {
    column->erase(column->begin(), column->begin() + begin);
  }
  plan.q_start = {0, plan.rows()};
  clear_samples(plan);
  for (int32_t row = 0; row < plan.rows(); ++row) want(plan, row, kHiddenMode);
  return plan;
}

std::vector<float> hidden_of(Model& model) {
  return {model.hidden().begin(), model.hidden().end()};
}

}  // namespace

TEST_CASE(
    "a hidden state is what the head reads: its product with the head gives the row's log-probabilities") {
  Fixture f;
  StepPlan plan = plan_of({1, 5, 9});
  const auto drawn = run(*f.model, plan);
  REQUIRE(drawn);
  CHECK(f.model->hidden().empty());
  clear_samples(plan);
  want(plan, 2, kHiddenMode);
  const auto results = run(*f.model, plan);
  REQUIRE(results);
  CHECK(results->front().finite);
  const std::vector<float> hidden = hidden_of(*f.model);
  REQUIRE(hidden.size() == kHidden);
  const std::vector<float> head = tiny_tensors().at("lm_head.weight").values;
  std::vector<double> logits;
  double sum = 0;
  for (size_t token = 0; token < kVocab; ++token) {
    double logit = 0;
    for (size_t i = 0; i < kHidden; ++i) logit += double{hidden[i]} * head[token * kHidden + i];
    logits.push_back(logit);
    sum += std::exp(logit);
  }
  for (int32_t i = 0; i < drawn->front().top_count; ++i) {
    const auto token = static_cast<size_t>(drawn->front().top_token[i]);
    CHECK(drawn->front().top_logprob[i] == doctest::Approx(logits[token] - std::log(sum)).epsilon(1e-4));
  }
}

TEST_CASE("hidden states are the same bit for bit in one step, in chunks, and beside other rows") {
  Fixture f;
  const std::vector<int32_t> tokens{1, 5, 9, 4, 7, 11};
  REQUIRE(run(*f.model, hidden_plan(tokens)));
  const std::vector<float> all = hidden_of(*f.model);
  REQUIRE(all.size() == tokens.size() * kHidden);
  for (int32_t begin = 1; begin < 6; ++begin) {
    REQUIRE(run(*f.model, rest_of(hidden_plan(tokens), begin)));
    const std::vector<float> rest = hidden_of(*f.model);
    CHECK(std::equal(rest.begin(), rest.end(), all.begin() + begin * kHidden));
  }
  StepPlan mixed = plan_of(tokens);
  clear_samples(mixed);
  for (int32_t row = 0; row < 6; ++row) want(mixed, row, row % 2 == 0 ? kHiddenMode : 0);
  const auto results = run(*f.model, mixed);
  REQUIRE(results);
  const std::vector<float> even = hidden_of(*f.model);
  REQUIRE(even.size() == size_t{3} * kHidden);
  for (int i = 0; i < 3; ++i) {
    CHECK(std::equal(even.begin() + i * kHidden, even.begin() + (i + 1) * kHidden,
                     all.begin() + 2 * i * kHidden));
  }
  const auto alone = run(*f.model, plan_of(tokens));
  CHECK(results->back().token == alone->front().token);
  CHECK(results->back().logprob == alone->front().logprob);
}
