// The product's promise: a row's bits do not depend on its neighbours, its place, the chunking or the
// threads.
#include <cstring>

#include "ops_kv_case.h"
#include "ops_linear_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

bool same_bits(const float* a, const float* b, int64_t count) {
  return std::memcmp(a, b, static_cast<size_t>(count) * sizeof(float)) == 0;
}

std::vector<Backend*> backends_of(const std::string& isa) {
  std::vector<Backend*> result;
  for (const auto& backend : all_backends()) {
    if (backend->caps().isa == isa) result.push_back(backend.get());
  }
  return result;
}

std::vector<std::string> all_isas() {
  std::vector<std::string> result;
  for (const auto& backend : all_backends()) {
    if (result.empty() || result.back() != backend->caps().isa) result.push_back(backend->caps().isa);
  }
  return result;
}

std::vector<std::pair<Backend*, DType>> backends_and_dtypes(const std::vector<DType>& types) {
  std::vector<std::pair<Backend*, DType>> result;
  for (const auto& backend : all_backends()) {
    for (const DType type : types) result.emplace_back(backend.get(), type);
  }
  return result;
}

std::vector<std::pair<std::string, DType>> isas_and_types(const std::vector<DType>& types) {
  std::vector<std::pair<std::string, DType>> result;
  for (const std::string& isa : all_isas()) {
    for (const DType type : types) result.emplace_back(isa, type);
  }
  return result;
}

}  // namespace

TEST_CASE("a linear row has the same bits alone and at any place of any batch, whatever runs beside it") {
  Random random(61);
  for (const DType dtype : kAllDTypes) {
    const auto base = random_linear(random, 1100, {130, 40}, dtype, true);
    const int64_t n = base.outputs();
    std::vector<AdapterCase> cases;
    for (const int rank : {8, 5, 64}) {
      cases.push_back({random_adapter_part(random, base, 0, {.rank = rank, .dora = rank == 5}),
                       random_adapter_part(random, base, 1, {.rank = rank + 3, .lora_bias = true})});
    }
    cases.push_back({random_adapter_part(random, base, 0, {.rank = 4, .weight = true, .bias = true})});
    cases.push_back({random_adapter_part(random, base, 0, {.rank = 21, .dtype = DType::int8, .dora = true})});
    const auto x = random_floats(random, 120 * base.k);
    for (const std::string& isa : all_isas()) {
      std::vector<std::vector<float>>
          alone;  // by adapter, then the base; row 0's result from the first backend
      for (Backend* backend : backends_of(isa)) {
        const auto linear = create(*backend, base);
        std::vector<std::unique_ptr<AdapterLinear>> adapters;
        for (const AdapterCase& from : cases) adapters.push_back(create(*backend, *linear, from));
        for (size_t who = 0; who <= adapters.size(); ++who) {
          const AdapterLinear* const adapter = who < adapters.size() ? adapters[who].get() : nullptr;
          std::vector<LinearSegment> own;
          if (adapter != nullptr) own.push_back({0, 1, adapter});
          const auto y = run_linear(*backend, *linear, std::span(x).first(static_cast<size_t>(base.k)),
                                    {.segments = own});
          if (alone.size() <= who) alone.push_back(y);
          INFO(device_of(*backend), " adapter ", who, " ", name_of(dtype));
          CHECK(same_bits(y.data(), alone[who].data(), n));
          for (const int rows : {2, 5, 6, 7, 16, 97, 120}) {
            const int place = random.integer(0, rows - 1);
            auto batch = std::vector<float>(x.begin(), x.begin() + rows * base.k);
            std::copy_n(x.begin(), base.k, batch.begin() + place * base.k);
            std::vector<LinearSegment> segments;
            for (int32_t row = 0; row < rows;) {
              const auto other = static_cast<size_t>(random.integer(0, static_cast<int>(adapters.size())));
              const int32_t run =
                  row == place ? 1 : std::min(random.integer(1, 9), (row < place ? place : rows) - row);
              const AdapterLinear* const here = row == place              ? adapter
                                                : other < adapters.size() ? adapters[other].get()
                                                                          : nullptr;
              if (here != nullptr) segments.push_back({row, run, here});
              row += run;
            }
            // Naming the adapters ahead changes nothing.
            const auto all =
                run_linear(*backend, *linear, batch, {.segments = segments, .announced = rows % 2 == 0});
            CAPTURE(rows);
            CAPTURE(place);
            CHECK(same_bits(all.data() + place * n, alone[who].data(), n));
          }
        }
      }
    }
  }
}

