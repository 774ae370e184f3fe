#include "ops_kv_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

struct Shape {
  HeadShape heads;
  int page_tokens;
  int window = 0;
  float softcap = 0.0f;
  std::vector<float> sinks = {};         // [HQ] or empty
  std::vector<float> alibi_slopes = {};  // [HQ] or empty
  int chunk = 0;
  bool coarse_alibi = false;
};

// But for sinks and slopes.
AttentionDesc describe(const Shape& shape) {
  return {.q_heads = shape.heads.q_heads,
          .kv_heads = shape.heads.kv_heads,
          .head_dim = shape.heads.head_dim,
          .scale = 1.0f / std::sqrt(static_cast<float>(shape.heads.head_dim)),
          .window = shape.window,
          .chunk = shape.chunk,
          .softcap = shape.softcap,
          .coarse_alibi = shape.coarse_alibi};
}

// What alibi adds to the score of a position. In bfloat16: 8 bits, ties to even.
double alibi_bias(const Shape& shape, int head, int query, int key) {
  const double slope = static_cast<double>(shape.alibi_slopes[static_cast<size_t>(head)]);
  if (!shape.coarse_alibi) return slope * (key - query);
  const double product = slope * key;
  if (product == 0) return 0;
  const double unit = std::exp2(std::floor(std::log2(std::abs(product))) - 7);
  return static_cast<double>(describe(shape).scale) * unit * std::nearbyint(product / unit);
}

// One row, one query head: softmax over its visible positions in float64. The bound: a score is a sum of D
// products (D eps of the sum of sizes) times the scale; an error e of every score changes a weight by the
// factor exp(+-2 e); weights and values are summed over n positions. tanh is good to 4e-7 absolutely before
// the cap multiplies it.
void expect_head(const KvCase& kv, const Shape& shape, int sequence, int position, int head,
                 std::vector<double>& values, std::vector<double>& bounds) {
  const AttentionDesc desc = describe(shape);
  const int kv_head = head / (desc.q_heads / desc.kv_heads);
  const int first = shape.chunk > 0   ? position / shape.chunk * shape.chunk
                    : desc.window > 0 ? std::max(0, position - desc.window + 1)
                                      : 0;
  std::vector<double> weights;
  const double sink =
      shape.sinks.empty() ? -INFINITY : static_cast<double>(shape.sinks[static_cast<size_t>(head)]);
  double top = sink, size = 0, alibi_error = 0;
  for (int j = first; j <= position; ++j) {
    double score = 0, sizes = 0;
    for (int d = 0; d < desc.head_dim; ++d) {
      const double term = kv.at(sequence, position, head, d) * kv.key(sequence, j, kv_head, d);
      score += term;
      sizes += std::abs(term);
    }
    score *= static_cast<double>(desc.scale);
    if (!shape.alibi_slopes.empty()) {
      const double bias = alibi_bias(shape, head, position, j);
      score += bias;
      alibi_error = std::max(alibi_error, 2 * kEpsilon * std::abs(bias));
    }
    const double cap = static_cast<double>(desc.softcap);
    if (cap > 0) score = cap * std::tanh(score / cap);
    weights.push_back(score);
    top = std::max(top, score);
    size = std::max(size, sizes * static_cast<double>(desc.scale));
  }
  double total = std::exp(sink - top);
  for (double& weight : weights) total += weight = std::exp(weight - top);
  const double n = static_cast<double>(weights.size());
  const double score_error =
      (desc.head_dim + 4) * kEpsilon * size + static_cast<double>(desc.softcap) * 4e-7 + alibi_error;
  for (int d = 0; d < desc.head_dim; ++d) {
    double value = 0, sizes = 0;
    for (int j = first; j <= position; ++j) {
      const double term = weights[static_cast<size_t>(j - first)] / total * kv.value(sequence, j, kv_head, d);
      value += term;
      sizes += std::abs(term);
    }
    values.push_back(value);
    bounds.push_back((2 * score_error + (n + 24) * kEpsilon) * sizes);
  }
}

