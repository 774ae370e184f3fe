#include "ops_linear_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

struct EmbeddingCase {
  int rank = 0;
  float scale = 1.0f;
  std::optional<Numbers> a = {}, b = {}, magnitude = {}, weight = {}, token_values = {};
  std::vector<int32_t> token_rows = {};
};

EmbeddingCase random_adapter(Random& random, int64_t vocab, int64_t hidden, int rank, DType dtype) {
  EmbeddingCase result{.rank = rank, .scale = 0.75f};
  if (rank > 0) {
    result.a = random_tensor(random, rank, vocab, dtype);
    result.b = random_tensor(random, hidden, rank, dtype);
  }
  return result;
}

std::unique_ptr<AdapterEmbedding> create(Backend& backend, const Embedding& base, const EmbeddingCase& from) {
  AdapterEmbeddingDesc desc;
  desc.rank = from.rank;
  desc.scale = from.scale;
  if (from.rank > 0) {
    desc.a = from.a->host();
    desc.b = from.b->host();
  }
  if (from.magnitude) desc.magnitude = from.magnitude->host();
  if (from.weight) desc.weight = from.weight->host();
  desc.token_rows = from.token_rows;
  if (from.token_values) desc.token_row_values = from.token_values->host();
  auto adapter = backend.adapter_embedding_create(base, desc);
  REQUIRE(adapter);
  return std::move(*adapter);
}

double adapted(const Numbers& table, const EmbeddingCase& adapter, int64_t token, int64_t h, double& size) {
  const double base = (adapter.weight ? *adapter.weight : table).at(token, h);
  double value = base;
  size = std::abs(base);
  for (int r = 0; r < adapter.rank; ++r) {
    const double term = static_cast<double>(adapter.scale) * adapter.b->at(h, r) * adapter.a->at(r, token);
    value += term;
    size += std::abs(term);
  }
  return value;
}

void expect_row(const Numbers& table, const EmbeddingCase* adapter, int32_t token,
                std::vector<double>& values, std::vector<double>& bounds) {
  for (int64_t h = 0; h < table.cols; ++h) {
    double value = table.at(token, h);
    double bound = 0;
    if (adapter != nullptr) {
      double size = 0;
      value = adapted(table, *adapter, token, h, size);
      bound = (adapter->rank + 3) * kEpsilon * size;
      if (adapter->magnitude) {
        double squares = 0, ignored = 0;
        for (int64_t t = 0; t < table.rows; ++t)
          squares += std::pow(adapted(table, *adapter, t, h, ignored), 2);
        const double ratio = adapter->magnitude->at(0, h) / std::sqrt(squares);
        value *= ratio;
        bound = bound * std::abs(ratio) + (adapter->rank + 6) * kEpsilon * size * std::abs(ratio);
      }
      for (size_t i = 0; i < adapter->token_rows.size(); ++i) {
        if (adapter->token_rows[i] != token) continue;
        value = adapter->token_values->at(static_cast<int64_t>(i), h);
        bound = 0;
      }
    }
    values.push_back(value);
    bounds.push_back(bound);
  }
}

// Rows 0-2 without adapter, then two rows per adapter, then one without.
void check_embed(const Numbers& original, bool tied, const std::vector<EmbeddingCase>& adapters,
                 Random& random, Quantization quantization = Quantization::none) {
  const Numbers table = dequantized(original, quantization);
  std::vector<int32_t> token;
  std::vector<double> values, bounds;
  const auto add_row = [&](const EmbeddingCase* adapter, int32_t id) {
    token.push_back(id);
    expect_row(table, adapter, id, values, bounds);
  };
  const auto any = [&] { return static_cast<int32_t>(random.integer(0, static_cast<int>(table.rows) - 1)); };
  add_row(nullptr, 0);
  add_row(nullptr, static_cast<int32_t>(table.rows) - 1);
  add_row(nullptr, any());
  for (const EmbeddingCase& adapter : adapters) {
    add_row(&adapter, adapter.token_rows.empty() ? any() : adapter.token_rows.back());
    add_row(&adapter, any());
  }
  add_row(nullptr, any());
  for (const auto& backend : all_backends()) {
    LinearDesc head_desc;
    head_desc.quantization = quantization;
    head_desc.parts.push_back({table.host(), std::nullopt});
    auto head = backend->linear_create(head_desc);
    REQUIRE(head);
    auto base = backend->embedding_create(
        {.table = table.host(), .tied_head = tied ? head->get() : nullptr, .quantization = quantization});
    REQUIRE(base);
    if (tied) CHECK((*base)->bytes() == 0);
    std::vector<std::unique_ptr<AdapterEmbedding>> loaded;
    std::vector<EmbeddingSegment> segments;
    for (const EmbeddingCase& adapter : adapters) {
      loaded.push_back(create(*backend, **base, adapter));
      segments.push_back({static_cast<int32_t>(1 + 2 * loaded.size()), 2, loaded.back().get()});
    }
    StepInput step;
    step.token = token;
    const auto y = on_device(*backend, std::vector<float>(values.size(), NAN), table.cols);
    submit(*backend, step, [&] { backend->embed(whole(*y), **base, segments); });
    INFO(device_of(*backend), " tied=", tied, " hidden=", table.cols, " ", name_of(table.dtype));
    CHECK(worst_ratio(from_device(*backend, *y), values, bounds) <= 1.0);
  }
}

}  // namespace