TEST_CASE("a long segment of one adapter has the same bits as its rows one by one") {
  Random random(62);
  const auto base = random_linear(random, 96, {64}, DType::bf16, false);
  for (const auto& [backend, dtype] : backends_and_dtypes({DType::bf16, DType::int8})) {
    const AdapterCase from{random_adapter_part(random, base, 0, {.rank = 20, .dtype = dtype})};
    const auto x = random_floats(random, 100 * base.k);
    const auto linear = create(*backend, base);
    const auto adapter = create(*backend, *linear, from);
    const LinearSegment whole_batch{0, 100, adapter.get()}, single{0, 1, adapter.get()};
    const auto together = run_linear(*backend, *linear, x, {.segments = {&whole_batch, 1}});
    bool same = true;
    for (int row = 0; row < 100; ++row) {
      const auto one = run_linear(*backend, *linear, {x.data() + row * base.k, static_cast<size_t>(base.k)},
                                  {.segments = {&single, 1}});
      same = same && same_bits(one.data(), together.data() + row * 64, 64);
    }
    INFO(device_of(*backend));
    CHECK(same);
  }
}

TEST_CASE("attention has the same bits however a sequence is chunked, batched and spread over threads") {
  Random random(63);
  for (const auto& [window, type] : {std::pair{0, DType::bf16}, std::pair{270, DType::bf16},
                                     std::pair{0, DType::int8}, std::pair{270, DType::int8}}) {
    for (const HeadShape heads : {HeadShape{4, 2, 40}, {8, 1, 16}}) {
      const KvCase kv = random_kv(random, heads, 16, type, {800, 530, 33});
      const AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim, 0.2f, window};
      const int64_t width = heads.q_heads * heads.head_dim;
      const std::vector<std::vector<std::vector<Chunk>>> plans{
          {{{0, 0, 800}}, {{1, 0, 530}}, {{2, 0, 33}}},
          {{{0, 0, 799}, {1, 0, 529}, {2, 0, 32}}, {{2, 32, 33}, {1, 529, 530}, {0, 799, 800}}},
          {{{1, 0, 7}, {0, 0, 500}},
           {{0, 500, 513}, {2, 0, 33}, {1, 7, 300}},
           {{1, 300, 530}, {0, 513, 799}},
           {{0, 799, 800}}}};
      for (const std::string& isa : all_isas()) {
        std::vector<std::vector<float>> first(3);
        for (Backend* backend : backends_of(isa)) {
          for (size_t plan = 0; plan < plans.size(); ++plan) {
            const auto cache = create_kv(*backend, kv, 1);
            std::vector<std::vector<float>> result(3);
            for (const auto& chunks : plans[plan]) {
              const auto out = attend(*backend, {*cache, 0}, step_of(kv, chunks), desc);
              const float* from = out.data();
              for (const Chunk& chunk : chunks) {
                auto& to = result[static_cast<size_t>(chunk.sequence)];
                to.insert(to.end(), from, from + (chunk.end - chunk.begin) * width);
                from += (chunk.end - chunk.begin) * width;
              }
            }
            for (size_t sequence = 0; sequence < 3; ++sequence) {
              if (first[sequence].empty()) first[sequence] = result[sequence];
              INFO(device_of(*backend), " plan ", plan, " sequence ", sequence, " window ", window, " ",
                   name_of(type));
              REQUIRE(result[sequence].size() == first[sequence].size());
              CHECK(same_bits(result[sequence].data(), first[sequence].data(),
                              static_cast<int64_t>(first[sequence].size())));
            }
          }
        }
      }
    }
  }
}

