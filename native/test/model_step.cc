#include <atomic>
#include <cmath>
#include <functional>
#include <random>
#include <thread>

#include "model/mask_wait.h"
#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

struct Fixture {
  Fixture() {
    write_tiny_model(folder.path(), tiny_config(), tiny_tensors());
    model = open_tiny(folder.path());
  }
  TempFolder folder;
  std::unique_ptr<Model> model;
};

struct Masks {
  int32_t numbers[2] = {1, 1};
  uint32_t bits[2] = {1u << 17, 1u << 4 | 1u << 21};
  MaskSlots slots() { return {numbers, bits, 2, 1}; }
};

// Two slots of one word each; the first sampled row takes the first.
void add_masks(StepPlan& plan) {
  static Masks masks;
  plan.mask_slot = {0, -1};
  plan.mask_number = {1, 0};
  plan.masks = masks.slots();
}

// Two sequences: three rows of a fresh one on page 0, and position 5 of another on pages 1 and 2.
StepPlan mixed_plan() {
  StepPlan plan = plan_of({1, 5, 9});
  plan.token.push_back(7);
  plan.position.push_back(5);
  plan.kv_slot.push_back(2 * kPageTokens + 1);
  plan.q_start = {0, 3, 4};
  plan.kv_len = {3, 6};
  plan.page_table_stride = 2;
  plan.page_table = {0, -7, 1, 2};  // what no token needs may hold anything
  plan.sample_row = {2, 3};
  add_sample(plan, 1, 4, 0);
  float* last = &plan.sample_float[kSampleFloats];
  for (const float value : {0.5f, 0.9f, 0.1f, 1.2f, 0.5f, 0.5f}) *last++ = value;
  plan.sample_seed.insert(plan.sample_seed.end(), {3, 4});
  plan.history_start = {0, 0, 2};
  plan.history_token = {1, 2};
  plan.history_count = {0, 1};
  plan.bias_start = {0, 1, 2};
  plan.bias_token = {3, 4};
  plan.bias_value = {-INFINITY, 1.5f};
  return plan;
}

}  // namespace

TEST_CASE("a mixed plan runs") {
  Fixture f;
  const auto results = run(*f.model, mixed_plan());
  REQUIRE(results);
  CHECK(results->size() == 2);
  CHECK(results->at(0).finite);
  CHECK(results->at(1).token == 4);
}

TEST_CASE("a step without samples fills the cache and answers nothing") {
  Fixture f;
  StepPlan plan = plan_of({1, 5, 9});
  plan.sample_row.clear();
  plan.sample_int.clear();
  plan.sample_float.clear();
  plan.sample_seed.clear();
  plan.history_start = {0};
  plan.bias_start = {0};
  CHECK(run(*f.model, plan)->empty());
}