TEST_CASE("embed reads rows exactly, from a table and from a tied head") {
  Random random(31);
  for (const DType dtype : kAllDTypes) {
    for (const auto& [vocab, hidden] :
         std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {70, 33}, {129, 64}, {95, 16}}) {
      const Numbers table = random_tensor(random, vocab, hidden, dtype);
      for (const bool tied : {false, true}) {
        check_embed(table, tied, {}, random);
        check_embed(table, tied, {}, random, Quantization::int8);
      }
    }
  }
}

TEST_CASE("embed honours LoRA, DoRA, replaced tables and replaced token rows") {
  Random random(32);
  for (const DType dtype : kAllDTypes) {
    const Numbers table = random_tensor(random, 90, 45, dtype);
    std::vector<EmbeddingCase> adapters;
    for (const int rank : {1, 5, 16}) adapters.push_back(random_adapter(random, 90, 45, rank, dtype));
    adapters.push_back(random_adapter(random, 90, 45, 4, dtype));
    adapters.back().magnitude = random_tensor(random, 1, 45, dtype, 0.5, 2);
    adapters.push_back(random_adapter(random, 90, 45, 0, dtype));
    adapters.back().weight = random_tensor(random, 90, 45, dtype);
    adapters.push_back(random_adapter(random, 90, 45, 0, dtype));
    adapters.back().token_rows = {88, 3, 41};
    adapters.back().token_values = random_tensor(random, 3, 45, dtype);
    adapters.push_back(random_adapter(random, 90, 45, 8, dtype));
    adapters.back().weight = random_tensor(random, 90, 45, dtype);
    adapters.back().magnitude = random_tensor(random, 1, 45, dtype, 0.5, 2);
    adapters.back().token_rows = {7};
    adapters.back().token_values = random_tensor(random, 1, 45, dtype);
    for (const bool tied : {false, true}) {
      check_embed(table, tied, adapters, random);
      check_embed(table, tied, adapters, random, Quantization::int8);
    }
  }
}

TEST_CASE("embed multiplies the low-rank deltas of each segment by its own scale") {
  Random random(37);
  const Numbers table = random_tensor(random, 40, 24, DType::bf16);
  const EmbeddingCase adapter = random_adapter(random, table.rows, table.cols, 5, DType::f32);
  const std::vector<float> scales{1.0f, 0.0f, -1.5f};
  const std::vector<int32_t> token{3, 3, 3, 39};
  std::vector<double> values, bounds;
  for (size_t row = 0; row < token.size(); ++row) {
    EmbeddingCase own = adapter;
    if (row < scales.size()) own.scale *= scales[row];
    expect_row(table, row < scales.size() ? &own : nullptr, token[row], values, bounds);
  }
  for (const auto& backend : all_backends()) {
    auto base = backend->embedding_create({.table = table.host()});
    REQUIRE(base);
    const auto loaded = create(*backend, **base, adapter);
    std::vector<EmbeddingSegment> segments;
    for (int32_t row = 0; row < 3; ++row)
      segments.push_back({row, 1, loaded.get(), scales[static_cast<size_t>(row)]});
    StepInput step;
    step.token = token;
    const auto y = on_device(*backend, std::vector<float>(values.size(), NAN), table.cols);
    submit(*backend, step, [&] { backend->embed(whole(*y), **base, segments); });
    INFO(device_of(*backend));
    CHECK(worst_ratio(from_device(*backend, *y), values, bounds) <= 1.0);
  }
}