TEST_CASE(
    "attention of one row over a long context has the same bits on any number of threads and beside others") {
  Random random(65);
  const HeadShape heads{4, 2, 16};
  const AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim, 0.25f};
  const int64_t width = heads.q_heads * heads.head_dim;
  for (const auto& [isa, type] : isas_and_types({DType::f16, DType::int8})) {
    const KvCase kv = random_kv(random, heads, 16, type, {2600, 700, 40});
    std::vector<float> first;
    for (Backend* backend : backends_of(isa)) {
      const auto cache = create_kv(*backend, kv, 1);
      fill(*backend, {*cache, 0}, step_of(kv, {{0, 0, 2599}, {1, 0, 699}, {2, 0, 39}}), desc);
      for (const std::vector<Chunk>& chunks : std::vector<std::vector<Chunk>>{
               {{0, 2599, 2600}}, {{0, 2599, 2600}, {1, 699, 700}, {2, 30, 40}}, {{0, 2560, 2600}}}) {
        const auto out = attend(*backend, {*cache, 0}, step_of(kv, chunks), desc);
        const float* const row = out.data() + (chunks[0].end - chunks[0].begin - 1) * width;
        if (first.empty()) first.assign(row, row + width);
        INFO(device_of(*backend), " chunks ", chunks.size());
        CHECK(same_bits(row, first.data(), width));
      }
    }
  }
}

TEST_CASE("attention has the same bits where the memory reserved for splits does not hold those of a step") {
  Random random(66);
  const HeadShape heads{4, 2, 16};
  const KvCase kv = random_kv(random, heads, 16, DType::bf16, {2600, 1500});
  const AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim, 0.25f};
  StepLimits tight = kLimits;
  tight.kv_slots = 256;  // as if the sequences shared most of their pages
  std::vector<float> first;
  for (const StepLimits& limits : {kLimits, tight}) {
    const auto backend = opened(BackendKind::cpu, {.threads = 3, .isa = ""}, limits);
    const auto cache = create_kv(*backend, kv, 1);
    fill(*backend, {*cache, 0}, step_of(kv, {{0, 0, 2599}}), desc);
    fill(*backend, {*cache, 0}, step_of(kv, {{1, 0, 1499}}), desc);
    const auto out = attend(*backend, {*cache, 0}, step_of(kv, {{0, 2599, 2600}, {1, 1499, 1500}}), desc);
    if (first.empty()) first = out;
    CHECK((out == first));
  }
}

TEST_CASE("norm and glu rows have the same bits alone and in a batch") {
  Random random(64);
  const int64_t n = 333, rows = 70;
  const auto x = random_floats(random, rows * n, -4, 4);
  const Numbers gain = random_tensor(random, 1, n, DType::bf16);
  const auto map = random_linear(random, n, {n, n}, DType::bf16, false);
  for (const std::string& isa : all_isas()) {
    std::vector<float> first_norm, first_glu;
    for (Backend* backend : backends_of(isa)) {
      const auto base = backend->norm_create(rms_of(gain));
      REQUIRE(base);
      const auto gate_up = create(*backend, map);
      const auto norm = run_norm(*backend, **base, 1e-5f, x, n).y;
      const auto glu = run_linear(*backend, *gate_up, x, {.output = LinearOutput::glu});
      if (first_norm.empty()) {
        first_norm = norm;
        first_glu = glu;
      }
      INFO(device_of(*backend));
      CHECK(same_bits(norm.data(), first_norm.data(), rows * n));
      CHECK(same_bits(glu.data(), first_glu.data(), rows * n));
      bool same = true;
      for (int64_t row = 0; row < rows; ++row) {
        const std::span<const float> own(x.data() + row * n, static_cast<size_t>(n));
        const auto normed = run_norm(*backend, **base, 1e-5f, own, n).y;
        same = same && same_bits(normed.data(), norm.data() + row * n, n);
        const auto gated = run_linear(*backend, *gate_up, own, {.output = LinearOutput::glu});
        same = same && same_bits(gated.data(), glu.data() + row * n, n);
      }
      CHECK(same);
    }
  }
}
