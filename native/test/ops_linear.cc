#include "ops_linear_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

std::vector<const AdapterCase*> base_rows(int rows) {
  return std::vector<const AdapterCase*>(rows, nullptr);
}

}  // namespace

TEST_CASE("linear multiplies any shape, in every dtype, at any number of rows") {
  Random random(1);
  for (const DType dtype : kAllDTypes) {
    CAPTURE(name_of(dtype));
    for (const auto& [k, n] : std::vector<std::pair<int64_t, int64_t>>{
             {1, 1}, {3, 2}, {16, 64}, {31, 33}, {33, 31}, {64, 65}, {65, 96}, {100, 129}, {300, 37}}) {
      for (const int rows : {1, 2, 3, 5, 6, 7, 13})
        check_linear(random_linear(random, k, {n}, dtype, rows % 2), base_rows(rows), random);
    }
  }
}

TEST_CASE("linear crosses its own blocks of inputs and rows without a seam") {
  Random random(2);
  for (const DType dtype : kAllDTypes) {
    check_linear(random_linear(random, 2100, {70}, dtype, true), base_rows(3), random);
    check_linear(random_linear(random, 24, {40}, dtype, true), base_rows(211), random);
  }
}

TEST_CASE("linear stacks parts of any size, with biases, and adds to what is there when asked") {
  Random random(3);
  for (const DType dtype : kAllDTypes) {
    const auto base = random_linear(random, 48, {96, 17, 33}, dtype, true);
    check_linear(base, base_rows(9), random, LinearOutput::store);
    check_linear(base, base_rows(9), random, LinearOutput::add);
  }
}

// Wide enough that under every instruction set several tiles become one item.
TEST_CASE("linear takes few rows over many tiles, across parts and to the last one") {
  Random random(10);
  for (const Quantization quantization : {Quantization::none, Quantization::int8, Quantization::int4}) {
    auto base = random_linear(random, 40, {1990, 130, 70}, DType::bf16, true);
    base.quantization = quantization;
    const AdapterCase all{random_adapter_part(random, base, 0, {.rank = 8, .dora = true}),
                          random_adapter_part(random, base, 1, {.rank = 5, .weight = true, .bias = true}),
                          random_adapter_part(random, base, 2, {.rank = 3, .lora_bias = true})};
    const AdapterCase one{random_adapter_part(random, base, 0, {.rank = 2, .dtype = DType::int8})};
    check_linear(base, {&one}, random);
    check_linear(base, {nullptr, &all, &one}, random, LinearOutput::add);
    check_linear(base, {&all, nullptr, nullptr, &one}, random);
    check_linear(base, {&all, nullptr, nullptr, &one, &all}, random);
    auto pair = random_linear(random, 40, {1990, 1990}, DType::bf16, true);
    pair.quantization = quantization;
    const AdapterCase gate{random_adapter_part(random, pair, 0, {.rank = 4})};
    const AdapterCase up{random_adapter_part(random, pair, 1, {.rank = 4, .dora = true})};
    check_linear(pair, {&gate}, random, LinearOutput::glu);
    check_linear(pair, {nullptr, &gate, &up, nullptr}, random, LinearOutput::glu);
  }
}

TEST_CASE("few rows over many tiles have the same bits as in a batch") {
  Random random(11);
  const auto base = random_linear(random, 70, {1990}, DType::bf16, false);
  const AdapterCase from{random_adapter_part(random, base, 0, {.rank = 20})};
  const auto x = random_floats(random, 9 * base.k);
  for (const auto& backend : all_backends()) {
    const auto linear = create(*backend, base);
    const auto adapter = create(*backend, *linear, from);
    const auto run = [&](int32_t rows) {
      const LinearSegment segment{0, rows, adapter.get()};
      auto y = run_linear(*backend, *linear, std::span(x).first(static_cast<size_t>(rows * base.k)),
                          {.segments = {&segment, 1}});
      y.resize(1990);
      return y;
    };
    const auto alone = run(1);
    INFO(device_of(*backend));
    for (const int32_t rows : {2, 4, 5, 9}) CHECK(run(rows) == alone);
  }
}

