#include <cstring>

#include "ops_linear_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

// A map that gives its weights for x = 1: [gate | up] of one row, as they are.
LinearCase constant_map(const std::vector<double>& gate, const std::vector<double>& up) {
  LinearCase map{1, {}, Quantization::none};
  for (const auto& values : {gate, up}) {
    Numbers tensor{static_cast<int64_t>(values.size()), 1, DType::f32, {}, {}};
    tensor.bytes.resize(values.size() * sizeof(float) + 1);
    for (size_t i = 0; i < values.size(); ++i) {
      const auto value = static_cast<float>(values[i]);
      store_f32(tensor.bytes.data() + 1, DType::f32, static_cast<int64_t>(i), value);
      tensor.values.push_back(static_cast<double>(value));
    }
    map.parts.push_back({std::move(tensor), std::nullopt});
  }
  return map;
}

}  // namespace

TEST_CASE("glu is silu(gate) * up over the whole range of gates") {
  Random random(21);
  // Where the exponential overflows, vanishes, or is about 1.
  std::vector<double> gate{0.0, -0.0, 1e-30, 88.0, -88.0, 120.0, -120.0, 1e37, -1e37};
  while (gate.size() < 150) gate.push_back(random.uniform(-12, 12));
  std::vector<double> up;
  while (up.size() < gate.size()) up.push_back(random.uniform(-12, 12));
  const LinearCase map = constant_map(gate, up);
  const float one = 1.0f;
  Expected linear = expect_row(map, nullptr, &one);
  linear.bounds.assign(linear.bounds.size(), 0.0);  // a product with 1 is exact
  const Expected expected = glu_of(linear);
  for (const auto& backend : all_backends()) {
    const auto built = create(*backend, map);
    const auto y = run_linear(*backend, *built, {&one, 1}, {.output = LinearOutput::glu});
    INFO(device_of(*backend));
    CHECK(worst_ratio(y, expected.values, expected.bounds) <= 1.0);
  }
}

TEST_CASE("glu takes base, adapters and biases together, in every format, width and number of rows") {
  Random random(23);
  for (const Quantization quantization :
       {Quantization::none, Quantization::int8, Quantization::int4, Quantization::nf4}) {
    for (const int64_t width : {5, 64, 150}) {
      for (const size_t rows : {1, 7, 20, 100}) {
        LinearCase map = random_linear(random, 130, {width, width}, DType::bf16, width == 64);
        map.quantization = quantization;
        const AdapterCase both{random_adapter_part(random, map, 0, {.rank = 8, .lora_bias = true}),
                               random_adapter_part(random, map, 1, {.rank = 5, .dora = true})};
        const AdapterCase replaced{random_adapter_part(random, map, 0, {.rank = 0, .weight = true})};
        const AdapterCase up_only{random_adapter_part(random, map, 1, {.rank = 16})};
        std::vector<const AdapterCase*> who(rows, nullptr);
        for (size_t row = 0; row < rows; ++row)
          who[row] = row % 4 == 0 ? &both : row % 4 == 1 ? &up_only : row % 4 == 2 ? &replaced : nullptr;
        check_linear(map, who, random, LinearOutput::glu);
      }
    }
  }
}

TEST_CASE("glu does not hide a NaN") {
  const LinearCase map = constant_map(std::vector<double>(20, 1.0), std::vector<double>(20, 1.0));
  for (const auto& backend : all_backends()) {
    const auto built = create(*backend, map);
    const float x[2] = {NAN, 1.0f};
    const auto y = run_linear(*backend, *built, x, {.output = LinearOutput::glu});
    CHECK(std::isnan(y[3]));
    CHECK_FALSE(std::isnan(y[23]));
  }
}

TEST_CASE("gather_sampled copies the sampled rows bit by bit, in order, repeats included") {
  Random random(22);
  for (const int64_t cols : {1, 17, 64}) {
    const auto from = random_floats(random, 9 * cols);
    const std::vector<int32_t> index{0, 3, 3, 7, 8};
    const std::vector<SampleRow> samples(index.size());
    StepInput step;
    step.sample_row = index;
    step.samples = samples;
    for (const auto& backend : all_backends()) {
      const auto source = on_device(*backend, from, cols);
      const auto target =
          on_device(*backend, std::vector<float>(index.size() * static_cast<size_t>(cols), NAN), cols);
      submit(*backend, step, [&] { backend->gather_sampled(whole(*target), whole(*source)); });
      const auto to = from_device(*backend, *target);
      for (size_t i = 0; i < index.size(); ++i) {
        CHECK(std::memcmp(&to[i * static_cast<size_t>(cols)], &from[static_cast<size_t>(index[i] * cols)],
                          static_cast<size_t>(cols) * sizeof(float)) == 0);
      }
    }
  }
}
