// Quantized linear maps: what quantization does to numbers, the product against float64 of the quantized
// values, and the same bits under every instruction set, alone and in any batch.
#include <algorithm>
#include <cstring>

#include "ops_linear_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

constexpr Quantization kQuantizations[] = {Quantization::int8, Quantization::int4, Quantization::nf4};
constexpr Quantization kUniform[] = {Quantization::int8, Quantization::int4};  // steps of one size

LinearCase random_quantized(Random& random, int64_t k, std::vector<int64_t> outputs,
                            Quantization quantization, DType dtype = DType::bf16, bool bias = false) {
  LinearCase result = random_linear(random, k, std::move(outputs), dtype, bias);
  result.quantization = quantization;
  return result;
}

bool same_bits(const float* a, const float* b, int64_t count) {
  return std::memcmp(a, b, static_cast<size_t>(count) * sizeof(float)) == 0;
}

std::vector<const AdapterCase*> base_rows(int rows) {
  return std::vector<const AdapterCase*>(rows, nullptr);
}

}  // namespace

TEST_CASE("a weight moves by half a step at most, a step being the group's largest weight over 127 or 6.5") {
  Random random(81);
  for (const Quantization quantization : kUniform) {
    const int group = group_size(quantization);
    for (int turn = 0; turn < 200; ++turn) {
      const auto w = random_floats(random, group, -0.3, turn % 2 == 0 ? 0.3 : 0.01);
      double largest = 0;
      for (const float value : w) largest = std::max(largest, std::abs(static_cast<double>(value)));
      int8_t q[kMaxGroup];
      const double scale = quantize_weights(q, w.data(), quantization);
      const bool int8 = quantization == Quantization::int8;
      // bfloat16 rounds the scale by 2^-9; int4 may clip what lies beyond 7 steps on the shorter side.
      CHECK(std::abs(scale) <= largest / (int8 ? 127 : 6.5) * (1 + 0x1p-8));
      double worst = 0;
      for (int i = 0; i < group; ++i)
        worst = std::max(worst, std::abs(scale * q[i] - static_cast<double>(w[i])));
      CHECK(worst <= largest * (int8 ? 0.51 / 127 : 1.6 / 8));
    }
  }
}

TEST_CASE("groups of zeros, of numbers near zero and of one sign quantize") {
  for (const Quantization quantization : kUniform) {
    for (const float value : {0.0f, 1e-38f, -1e-42f, 3.0f, -2.5e30f}) {
      const std::vector<float> w(static_cast<size_t>(group_size(quantization)), value);
      int8_t q[kMaxGroup];
      const float scale = quantize_weights(q, w.data(), quantization);
      CHECK(std::isfinite(scale));
      CHECK(std::abs(scale * q[0] - value) <= std::max(std::abs(value) * 0.01f, 1e-30f));
    }
  }
}

TEST_CASE("a quantized map multiplies any shape at any number of rows, whole groups or not") {
  Random random(82);
  for (const Quantization quantization : kQuantizations) {
    for (const DType dtype : kAllDTypes) {
      for (const auto& [k, n] : std::vector<std::pair<int64_t, int64_t>>{
               {1, 1}, {3, 2}, {31, 33}, {32, 16}, {64, 65}, {65, 96}, {100, 129}, {300, 37}}) {
        for (const int rows : {1, 2, 5, 7, 13}) {
          check_linear(random_quantized(random, k, {n}, quantization, dtype, rows % 2), base_rows(rows),
                       random);
        }
      }
    }
    check_linear(random_quantized(random, 4500, {70}, quantization), base_rows(3), random);
    check_linear(random_quantized(random, 64, {40, 17, 96}, quantization), base_rows(211), random,
                 LinearOutput::add);
  }
}

TEST_CASE("sums hold where every weight and every activation is as large as its integers go") {
  for (const Quantization quantization : kQuantizations) {
    for (const double sign : {1.0, -1.0}) {
      Random random(89);
      LinearCase base = random_quantized(random, 512, {40}, quantization, DType::f32);
      Numbers& weight = base.parts[0].weight;
      for (int64_t i = 0; i < weight.rows * weight.cols; ++i) {
        // One that takes the scale's other end makes int4 take 7 for the others.
        const double value = sign * (i % 32 == 0 ? -1.0 : 0.9);
        store_f32(weight.bytes.data() + 1, DType::f32, i, static_cast<float>(value));
        weight.values[static_cast<size_t>(i)] = static_cast<double>(static_cast<float>(value));
      }
      LinearCase effective = base;
      effective.parts[0].weight = dequantized(weight, quantization);
      for (const float activation : {1.0f, -1.0f}) {
        const std::vector<float> x(static_cast<size_t>(6 * base.k), activation);
        const Expected row = expect_row(effective, nullptr, x.data());
        for (const auto& backend : all_backends()) {
          const auto y = run_linear(*backend, *create(*backend, base), x);
          INFO(device_of(*backend));
          for (size_t r = 0; r < 6; ++r)
            CHECK(worst_ratio(std::span(y).subspan(r * 40, 40), row.values, row.bounds) <= 1.0);
        }
      }
    }
  }
}

TEST_CASE("a quantized map serves LoRA, DoRA, biases and replaced weights on the activations as they are") {
  Random random(83);
  for (const Quantization quantization : kQuantizations) {
    for (int bits = 0; bits < 16; ++bits) {
      for (const int rank : {0, 1, 6, 32}) {
        AdapterShape shape{.rank = rank};
        shape.dora = (bits & 1) != 0;
        shape.lora_bias = (bits & 2) != 0 && rank > 0;
        shape.weight = (bits & 4) != 0;
        shape.bias = (bits & 8) != 0;
        CAPTURE(bits);
        CAPTURE(rank);
        const auto base = random_quantized(random, 75, {70, 33}, quantization, DType::bf16, bits % 3 != 0);
        const AdapterCase adapter{random_adapter_part(random, base, 0, shape)};
        check_linear(base, {&adapter, &adapter, nullptr, &adapter}, random);
      }
    }
  }
}