TEST_CASE("linear adds low-rank deltas of any rank in every dtype") {
  Random random(4);
  for (const DType dtype : kAdapterDTypes) {
    for (const int rank : {1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 32, 64, 128}) {
      CAPTURE(rank);
      CAPTURE(name_of(dtype));
      const auto base = random_linear(random, 70, {75}, DType::bf16, false);
      const AdapterCase adapter{random_adapter_part(random, base, 0, {.rank = rank, .dtype = dtype})};
      check_linear(base, {nullptr, &adapter, &adapter, &adapter, nullptr}, random);
    }
  }
}

TEST_CASE("linear serves no adapter, one, all different and skewed popularity in one batch") {
  Random random(5);
  const auto base = random_linear(random, 65, {64, 40}, DType::f16, true);
  std::vector<AdapterCase> adapters;
  for (const int rank : {1, 8, 16, 3, 64, 20, 7, 12, 32, 2, 5, 16}) {
    adapters.push_back(
        {random_adapter_part(random, base, 0, {.rank = rank}),
         random_adapter_part(random, base, 1,
                             {.rank = rank + 1, .dtype = rank % 2 == 0 ? DType::f32 : DType::int8})});
  }
  std::vector<const AdapterCase*> same(40, &adapters[2]), distinct, zipf;
  for (const AdapterCase& adapter : adapters) distinct.push_back(&adapter);
  for (size_t i = 0; i < adapters.size(); ++i) {
    const auto count = static_cast<size_t>(std::max(1.0, 30.0 / std::pow(static_cast<double>(i + 1), 1.5)));
    zipf.insert(zipf.end(), count, &adapters[i]);
    if (i % 3 == 1) zipf.insert(zipf.end(), 4, nullptr);
  }
  check_linear(base, same, random);
  check_linear(base, distinct, random);
  check_linear(base, zipf, random, LinearOutput::add);
}

TEST_CASE("linear honours DoRA, lora_bias, replaced weight and replaced bias, alone and together") {
  Random random(6);
  for (const DType dtype : kAdapterDTypes) {
    for (int bits = 0; bits < 16; ++bits) {
      for (const int rank : {0, 6}) {
        AdapterShape shape{.rank = rank, .dtype = dtype};
        shape.dora = (bits & 1) != 0;
        shape.lora_bias = (bits & 2) != 0 && rank > 0;
        shape.weight = (bits & 4) != 0;
        shape.bias = (bits & 8) != 0;
        CAPTURE(bits);
        CAPTURE(rank);
        const auto base =
            random_linear(random, 44, {70}, dtype == DType::int8 ? DType::f32 : dtype, bits % 3 != 0);
        const AdapterCase adapter{random_adapter_part(random, base, 0, shape)};
        check_linear(base, {&adapter, &adapter, nullptr, &adapter}, random);
      }
    }
  }
}

TEST_CASE("linear replaces single outputs, whatever else the adapter does, and only in its own rows") {
  Random random(10);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const bool weight : {false, true}) {
      const auto base = random_linear(random, 67, {70}, dtype, false);
      AdapterCase adapter{
          random_adapter_part(random, base, 0, {.rank = 3, .dtype = dtype, .weight = weight})};
      adapter[0].replaced_rows = {69, 0, 33};
      adapter[0].replaced_row_values = random_tensor(random, 3, 67, dtype);
      const AdapterCase other{random_adapter_part(random, base, 0, {.rank = 2})};
      check_linear(base, {&adapter, &adapter, nullptr, &other, &adapter}, random);
    }
  }
}

