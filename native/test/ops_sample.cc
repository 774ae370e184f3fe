// Every backend must hand its rows to the sampler unchanged; what the sampler does is tested beside it.
#include "backend/shared/sampling.h"
#include "ops_fixture.h"

using namespace lorikeet;
using namespace lorikeet::test;

TEST_CASE("sample gives each row what the sampler gives it alone, at any batch and vocabulary") {
  Random random(71);
  for (const int64_t vocab : {1, 5, 1000}) {
    const int64_t count = 9;
    const auto logits = random_floats(random, count * vocab, -5, 5);
    const std::vector<int32_t> sampled(static_cast<size_t>(count), 0);
    std::vector<SampleRow> rows(static_cast<size_t>(count));
    for (size_t i = 0; i < rows.size(); ++i) {
      rows[i].temperature = i % 3 == 0 ? 0.0f : 0.8f;
      rows[i].top_p = i % 2 == 0 ? 1.0f : 0.7f;
      rows[i].seed = 100 + i;
      rows[i].counter = i;
      rows[i].top_logprobs = static_cast<int32_t>(i % 4) - 1;
    }
    for (const auto& backend : all_backends()) {
      std::vector<SampleResult> results(rows.size());
      const auto device_logits = on_device(*backend, logits, vocab);
      StepInput step;
      step.sample_row = sampled;
      step.samples = rows;
      submit(
          *backend, step,
          [&] {  // in two pieces
            backend->sample(whole(*device_logits).part(0, 4), 0);
            backend->sample(whole(*device_logits).part(4, 5), 4);
          },
          results);
      for (size_t i = 0; i < rows.size(); ++i) {
        SampleScratch scratch(vocab);
        SampleResult alone;
        sample_row(alone, logits.data() + static_cast<int64_t>(i) * vocab, vocab, rows[i], scratch);
        INFO(device_of(*backend), " row ", i, " vocab ", vocab);
        CHECK(results[i].token == alone.token);
        CHECK(results[i].finite == alone.finite);
        CHECK(results[i].logprob == alone.logprob);
        REQUIRE(results[i].top_count == alone.top_count);
        for (int32_t j = 0; j < alone.top_count; ++j) CHECK(results[i].top_token[j] == alone.top_token[j]);
      }
    }
  }
}
