// Weights in a checkpoint's own codes: each format against the definition, as a linear map with and without
// adapters and as a table, and the same bits alone and in any batch.
#include <algorithm>
#include <cstring>

#include "backend/shared/coded_values.h"
#include "ops_linear_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

float rounded_to(DType type, double value) {
  std::byte element[4];
  store_f32(element, type, 0, static_cast<float>(value));
  return load_f32(element, type, 0);
}

// Random codes and numbers of a format; NaN as the first scale of row `spoilt`.
class RandomSource final : public CodedSource {
 public:
  RandomSource(Random& random, int64_t rows, int64_t cols, const CodedFormat& format, int64_t spoilt = -1)
      : CodedSource(rows, cols, format), spoilt_(spoilt) {
    const bool narrow = format.kind == CodeKind::e4m3 || format.kind == CodeKind::e5m2;
    for (int64_t i = 0; i < rows * cols; ++i) {
      int code = random.integer(0, (1 << format.bits) - 1);
      if (narrow && (code & 0x7f) >= 0x7c) code &= 0x7b;
      codes_.push_back(static_cast<uint8_t>(code));
    }
    const bool factors = format.factor_groups > 0;
    const auto number = [&] {
      return factors ? random.integer(-128, 127) : rounded_to(format.scale_type, random.uniform(-0.1, 0.1));
    };
    for (int64_t i = 0; i < rows * format.groups; ++i) {
      scale_.push_back(static_cast<float>(number()));
      zero_.push_back(static_cast<float>(random.integer(0, 255)));
      offset_.push_back(static_cast<float>(number()));
    }
    for (int64_t i = 0; i < rows * format.factors(); ++i) {
      scale_factor_.push_back(rounded_to(format.scale_type, random.uniform(-0.01, 0.01)));
      offset_factor_.push_back(rounded_to(format.scale_type, random.uniform(-0.01, 0.01)));
    }
  }

  bool read_row(const CodedRow& to, int64_t row) const override {
    std::copy_n(codes_.begin() + row * cols(), cols(), to.codes);
    copy(scale_, format().groups, row, to.scale);
    copy(zero_, format().groups, row, to.zero);
    copy(offset_, format().groups, row, to.offset);
    copy(scale_factor_, format().factors(), row, to.scale_factor);
    copy(offset_factor_, format().factors(), row, to.offset_factor);
    if (row == spoilt_) to.scale[0] = NAN;
    return true;
  }
  void release_rows(int64_t, int64_t) const override {}

 private:
  static void copy(const std::vector<float>& from, int64_t count, int64_t row, float* to) {
    if (to != nullptr) std::copy_n(from.begin() + row * count, count, to);
  }

  int64_t spoilt_;
  std::vector<uint8_t> codes_;
  std::vector<float> scale_, zero_, offset_, scale_factor_, offset_factor_;
};

CodedFormat format_of(CodeKind kind, int bits, int64_t k, int64_t group) {
  CodedFormat format;
  format.kind = kind;
  format.bits = bits;
  format.group = group;
  format.groups = (k + group - 1) / group;
  return format;
}

// Every kind of code, every number of bits, and everything that groups may share, in rows of k.
std::vector<CodedFormat> formats_of(Random& random, int64_t k) {
  std::vector<CodedFormat> formats;
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    CodedFormat format = format_of(CodeKind::integer, bits, k, bits % 2 == 0 ? 32 : 16);
    format.zero = static_cast<float>(1 << (bits - 1));
    format.scale_type = bits % 2 == 0 ? DType::f16 : DType::f32;
    formats.push_back(format);
    format.zero = 0;
    format.offsets = true;
    format.factor_groups = 8;
    format.scale_type = DType::f16;
    formats.push_back(format);
  }
  CodedFormat zeros = format_of(CodeKind::integer, 4, k, 128);
  zeros.zeros = true;
  zeros.scale_type = DType::f16;
  formats.push_back(zeros);
  CodedFormat act_order = zeros;
  for (int64_t i = 0; i < k; ++i)
    act_order.group_of_input.push_back(random.integer(0, static_cast<int>(act_order.groups) - 1));
  formats.push_back(act_order);
  act_order.bits = 3;
  act_order.scale_type = DType::bf16;
  formats.push_back(act_order);
  CodedFormat offsets = format_of(CodeKind::integer, 4, k, 64);
  offsets.offsets = true;
  offsets.scale_type = DType::bf16;
  formats.push_back(offsets);
  CodedFormat table = format_of(CodeKind::table, 4, k, 32);
  for (float& value : table.table) value = static_cast<float>(random.integer(-127, 127));
  formats.push_back(table);
  formats.push_back(format_of(CodeKind::e4m3, 8, k, 128));
  formats.push_back(format_of(CodeKind::e4m3, 8, k, k));
  formats.push_back(format_of(CodeKind::e5m2, 8, k, k));
  return formats;
}