TEST_CASE("linear leaves the parts alone that an adapter does not touch") {
  Random random(7);
  const auto base = random_linear(random, 40, {64, 32, 31}, DType::bf16, true);
  const AdapterCase middle{random_adapter_part(random, base, 1, {.rank = 8, .dora = true})};
  const AdapterCase outer{random_adapter_part(random, base, 2, {.rank = 4, .lora_bias = true}),
                          random_adapter_part(random, base, 0, {.rank = 16, .weight = true})};
  const AdapterCase nothing;
  check_linear(base, {&middle, &middle, &outer, nullptr, &nothing, &outer, &middle}, random);
}

TEST_CASE("linear refuses adapters that do not fit, with a message") {
  Random random(8);
  const auto base = random_linear(random, 20, {16}, DType::f32, false);
  for (const auto& backend : all_backends()) {
    if (is_reference(*backend)) continue;  // it trusts its caller
    const auto linear = create(*backend, base);
    AdapterCase wrong_rank{random_adapter_part(random, base, 0, {.rank = 4})};
    wrong_rank[0].rank = 5;
    AdapterCase wrong_part{random_adapter_part(random, base, 0, {.rank = 4})};
    wrong_part[0].part = 1;
    AdapterCase twice{random_adapter_part(random, base, 0, {.rank = 4}),
                      random_adapter_part(random, base, 0, {.rank = 4})};
    for (const AdapterCase& adapter : {wrong_rank, wrong_part, twice}) {
      const auto result = backend->adapter_linear_create(*linear, describe(adapter));
      REQUIRE_FALSE(result);
      CHECK_FALSE(result.error().message.empty());
    }
  }
}

TEST_CASE("an adapter's memory grows with its own rank") {
  Random random(9);
  const auto base = random_linear(random, 256, {256}, DType::bf16, false);
  for (const auto& backend : all_backends()) {
    if (is_reference(*backend)) continue;  // it keeps float32
    const auto linear = create(*backend, base);
    for (const int rank : {1, 8, 64}) {
      const AdapterCase adapter{random_adapter_part(random, base, 0, {.rank = rank})};
      CHECK(create(*backend, *linear, adapter)->bytes() == static_cast<size_t>(rank) * (256 + 256) * 2);
      const AdapterCase int8{random_adapter_part(random, base, 0, {.rank = rank, .dtype = DType::int8})};
      // Where the components' scales are on the device, too, they count.
      const size_t scales = backend->caps().device.starts_with("cuda") ? sizeof(float) : 0;
      CHECK(create(*backend, *linear, int8)->bytes() == static_cast<size_t>(rank) * (256 + 256 + scales));
    }
  }
}

TEST_CASE("linear multiplies the low-rank deltas of each segment by its own scale") {
  Random random(11);
  const std::vector<float> scales{1.0f, 1.0f, 0.5f, -2.0f, 0.0f, 0.5f, 3.0f};
  for (const Quantization quantization : {Quantization::none, Quantization::int8}) {
    auto base = random_linear(random, 70, {96, 33}, DType::bf16, true);
    base.quantization = quantization;
    const AdapterCase one{random_adapter_part(random, base, 0, {.rank = 21, .lora_bias = true}),
                          random_adapter_part(random, base, 1, {.rank = 3})};
    const AdapterCase other{random_adapter_part(random, base, 1, {.rank = 4, .dtype = DType::int8})};
    const std::vector<const AdapterCase*> rows{&one, &one, &one, &one, &one, nullptr, &other};
    check_linear(base, rows, random, LinearOutput::store, scales);
    check_linear(base, rows, random, LinearOutput::add, scales);
  }
  const auto pair = random_linear(random, 40, {130, 130}, DType::bf16, false);
  const AdapterCase gated{random_adapter_part(random, pair, 0, {.rank = 4}),
                          random_adapter_part(random, pair, 1, {.rank = 4, .lora_bias = true})};
  check_linear(pair, {&gated, &gated, nullptr, &gated}, random, LinearOutput::glu,
               {0.25f, -1.0f, 1.0f, 1.0f});
}