TEST_CASE(
    "a quantized row has the same bits under every instruction set, on any threads, alone and in any batch") {
  Random random(84);
  for (const Quantization quantization : kQuantizations) {
    const auto base = random_quantized(random, 4500, {130, 40}, quantization, DType::bf16, true);
    const int64_t n = base.outputs();
    const AdapterCase other{random_adapter_part(random, base, 0, {.rank = 8}),
                            random_adapter_part(random, base, 1, {.rank = 4, .weight = true})};
    const auto x = random_floats(random, 120 * base.k);
    std::vector<float> alone;
    for (const auto& backend : all_backends()) {
      if (is_reference(*backend)) continue;  // sums in float64
      const auto linear = create(*backend, base);
      const auto adapter = create(*backend, *linear, other);
      const auto y = run_linear(*backend, *linear, std::span(x).first(static_cast<size_t>(base.k)));
      if (alone.empty()) alone = y;
      INFO(device_of(*backend));
      CHECK(same_bits(y.data(), alone.data(), n));
      for (const int rows : {2, 3, 5, 6, 7, 16, 97, 120}) {
        const int place = random.integer(0, rows - 1);
        auto batch = std::vector<float>(x.begin(), x.begin() + rows * base.k);
        std::copy_n(x.begin(), base.k, batch.begin() + place * base.k);
        std::vector<LinearSegment> segments;
        if (place > 0) segments.push_back({0, place, adapter.get()});
        if (place + 1 < rows) segments.push_back({place + 1, rows - place - 1, adapter.get()});
        const auto all = run_linear(*backend, *linear, batch, {.segments = segments});
        CAPTURE(rows);
        CAPTURE(place);
        CHECK(same_bits(all.data() + place * n, alone.data(), n));
      }
    }
  }
}

TEST_CASE("a quantized adapted row has the same bits alone and in a batch") {
  Random random(85);
  for (const Quantization quantization : kQuantizations) {
    const auto base = random_quantized(random, 330, {70}, quantization);
    const DType dtype = quantization == Quantization::int8 ? DType::bf16 : DType::int8;
    const AdapterCase from{
        random_adapter_part(random, base, 0, {.rank = 20, .dtype = dtype, .dora = true, .bias = true})};
    const int rows = 100;
    const auto x = random_floats(random, rows * base.k);
    for (const auto& backend : all_backends()) {
      const auto linear = create(*backend, base);
      const auto adapter = create(*backend, *linear, from);
      const LinearSegment whole_batch{0, rows, adapter.get()}, single{0, 1, adapter.get()};
      const auto all = run_linear(*backend, *linear, x, {.segments = {&whole_batch, 1}});
      bool same = true;
      for (int row = 0; row < rows; ++row) {
        const auto one = run_linear(*backend, *linear, {x.data() + row * base.k, static_cast<size_t>(base.k)},
                                    {.segments = {&single, 1}});
        same = same && same_bits(one.data(), all.data() + row * 70, 70);
      }
      INFO(device_of(*backend));
      CHECK(same);
    }
  }
}

TEST_CASE("activations that are not finite reach the results of a quantized map, in their own row only") {
  Random random(86);
  for (const Quantization quantization : kQuantizations) {
    const auto base = random_quantized(random, 130, {40}, quantization);
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      auto x = random_floats(random, 3 * base.k);
      x[static_cast<size_t>(base.k + 128)] = bad;
      for (const auto& backend : all_backends()) {
        const auto y = run_linear(*backend, *create(*backend, base), x);
        INFO(device_of(*backend));
        for (size_t i = 0; i < y.size(); ++i) CHECK(std::isfinite(y[i]) == (i / 40 != 1));
      }
    }
  }
}

TEST_CASE("weights that are not finite are refused with a message, as a linear map and as an embedding") {
  Random random(87);
  for (const Quantization quantization : kQuantizations) {
    auto base = random_quantized(random, 70, {40}, quantization, DType::f32);
    store_f32(base.parts[0].weight.bytes.data() + 1, DType::f32, 69, NAN);
    LinearDesc desc;
    desc.quantization = quantization;
    desc.parts.push_back({base.parts[0].weight.host(), std::nullopt});
    for (const auto& backend : all_backends()) {
      const auto linear = backend->linear_create(desc);
      REQUIRE_FALSE(linear);
      CHECK(linear.error().message.find("quantized") != std::string::npos);
      const auto table = backend->embedding_create(
          {.table = base.parts[0].weight.host(), .tied_head = nullptr, .quantization = Quantization::int8});
      CHECK_FALSE(table);
    }
  }
}

TEST_CASE("a quantized map holds 8.25 (int8), 4.5 (int4) or 4.25 bits (nf4) per weight") {
  Random random(88);
  for (const auto& backend : all_backends()) {
    if (is_reference(*backend)) continue;  // it keeps float32
    const size_t weights = 256 * 256;
    CHECK(create(*backend, random_quantized(random, 256, {256}, Quantization::int8))->bytes() ==
          weights * 33 / 32);
    CHECK(create(*backend, random_quantized(random, 256, {256}, Quantization::int4))->bytes() ==
          weights * 9 / 16);
    CHECK(create(*backend, random_quantized(random, 256, {256}, Quantization::nf4))->bytes() ==
          weights * 17 / 32);
  }
}