// Those that are multiplied in integers where the map asks for it.
std::vector<CodedFormat> integer_formats_of(Random& random, int64_t k) {
  std::vector<CodedFormat> formats;
  for (const int64_t group : {int64_t{32}, int64_t{96}, int64_t{128}, int64_t{512}, k}) {
    CodedFormat format = format_of(CodeKind::integer, 4, k, group);
    format.zero = 8;
    format.scale_type = DType::f16;
    formats.push_back(format);
    format.zero = 0;
    format.zeros = true;
    format.scale_type = DType::bf16;
    formats.push_back(format);
    format.zeros = false;
    format.offsets = true;
    format.scale_type = DType::f32;
    formats.push_back(format);
  }
  // Act-order: each group has its inputs somewhere.
  for (const size_t plain : {size_t{1}, size_t{6}}) {
    CodedFormat format = formats[plain];
    for (int64_t i = 0; i < k; ++i) format.group_of_input.push_back(static_cast<int32_t>(i / format.group));
    for (size_t i = format.group_of_input.size(); i > 1; --i) {
      const auto other = static_cast<size_t>(random.integer(0, static_cast<int>(i) - 1));
      std::swap(format.group_of_input[i - 1], format.group_of_input[other]);
    }
    formats.push_back(format);
  }
  return formats;
}

Numbers numbers_of(const CodedSource& source) {
  Numbers numbers{source.rows(), source.cols(), DType::f32, std::vector<std::byte>(1), {}};
  CodedRowBuffer row(source);
  std::vector<float> values(static_cast<size_t>(source.cols()));
  for (int64_t n = 0; n < source.rows(); ++n) {
    REQUIRE(row.read(n));
    row.decode(values.data());
    numbers.values.insert(numbers.values.end(), values.begin(), values.end());
  }
  return numbers;
}

LinearCase coded_linear(Random& random, int64_t k, const std::vector<int64_t>& outputs,
                        const CodedFormat& format) {
  LinearCase result{k, {}, Quantization::none};
  for (const int64_t n : outputs) {
    const auto source = std::make_shared<RandomSource>(random, n, k, format);
    result.parts.push_back({numbers_of(*source), random_tensor(random, 1, n, DType::bf16), source});
  }
  return result;
}

}  // namespace

TEST_CASE("FP8 codes are the numbers of the OCP's two types") {
  CHECK(e4m3_to_f32(0x00) == 0.0f);
  CHECK(e4m3_to_f32(0x01) == 0x1p-9f);
  CHECK(e4m3_to_f32(0x08) == 0x1p-6f);
  CHECK(e4m3_to_f32(0x38) == 1.0f);
  CHECK(e4m3_to_f32(0xbc) == -1.5f);
  CHECK(e4m3_to_f32(0x7e) == 448.0f);
  CHECK(std::isnan(e4m3_to_f32(0xff)));
  CHECK(e5m2_to_f32(0x01) == 0x1p-16f);
  CHECK(e5m2_to_f32(0x3c) == 1.0f);
  CHECK(e5m2_to_f32(0x7b) == 57344.0f);
  CHECK(e5m2_to_f32(0xfc) == -INFINITY);
  CHECK(std::isnan(e5m2_to_f32(0x7d)));
}

TEST_CASE("a coded map multiplies with what its codes stand for, in any shape, at any number of rows") {
  Random random(301);
  for (const auto& [k, n] : std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {40, 33}, {300, 70}}) {
    for (const CodedFormat& format : formats_of(random, k)) {
      const auto base = coded_linear(random, k, {n}, format);
      for (const int rows : {1, 3, 8})
        check_linear(base, std::vector<const AdapterCase*>(static_cast<size_t>(rows), nullptr), random);
    }
  }
}

TEST_CASE("a coded map serves LoRA, DoRA, biases and replaced weights, beside parts that are not coded") {
  Random random(302);
  for (const CodedFormat& format : formats_of(random, 96)) {
    auto base = coded_linear(random, 96, {70, 33}, format);
    base.parts[1] = {random_tensor(random, 33, 96, DType::bf16), std::nullopt};
    const AdapterCase lora{random_adapter_part(random, base, 0, {.rank = 6, .lora_bias = true}),
                           random_adapter_part(random, base, 1, {.rank = 4})};
    const AdapterCase dora{random_adapter_part(random, base, 0, {.rank = 8, .dora = true, .bias = true})};
    const AdapterCase whole{random_adapter_part(random, base, 0, {.rank = 0, .weight = true})};
    check_linear(base, {&lora, &dora, nullptr, &whole, &dora}, random, LinearOutput::add);
  }
}