// Runs the steps in order, each a list of chunks, after the positions before a sequence's first chunk were
// filled in.
void check_attention(const Shape& shape, DType type, std::vector<int> lengths,
                     const std::vector<std::vector<Chunk>>& steps, Random& random) {
  const KvCase kv = random_kv(random, shape.heads, shape.page_tokens, type, lengths);
  std::vector<std::vector<double>> values(steps.size()), bounds(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    for (const Chunk& chunk : steps[i]) {
      for (int position = chunk.begin; position < chunk.end; ++position) {
        for (int head = 0; head < shape.heads.q_heads; ++head) {
          expect_head(kv, shape, chunk.sequence, position, head, values[i], bounds[i]);
        }
      }
    }
  }
  for (const auto& backend : all_backends()) {
    const auto cache = create_kv(*backend, kv, 2);
    const auto numbers = [&](const std::vector<float>& values) {
      return values.empty() ? nullptr : on_device(*backend, values, shape.heads.q_heads);
    };
    const auto sinks = numbers(shape.sinks), slopes = numbers(shape.alibi_slopes);
    AttentionDesc desc = describe(shape);
    desc.sinks = sinks.get();
    desc.alibi_slopes = slopes.get();
    std::vector<bool> started(lengths.size(), false);
    for (size_t i = 0; i < steps.size(); ++i) {
      for (const Chunk& chunk : steps[i]) {
        if (!started[static_cast<size_t>(chunk.sequence)]) {
          fill(*backend, {*cache, 1}, step_of(kv, {{chunk.sequence, 0, chunk.begin}}), desc);
        }
        started[static_cast<size_t>(chunk.sequence)] = true;
      }
      const auto out = attend(*backend, {*cache, 1}, step_of(kv, steps[i]), desc);
      INFO(device_of(*backend), " step ", i, " page_tokens=", shape.page_tokens,
           " head_dim=", shape.heads.head_dim, " window=", shape.window, " softcap=", shape.softcap, " ",
           name_of(type));
      CHECK(worst_ratio(out, values[i], bounds[i]) <= 1.0);
    }
  }
}

}  // namespace

TEST_CASE("attention sees exactly its own past, at any page size, head layout and cache type") {
  Random random(41);
  for (const DType type : kAllKvTypes) {
    for (const int page_tokens : {1, 3, 16, 32}) {
      for (const HeadShape heads : {HeadShape{4, 2, 16}, {3, 3, 8}, {8, 1, 64}, {6, 2, 20}, {2, 1, 6}}) {
        check_attention({heads, page_tokens}, type, {1, 2, 17, 33, 50},
                        {{{0, 0, 1}, {2, 0, 16}, {3, 0, 20}, {4, 0, 49}},
                         {{1, 0, 2}, {2, 16, 17}, {3, 20, 33}, {4, 49, 50}}},
                        random);
      }
    }
  }
}

TEST_CASE("attention honours windows and soft caps") {
  Random random(42);
  for (const DType type : {DType::f32, DType::bf16, DType::int8}) {
    for (const int window : {1, 2, 5, 16, 40, 1000}) {
      for (const float softcap : {0.0f, 3.0f, 50.0f}) {
        check_attention({{4, 2, 24}, 16, window, softcap}, type, {70, 9},
                        {{{0, 0, 41}, {1, 0, 9}}, {{0, 41, 69}}, {{0, 69, 70}}}, random);
      }
    }
  }
}

TEST_CASE(
    "attention gives a head's sink its share, large or small, and takes alibi's slopes off a distance") {
  Random random(45);
  const std::vector<float> sinks{-3.0f, 0.5f, 4.0f, -90.0f, 30.0f, 1.0f};
  const std::vector<float> slopes{0.25f, 0.0625f, 0.5f, 0.00390625f, 1.0f, 0.125f};
  for (const DType type : {DType::f32, DType::bf16, DType::int8}) {
    for (const int window : {0, 16}) {
      for (const bool sinking : {true, false}) {
        Shape shape{{6, 2, 20}, 16, window, 0.0f};
        (sinking ? shape.sinks : shape.alibi_slopes) = sinking ? sinks : slopes;
        check_attention(shape, type, {70, 9}, {{{0, 0, 41}, {1, 0, 9}}, {{0, 41, 69}}, {{0, 69, 70}}},
                        random);
      }
    }
  }
  // Several splits, the sink counted once.
  for (const int window : {0, 300}) {
    Shape shape{{6, 2, 20}, 16, window, 0.0f, sinks, slopes};
    check_attention(shape, DType::f16, {1301, 300},
                    {{{0, 1250, 1300}, {1, 240, 299}}, {{0, 1300, 1301}, {1, 299, 300}}}, random);
  }
}

TEST_CASE("attention in chunks sees its own chunk alone, whatever the steps, pages and splits") {
  Random random(47);
  for (const DType type : {DType::f32, DType::bf16, DType::int8}) {
    for (const int chunk : {1, 7, 16, 40, 1000}) {
      Shape shape{{4, 2, 24}, 16};
      shape.chunk = chunk;
      check_attention(shape, type, {70, 9}, {{{0, 0, 41}, {1, 0, 9}}, {{0, 41, 69}}, {{0, 69, 70}}}, random);
    }
  }
  for (const int chunk : {300, 256, 1290}) {
    Shape shape{{4, 2, 16}, 16};
    shape.chunk = chunk;
    check_attention(shape, DType::f16, {1301, 300},
                    {{{0, 1250, 1300}, {1, 240, 299}}, {{0, 1300, 1301}, {1, 299, 300}}}, random);
  }
}