TEST_CASE("every broken plan is refused with what is broken, and the next one runs") {
  Fixture f;
  struct Case {
    const char* says;
    std::function<void(StepPlan&)> edit;
  };
  const Case cases[] = {
      {"rows must", [](StepPlan& p) { p.token.clear(); }},
      {"rows must", [](StepPlan& p) { p.token.resize(33); }},
      {"sequences must", [](StepPlan& p) { p.kv_len.clear(); }},
      {"sequences must", [](StepPlan& p) { p.kv_len.resize(9, 1); }},
      {"samples must", [](StepPlan& p) { p.sample_row.resize(33); }},
      {"position or kvSlot", [](StepPlan& p) { p.position.pop_back(); }},
      {"qStart is not", [](StepPlan& p) { p.q_start.pop_back(); }},
      {"pageTable is not", [](StepPlan& p) { p.page_table.pop_back(); }},
      {"pageTable is not", [](StepPlan& p) { p.page_table_stride = -2; }},
      {"segment is not", [](StepPlan& p) { p.segment = {0}; }},
      {"segments must", [](StepPlan& p) { p.segment.assign(9 * kSegmentInts, 1); }},
      {"tokenFrom", [](StepPlan& p) { p.token_from = {0}; }},
      {"copyFrom and copyTo", [](StepPlan& p) { p.copy_from = {5}; }},
      {"copyFrom[0]",
       [](StepPlan& p) {
         p.copy_from = {-1};
         p.copy_to = {6};
       }},
      {"copyTo[1]",
       [](StepPlan& p) {
         p.copy_from = {5, 5};
         p.copy_to = {6, 1000};
       }},
      {"copyTo[1] is copied to twice",
       [](StepPlan& p) {
         p.copy_from = {4, 5};
         p.copy_to = {6, 6};
       }},
      {"copyFrom[0] is copied to, too",
       [](StepPlan& p) {
         p.copy_from = {6, 5};
         p.copy_to = {4, 6};
       }},
      {"maskSlot or maskNumber",
       [](StepPlan& p) {
         p.mask_slot = {-1, 0};
       }},
      {"maskSlot or maskNumber",
       [](StepPlan& p) {
         p.mask_slot = {0};
         p.mask_number = {1};
       }},
      {"masks.words",
       [](StepPlan& p) {
         add_masks(p);
         p.masks.words = 2;
       }},
      {"maskSlot[0] is no slot",
       [](StepPlan& p) {
         add_masks(p);
         p.mask_slot[0] = 2;
       }},
      {"maskNumber[0]",
       [](StepPlan& p) {
         add_masks(p);
         p.mask_number[0] = 0;
       }},
      {"maskSlot[1] is of a row that draws nothing",
       [](StepPlan& p) {
         add_masks(p);
         p.mask_slot[1] = 1;
       }},
      {"sampleInt", [](StepPlan& p) { p.sample_int.pop_back(); }},
      {"history or bias", [](StepPlan& p) { p.history_count.pop_back(); }},
      {"token[1]", [](StepPlan& p) { p.token[1] = kVocab; }},
      {"token[0]", [](StepPlan& p) { p.token[0] = -1; }},
      {"qStart must run", [](StepPlan& p) { p.q_start[0] = 1; }},
      {"qStart must run", [](StepPlan& p) { p.q_start[2] = 3; }},
      {"qStart[1]", [](StepPlan& p) { p.q_start[1] = 0; }},
      {"qStart[1]", [](StepPlan& p) { p.q_start[1] = 1000000; }},
      {"qStart[1]", [](StepPlan& p) { p.q_start[1] = -5; }},
      {"kvLength[0]", [](StepPlan& p) { p.kv_len[0] = 2; }},
      {"kvLength[1]", [](StepPlan& p) { p.kv_len[1] = 25; }},
      {"kvLength[1]", [](StepPlan& p) { p.kv_len[1] = 9; }},
      {"pageTable of sequence 1", [](StepPlan& p) { p.page_table[2] = -1; }},
      {"pageTable of sequence 1", [](StepPlan& p) { p.page_table[3] = 100000; }},
      {"position[1]", [](StepPlan& p) { p.position[1] = 2; }},
      {"position[3]", [](StepPlan& p) { p.position[3] = 4; }},
      {"kvSlot[3]", [](StepPlan& p) { p.kv_slot[3] = 4; }},
      {"kvSlot[3] is written twice",
       [](StepPlan& p) {
         p.page_table[3] = 0;
         p.kv_slot[3] = 1;
       }},
      {"segment[0]",
       [](StepPlan& p) {
         p.segment = {-1, 2, 1};
       }},
      {"segment[0]",
       [](StepPlan& p) {
         p.segment = {0, 0, 1};
       }},
      {"segment[0]",
       [](StepPlan& p) {
         p.segment = {2, 3, 1};
       }},
      {"segment[0]",
       [](StepPlan& p) {
         p.segment = {2, INT32_MAX, 1};
       }},
      {"segment[1]", [](StepPlan& p) { p.segment = {0, 2, 1, 1, 1, 1}; }},
      {"sampleRow[1]", [](StepPlan& p) { p.sample_row[1] = 4; }},
      {"sampleRow must ascend", [](StepPlan& p) { p.sample_row[0] = 3, p.sample_row[1] = 2; }},
      {"mode", [](StepPlan& p) { p.sample_int[0] = 3; }},
      {"target", [](StepPlan& p) { p.sample_int[1] = -1; }},
      {"topLogprobs", [](StepPlan& p) { p.sample_int[2] = 21; }},
      {"topK", [](StepPlan& p) { p.sample_int[3] = -1; }},
      {"temperature", [](StepPlan& p) { p.sample_float[0] = NAN; }},
      {"topP", [](StepPlan& p) { p.sample_float[1] = 1.5f; }},
      {"minP", [](StepPlan& p) { p.sample_float[2] = -0.1f; }},
      {"repetitionPenalty", [](StepPlan& p) { p.sample_float[3] = 0; }},
      {"presencePenalty", [](StepPlan& p) { p.sample_float[4] = INFINITY; }},
      {"frequencyPenalty", [](StepPlan& p) { p.sample_float[5] = NAN; }},
      {"historyStart", [](StepPlan& p) { p.history_start[2] = 3; }},
      {"historyStart", [](StepPlan& p) { p.history_start[1] = 5; }},
      {"historyStart", [](StepPlan& p) { p.history_start[0] = -1; }},
      {"historyToken[0]", [](StepPlan& p) { p.history_token[0] = kVocab; }},
      {"historyCount[1]", [](StepPlan& p) { p.history_count[1] = -1; }},
      {"biasToken[1]", [](StepPlan& p) { p.bias_token[1] = -1; }},
      {"biasValue[0]", [](StepPlan& p) { p.bias_value[0] = NAN; }},
      {"biasValue[1]", [](StepPlan& p) { p.bias_value[1] = INFINITY; }},
  };
  StepPlanChecker checker({32, 8, 24, kVocab, f.model->kv_pages(), kPageTokens});
  for (const Case& test : cases) {
    CAPTURE(test.says);
    StepPlan plan = mixed_plan();
    test.edit(plan);
    const Status status = checker.check(plan);
    REQUIRE_FALSE(status);
    CHECK_MESSAGE(status.error().message.find(test.says) != std::string::npos, status.error().message);
    CHECK(checker.check(mixed_plan()));
  }
}