namespace {

LinearCase integer_linear(Random& random, int64_t k, const std::vector<int64_t>& outputs,
                          const CodedFormat& format) {
  LinearCase result = coded_linear(random, k, outputs, format);
  result.integer_activations = true;
  return result;
}

}  // namespace

TEST_CASE(
    "a coded map in integers multiplies any shape at any number of rows, in whatever order its groups are") {
  Random random(307);
  for (const auto& [k, n] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1}, {40, 33}, {300, 70}, {512, 64}, {2500, 37}}) {
    for (const CodedFormat& format : integer_formats_of(random, k)) {
      const LinearCase base = integer_linear(random, k, {n}, format);
      REQUIRE(integer_inputs(describe(base)).any());
      for (const int rows : {1, 2, 5, 8, 13})
        check_linear(base, std::vector<const AdapterCase*>(static_cast<size_t>(rows), nullptr), random);
    }
  }
}

TEST_CASE("a coded map in integers serves adapters, beside parts in float32 and parts in another order") {
  Random random(308);
  for (const CodedFormat& format : integer_formats_of(random, 300)) {
    LinearCase base = integer_linear(random, 300, {70, 33, 40}, format);
    base.parts[1] = {random_tensor(random, 33, 300, DType::bf16), std::nullopt};
    const auto other =
        std::make_shared<RandomSource>(random, 40, 300, integer_formats_of(random, 300).back());
    base.parts[2] = {numbers_of(*other), std::nullopt, other};
    const AdapterCase lora{random_adapter_part(random, base, 0, {.rank = 6, .lora_bias = true}),
                           random_adapter_part(random, base, 1, {.rank = 4})};
    const AdapterCase dora{random_adapter_part(random, base, 0, {.rank = 8, .dora = true, .bias = true}),
                           random_adapter_part(random, base, 2, {.rank = 3, .dora = true})};
    const AdapterCase whole{random_adapter_part(random, base, 0, {.rank = 0, .weight = true})};
    check_linear(base, {&lora, &dora, nullptr, &whole, &dora}, random, LinearOutput::add);
  }
}

TEST_CASE("a coded map sees the activations as they are where integers cannot multiply its codes") {
  Random random(309);
  for (const CodedFormat& format : formats_of(random, 96)) {
    const LinearCase base = integer_linear(random, 96, {70}, format);
    const bool taken = format.kind == CodeKind::integer && format.bits == 4 && format.factor_groups == 0 &&
                       (format.group_of_input.empty() || format.groups == 1);
    CHECK(integer_inputs(describe(base)).any() == taken);
    check_linear(base, std::vector<const AdapterCase*>(3, nullptr), random);
  }
}

TEST_CASE("a coded row in integers has the same bits under every instruction set, alone and in any batch") {
  Random random(310);
  for (const CodedFormat& format : integer_formats_of(random, 2500)) {
    const LinearCase base = integer_linear(random, 2500, {130}, format);
    const auto x = random_floats(random, 97 * base.k);
    std::vector<float> first;
    for (const auto& backend : all_backends()) {
      if (is_reference(*backend)) continue;  // sums in float64
      const auto linear = create(*backend, base);
      const auto all = run_linear(*backend, *linear, x);
      if (first.empty()) first = all;
      bool same = std::memcmp(all.data(), first.data(), all.size() * sizeof(float)) == 0;
      for (const int64_t row : {0, 1, 37, 96}) {
        const auto one =
            run_linear(*backend, *linear, std::span(x).subspan(static_cast<size_t>(row * base.k), 2500));
        same = same && std::memcmp(one.data(), all.data() + row * 130, 130 * sizeof(float)) == 0;
      }
      INFO(device_of(*backend));
      CHECK(same);
    }
  }
}

TEST_CASE("a coded map holds its sums where every code and every activation is as large as can be") {
  Random random(311);
  CodedFormat format = format_of(CodeKind::integer, 4, 512, 256);
  for (const float zero : {0.0f, 255.0f}) {
    format.zero = zero;
    const LinearCase base = integer_linear(random, 512, {40}, format);
    for (const float activation : {1.0f, -1.0f}) {
      const std::vector<float> x(static_cast<size_t>(6 * base.k), activation);
      const Expected row = expect_row(base, nullptr, x.data());
      for (const auto& backend : all_backends()) {
        const auto y = run_linear(*backend, *create(*backend, base), x);
        INFO(device_of(*backend));
        for (size_t r = 0; r < 6; ++r)
          CHECK(worst_ratio(std::span(y).subspan(r * 40, 40), row.values, row.bounds) <= 1.0);
      }
    }
  }
}