TEST_CASE("attention takes coarse alibi of the key's position, its product in bfloat16") {
  Random random(48);
  for (const DType type : {DType::f32, DType::int8}) {
    // Exact in bfloat16, as the decoder hands them over.
    Shape shape{{6, 2, 20}, 16, 0, 0.0f, {}, {0.25f, 0.0625f, 0.5f, 0.00390625f, 1.0f, 0.419921875f}};
    shape.coarse_alibi = true;
    check_attention(shape, type, {70, 9}, {{{0, 0, 41}, {1, 0, 9}}, {{0, 41, 69}}, {{0, 69, 70}}}, random);
    check_attention(shape, type, {1301}, {{{0, 1290, 1300}}, {{0, 1300, 1301}}}, random);
  }
}

TEST_CASE("attention over long contexts merges its splits rightly, with and without a window") {
  Random random(43);
  for (const int window : {0, 300, 257}) {
    for (const int page_tokens : {16, 7}) {
      check_attention({{4, 2, 16}, page_tokens, window}, DType::f16, {1301, 300},
                      {{{0, 1250, 1300}, {1, 240, 299}}, {{0, 1300, 1301}, {1, 299, 300}}}, random);
      check_attention({{4, 2, 16}, page_tokens, window}, DType::bf16, {2301},
                      {{{0, 2290, 2300}}, {{0, 2300, 2301}}}, random);
      check_attention({{4, 2, 16}, page_tokens, window}, DType::int8, {1301, 300},
                      {{{0, 1250, 1300}, {1, 240, 299}}, {{0, 1300, 1301}, {1, 299, 300}}}, random);
    }
  }
}

TEST_CASE("attention does not let a later row's infinity into an earlier row, nor hide it from a later one") {
  Random random(44);
  for (const DType type : kAllKvTypes) {
    for (const bool key : {true, false}) {
      for (const float bad : {INFINITY, NAN}) {
        KvCase kv = random_kv(random, {4, 2, 16}, 16, type, {40, 40});
        const Shape shape{kv.heads, 16};
        const AttentionDesc desc = describe(shape);
        const int width = kv.heads.width();
        // One element of each KV head.
        for (int head = 0; head < kv.heads.kv_heads; ++head) {
          const int at = kv.heads.q_heads + (key ? 0 : kv.heads.kv_heads) + head;
          const int d = key ? 3 : head;
          kv.sequences[0].qkv[static_cast<size_t>(30 * width + at * kv.heads.head_dim + d)] = bad;
        }
        for (const auto& backend : all_backends()) {
          const auto cache = create_kv(*backend, kv, 1);
          const auto out = attend(*backend, {*cache, 0}, step_of(kv, {{0, 0, 40}, {1, 0, 40}}), desc);
          INFO(device_of(*backend), " ", name_of(type), key ? " key " : " value ", bad);
          bool others_finite = true, later_heads_show_it = true;
          for (size_t head = 0; head < out.size() / 16; ++head) {
            bool finite = true;
            for (size_t d = 0; d < 16; ++d) finite = finite && std::isfinite(out[head * 16 + d]);
            const size_t row = head / 4;
            if (row < 30 || row >= 40) {
              others_finite = others_finite && finite;
            } else {
              later_heads_show_it = later_heads_show_it && !finite;
            }
          }
          CHECK(others_finite);
          CHECK(later_heads_show_it);
        }
      }
    }
  }
}

TEST_CASE("gated attention is attention times the sigmoid of its gates") {
  Random random(46);
  for (const DType type : {DType::f32, DType::int8}) {
    const KvCase kv = random_kv(random, {4, 2, 16}, 16, type, {40, 7});
    AttentionDesc desc = describe({kv.heads, 16});
    const int64_t q_width = desc.q_width();
    const StepCase step = step_of(kv, {{0, 0, 40}, {1, 0, 7}});
    const std::vector<float> gates = random_floats(random, step.rows() * q_width, -4, 4);
    StepCase gated = step;
    gated.qkv.clear();
    for (int64_t row = 0; row < step.rows(); ++row) {
      const auto gate = gates.begin() + row * q_width;
      const auto qkv = step.qkv.begin() + row * kv.heads.width();
      gated.qkv.insert(gated.qkv.end(), gate, gate + q_width);
      gated.qkv.insert(gated.qkv.end(), qkv, qkv + kv.heads.width());
    }
    for (const auto& backend : all_backends()) {
      desc.gated = false;
      const auto plain = attend(*backend, {*create_kv(*backend, kv, 1), 0}, step, desc);
      desc.gated = true;
      const auto out = attend(*backend, {*create_kv(*backend, kv, 1), 0}, gated, desc);
      std::vector<double> wanted, bounds;
      for (size_t i = 0; i < plain.size(); ++i) {
        wanted.push_back(static_cast<double>(plain[i]) / (1 + std::exp(-static_cast<double>(gates[i]))));
        bounds.push_back(16 * kEpsilon * std::abs(wanted.back()));
      }
      INFO(device_of(*backend), " ", name_of(type));
      CHECK(worst_ratio(out, wanted, bounds) <= 1.0);
    }
  }
}