TEST_CASE("no corrupt plan crashes a step") {
  Fixture f;
  std::mt19937 random(11);
  const int32_t extremes[] = {-1, 0, 1, 2, 3, 31, 32, 33, 1000, INT32_MAX, INT32_MIN};
  int ran = 0;
  for (int round = 0; round < 3000; ++round) {
    StepPlan plan = mixed_plan();
    std::vector<int32_t>* const arrays[] = {
        &plan.token,         &plan.position,      &plan.kv_slot,    &plan.q_start,    &plan.kv_len,
        &plan.page_table,    &plan.segment,       &plan.sample_row, &plan.sample_int, &plan.history_start,
        &plan.history_token, &plan.history_count, &plan.bias_start, &plan.bias_token};
    for (int edits = 1 + static_cast<int>(random() % 3); edits > 0; --edits) {
      std::vector<int32_t>& array = *arrays[random() % std::size(arrays)];
      const int32_t value =
          random() % 2 == 0 ? extremes[random() % std::size(extremes)] : static_cast<int32_t>(random());
      if (random() % 5 == 0) {
        array.resize(random() % 40, value);
      } else if (!array.empty()) {
        array[random() % array.size()] = value;
      }
    }
    if (random() % 4 == 0) plan.page_table_stride = extremes[random() % std::size(extremes)];
    if (run(*f.model, plan)) ++ran;
  }
  CHECK(ran > 0);  // some edits are harmless
  CHECK(run(*f.model, mixed_plan()));
}

TEST_CASE("scoring more rows than one block of logits gives each row its own result") {
  Fixture f;
  ModelOptions options = tiny_options(f.folder.path());
  options.max_rows = 80;
  auto model = Model::open(options);
  // 20 sequences of 2 tokens would exceed the pages; 24 rows of one sequence sampled twice each is 48
  // samples.
  StepPlan plan = plan_of(std::vector<int32_t>(24, 3));
  plan.sample_row.clear();
  plan.sample_int.clear();
  plan.sample_float.clear();
  plan.sample_seed.clear();
  for (int32_t row = 0; row < 24; ++row) {
    for (int32_t target : {row, 31 - row}) {
      plan.sample_row.push_back(row);
      add_sample(plan, 1, target, 0);
      plan.sample_seed.insert(plan.sample_seed.end(), {0, 0});
    }
  }
  plan.history_start.assign(49, 0);
  plan.bias_start.assign(49, 0);
  const auto all = run(**model, plan);
  REQUIRE(all);
  for (int32_t row = 0; row < 24; ++row) {
    StepPlan one = plan_of(std::vector<int32_t>(static_cast<size_t>(row) + 1, 3));
    one.sample_int[kMode] = 1, one.sample_int[kTarget] = 31 - row, one.sample_int[kTopLogprobs] = 0;
    CHECK(run(**model, one)->front().logprob == all->at(2 * row + 1).logprob);
  }
}