TEST_CASE("a coded map in integers passes on an activation that is not finite, in its own row") {
  Random random(312);
  const LinearCase base = integer_linear(random, 300, {40}, format_of(CodeKind::integer, 4, 300, 128));
  auto x = random_floats(random, 3 * base.k);
  x[static_cast<size_t>(base.k + 128)] = NAN;
  for (const auto& backend : all_backends()) {
    const auto y = run_linear(*backend, *create(*backend, base), x);
    INFO(device_of(*backend));
    for (size_t i = 0; i < y.size(); ++i) CHECK(std::isfinite(y[i]) == (i / 40 != 1));
  }
}

TEST_CASE("a coded row has the same bits alone and in any batch") {
  Random random(303);
  for (const CodedFormat& format : formats_of(random, 200)) {
    const auto base = coded_linear(random, 200, {130}, format);
    const auto x = random_floats(random, 100 * base.k);
    for (const auto& backend : all_backends()) {
      const auto linear = create(*backend, base);
      const auto all = run_linear(*backend, *linear, x);
      bool same = true;
      for (const int64_t row : {0, 1, 37, 96, 99}) {
        const auto one =
            run_linear(*backend, *linear, std::span(x).subspan(static_cast<size_t>(row * base.k), 200));
        same = same && std::memcmp(one.data(), all.data() + row * 130, 130 * sizeof(float)) == 0;
      }
      INFO(device_of(*backend));
      CHECK(same);
    }
  }
}

TEST_CASE("a coded table gives its rows exactly, and so does one that is tied to a coded head") {
  Random random(304);
  const int64_t vocab = 50, hidden = 96;
  for (const CodedFormat& format : formats_of(random, hidden)) {
    const auto source = std::make_shared<RandomSource>(random, vocab, hidden, format);
    const Numbers numbers = numbers_of(*source);
    const HostTensor shape{nullptr, DType::f32, vocab, hidden};
    const std::vector<int32_t> tokens = {0, 49, 17, 32};
    StepInput input;
    input.token = tokens;
    for (const auto& backend : all_backends()) {
      LinearDesc head_desc;
      head_desc.parts.push_back({shape, std::nullopt, {}, source});
      const auto head = backend->linear_create(head_desc);
      REQUIRE(head);
      const auto own = backend->embedding_create({.table = shape, .coded = source});
      const auto tied = backend->embedding_create({.table = shape, .tied_head = head->get()});
      REQUIRE(own);
      REQUIRE(tied);
      const auto y = on_device(*backend, std::vector<float>(tokens.size() * hidden), hidden);
      for (const auto* const table : {&*own, &*tied}) {
        submit(*backend, input, [&] { backend->embed(whole(*y), **table, {}); });
        const auto rows = from_device(*backend, *y);
        bool same = true;
        for (size_t i = 0; i < rows.size(); ++i)
          same = same && static_cast<double>(rows[i]) ==
                             numbers.at(tokens[i / hidden], static_cast<int64_t>(i) % hidden);
        INFO(device_of(*backend));
        CHECK(same);
      }
    }
  }
}

TEST_CASE("codes and scales that are no finite numbers are refused, as a map and as a table") {
  Random random(305);
  const auto source =
      std::make_shared<RandomSource>(random, 40, 64, format_of(CodeKind::integer, 4, 64, 32), 39);
  const HostTensor shape{nullptr, DType::f32, 40, 64};
  LinearDesc desc;
  desc.parts.push_back({shape, std::nullopt, {}, source});
  for (const auto& backend : all_backends()) {
    const auto linear = backend->linear_create(desc);
    REQUIRE_FALSE(linear);
    CHECK(linear.error().message.find("NaN") != std::string::npos);
    CHECK_FALSE(backend->embedding_create({.table = shape, .coded = source}));
  }
}

TEST_CASE("a coded map holds its codes' bits and its groups' numbers") {
  Random random(306);
  for (const auto& backend : all_backends()) {
    if (is_reference(*backend)) continue;  // it keeps float32
    const int64_t k = 256, n = 256;
    const auto bits = [&](const CodedFormat& format) {
      return 8.0 *
             static_cast<double>(create(*backend, coded_linear(random, k, {n}, format))->bytes() - n * 4) /
             static_cast<double>(k * n);
    };
    CodedFormat gptq = format_of(CodeKind::integer, 4, k, 128);
    gptq.scale_type = DType::f16;
    CHECK(bits(gptq) == 4.125);
    gptq.zeros = true;
    CHECK(bits(gptq) == 4.1875);
    CodedFormat q4_k = format_of(CodeKind::integer, 4, k, 32);
    q4_k.offsets = true;
    q4_k.factor_groups = 8;
    q4_k.scale_type = DType::f16;
    CHECK(bits(q4_k) == 4.625);
    CodedFormat q3_k = format_of(CodeKind::integer, 3, k, 16);
    q3_k.factor_groups = 16;
    q3_k.scale_type = DType::f16;
    CHECK(bits(q3_k) == 3.5625);
  }
}