namespace {

// Position 4 of the sequence on `pages`, whose first holds positions 0 to 3.
StepPlan fifth_token(std::vector<int32_t> pages) {
  StepPlan plan = plan_of({1, 5, 9, 4, 6});
  plan.token = {6};
  plan.position = {4};
  plan.kv_slot = {pages[1] * kPageTokens};
  plan.q_start = {0, 1};
  plan.page_table = std::move(pages);
  plan.sample_row = {0};
  return plan;
}

}  // namespace

TEST_CASE("pages that a step copies continue as their originals, in the same step") {
  Fixture f;
  REQUIRE(run(*f.model, plan_of({1, 5, 9, 4})));
  const float original = run(*f.model, fifth_token({0, 1}))->front().logprob;
  StepPlan copying = fifth_token({3, 2});
  copying.copy_from = {0};
  copying.copy_to = {3};
  CHECK(run(*f.model, copying)->front().logprob == original);
}

TEST_CASE("a row takes the token that the step before drew, which the host need not have seen") {
  Fixture f;
  const auto first = run(*f.model, plan_of({1, 5, 9, 4}));
  REQUIRE(first);
  StepPlan next = fifth_token({0, 1});
  next.token = {first->front().token};
  const float seen = run(*f.model, next)->front().logprob;
  REQUIRE(run(*f.model, plan_of({1, 5, 9, 4})));
  next.token = {0};
  next.token_from = {0};
  const auto unseen = run(*f.model, next);
  REQUIRE(unseen);
  CHECK(unseen->front().logprob == seen);
  next.token_from = {1};
  CHECK_FALSE(run(*f.model, next));
  CHECK(run(*f.model, plan_of({1, 5, 9, 4}))->front().token == first->front().token);
}

TEST_CASE("a row draws from its mask alone, and the others as they would without it") {
  Fixture f;
  const auto plain = run(*f.model, mixed_plan());
  StepPlan plan = mixed_plan();
  add_masks(plan);
  const auto results = run(*f.model, plan);
  REQUIRE(results);
  CHECK(results->at(0).token == 17);
  CHECK(results->at(0).top_token[0] == plain->at(0).top_token[0]);
  CHECK(results->at(0).top_logprob[0] == plain->at(0).top_logprob[0]);
  CHECK(results->at(1).logprob == plain->at(1).logprob);
}

TEST_CASE("a row whose mask does not come, or is refused, is skipped, and the others are not") {
  Fixture f;
  Masks masks;
  StepPlan plan = mixed_plan();
  plan.sample_int[kSampleInts + kMode] = 0;
  plan.mask_slot = {0, 1};
  plan.mask_number = {2, 1};
  plan.masks = masks.slots();
  for (const int32_t number : {1, -2, 0}) {
    masks.numbers[0] = number;
    const auto results = run(*f.model, plan);
    REQUIRE(results);
    CHECK_FALSE(results->at(0).drawn);
    CHECK(results->at(1).drawn);
    CHECK((results->at(1).token == 4 || results->at(1).token == 21));
  }
  masks.numbers[0] = 2;
  CHECK(run(*f.model, plan)->at(0).token == 17);
}

TEST_CASE("a mask that is written while the step waits for it is taken") {
  Masks masks;
  StepPlan plan = mixed_plan();
  plan.mask_slot = {0, -1};
  plan.mask_number = {2, 0};
  plan.masks = masks.slots();
  MaskWait wait(std::chrono::hours(1));
  wait.begin();
  SampleRow rows[2];
  std::thread writer([&] {
    masks.bits[0] = 5;
    std::atomic_ref<int32_t>(masks.numbers[0]).store(2, std::memory_order_release);
  });
  wait.take(plan, 0, rows);
  writer.join();
  CHECK_FALSE(rows[0].skipped);
  CHECK(rows[0].allowed[0] == 5);
  CHECK(rows[1].allowed.empty());
}

TEST_CASE("a cancelled model ends its step with an error") {
  Fixture f;
  f.model->cancel();
  const auto results = run(*f.model, mixed_plan());
  REQUIRE_FALSE(results);
  CHECK(results.error().message.find("cancelled") != std::string::npos);
}

}  // namespace lorikeet::test
