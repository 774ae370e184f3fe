#include "ops_kv_case.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

// Of the first `dims` dimensions of a head, all where it is not given.
RotationDesc some_rotation(const HeadShape& heads, float attention_factor,
                           std::optional<int> dims = std::nullopt) {
  RotationDesc rope{{}, attention_factor, false};
  const int rotated = dims.value_or(heads.head_dim);
  for (int i = 0; i < rotated / 2; ++i) {
    rope.inv_freq.push_back(static_cast<float>(std::pow(10000.0, -2.0 * i / rotated)));
  }
  return rope;
}

// The other dimension of d's pair, and whether d is the pair's first.
struct Pair {
  int low, high, index;
};
std::optional<Pair> pair_of(int d, const RotationDesc& rope) {
  const auto half = static_cast<int>(rope.inv_freq.size());
  if (d >= 2 * half) return std::nullopt;
  const int i = rope.interleaved ? d / 2 : d % half;
  return Pair{rope.interleaved ? 2 * i : i, rope.interleaved ? 2 * i + 1 : i + half, i};
}

// [rows, width]: q and k rotated, v as it was. The angle is a float32 product, as in Transformers.
void expect_rotated(const StepCase& step, const HeadShape& heads, const RotationDesc& rope,
                    std::vector<double>& values, std::vector<double>& bounds) {
  for (int64_t row = 0; row < step.rows(); ++row) {
    for (int head = 0; head < heads.q_heads + 2 * heads.kv_heads; ++head) {
      const float* const x = &step.qkv[static_cast<size_t>(row * heads.width() + head * heads.head_dim)];
      for (int d = 0; d < heads.head_dim; ++d) {
        const auto pair = pair_of(d, rope);
        if (head >= heads.q_heads + heads.kv_heads || !pair) {
          values.push_back(x[d]);
          bounds.push_back(0);
          continue;
        }
        const float angle = static_cast<float>(step.position[static_cast<size_t>(row)]) *
                            rope.inv_freq[static_cast<size_t>(pair->index)];
        const double c = std::cos(static_cast<double>(angle)) * static_cast<double>(rope.attention_factor);
        const double s = std::sin(static_cast<double>(angle)) * static_cast<double>(rope.attention_factor);
        const double low = x[pair->low], high = x[pair->high];
        values.push_back(d == pair->low ? low * c - high * s : high * c + low * s);
        bounds.push_back(5 * kEpsilon * static_cast<double>(rope.attention_factor) *
                         (std::abs(low) + std::abs(high)));
      }
    }
  }
}

}  // namespace

TEST_CASE("rope_kv rotates queries and keys by their own position and leaves values alone") {
  Random random(51);
  for (const HeadShape heads : {HeadShape{4, 2, 64}, {3, 1, 20}, {2, 2, 2}}) {
    KvCase kv = random_kv(random, heads, 16, DType::f32, {60, 12, 70000});
    const StepCase step = step_of(kv, {{0, 3, 60}, {1, 0, 1}, {2, 69990, 70000}});
    for (const float factor : {1.0f, 1.3f}) {
      const RotationDesc rope = some_rotation(heads, factor);
      std::vector<double> values, bounds;
      expect_rotated(step, heads, rope, values, bounds);
      for (const auto& backend : all_backends()) {
        const auto cache = create_kv(*backend, kv, 1);
        const AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim};
        const auto qkv = rotate(*backend, {*cache, 0}, step, *rotation_of(*backend, rope), desc);
        INFO(device_of(*backend), " head_dim=", heads.head_dim, " factor=", factor);
        CHECK(worst_ratio(qkv, values, bounds) <= 1.0);
      }
    }
  }
}

TEST_CASE("rope_kv rotates a part of a head, pairs side by side, or nothing at all") {
  Random random(55);
  for (const HeadShape heads : {HeadShape{4, 2, 64}, {3, 1, 20}}) {
    const KvCase kv = random_kv(random, heads, 16, DType::f32, {60, 12});
    const StepCase step = step_of(kv, {{0, 3, 60}, {1, 0, 1}});
    for (const int dims : {0, 2, heads.head_dim / 2, heads.head_dim}) {
      for (const bool interleaved : {false, true}) {
        RotationDesc rope = some_rotation(heads, 1.2f, dims);
        rope.interleaved = interleaved;
        std::vector<double> values, bounds;
        expect_rotated(step, heads, rope, values, bounds);
        for (const auto& backend : all_backends()) {
          const auto cache = create_kv(*backend, kv, 1);
          const auto qkv = rotate(*backend, {*cache, 0}, step, *rotation_of(*backend, rope),
                                  {heads.q_heads, heads.kv_heads, heads.head_dim});
          INFO(device_of(*backend), " head_dim=", heads.head_dim, " dims=", dims,
               " interleaved=", interleaved);
          CHECK(worst_ratio(qkv, values, bounds) <= 1.0);
        }
      }
    }
  }
}

// The op's own norm and rotation, each held against float64 elsewhere, in the order that is asked for.
TEST_CASE(
    "rope_kv normalizes queries, keys and values by head or over all heads, before or after the rotation") {
  Random random(56);
  const HeadShape heads{4, 2, 12};
  const int64_t q_width = 4 * 12, kv_width = 2 * 12;
  const KvCase kv = random_kv(random, heads, 16, DType::f32, {20});
  const StepCase step = step_of(kv, {{0, 0, 20}});
  const RotationDesc rope = some_rotation(heads, 1.0f);
  for (const bool whole : {false, true}) {
    for (const bool after : {false, true}) {
      const Numbers q_gain = random_tensor(random, 1, whole ? q_width : 12, DType::f32, 0.5, 2);
      const Numbers k_gain = random_tensor(random, 1, whole ? kv_width : 12, DType::f32, 0.5, 2);
      const Numbers own_gain = random_tensor(random, 1, whole ? q_width : 12, DType::f32, 0.5, 2);
      for (const auto& backend : all_backends()) {
        const auto q = backend->norm_create(rms_of(q_gain));
        const auto k = backend->norm_create(rms_of(k_gain));
        const auto own = backend->norm_create(rms_of(own_gain));
        NormDesc plain;
        plain.width = 12;
        const auto v = backend->norm_create(plain);
        const NormSegment segment{5, 3, own->get()};
        const HeadNorms norms{
            {q->get(), 1e-6f, {&segment, 1}}, {k->get(), 1e-6f, {}}, {v->get(), 1e-6f, {}}, after};
        const AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim};
        const auto rotation = rotation_of(*backend, rope);

        StepCase expected = step;
        const auto normalize = [&](bool values) {
          for (int64_t row = 0; row < step.rows(); ++row) {
            float* const at = &expected.qkv[static_cast<size_t>(row * heads.width())];
            const auto run = [&](float* x, int64_t count, const NormGain& gain, int64_t width) {
              const auto normed = run_norm(*backend, gain, 1e-6f, {x, static_cast<size_t>(count)}, width).y;
              std::copy(normed.begin(), normed.end(), x);
            };
            if (values) {
              run(at + q_width + kv_width, kv_width, **v, 12);
              continue;
            }
            run(at, q_width, row >= 5 && row < 8 ? **own : **q, q_gain.cols);
            run(at + q_width, kv_width, **k, k_gain.cols);
          }
        };
        const auto scratch = create_kv(*backend, kv, 1);
        normalize(true);
        if (!after) normalize(false);
        expected.qkv = rotate(*backend, {*scratch, 0}, expected, *rotation, desc);
        if (after) normalize(false);

        const auto cache = create_kv(*backend, kv, 1);
        const auto qkv = rotate(*backend, {*cache, 0}, step, *rotation, desc, norms);
        INFO(device_of(*backend), " whole=", whole, " after=", after);
        CHECK((qkv == expected.qkv));
      }
    }
  }
}

// Held against rows that have all three: what is left out there changes nothing.
TEST_CASE("rows of queries and keys give keys as values, and rows of queries alone see what others wrote") {
  Random random(59);
  for (const HeadShape heads : {HeadShape{4, 2, 64}, {3, 1, 20}, {4, 4, 6}}) {
    const int64_t q_width = int64_t{heads.q_heads} * heads.head_dim;
    const int64_t kv_width = int64_t{heads.kv_heads} * heads.head_dim;
    const KvCase kv = random_kv(random, heads, 16, DType::f32, {60, 12});
    StepCase all = step_of(kv, {{0, 0, 60}, {1, 0, 12}});
    std::vector<float> keys, queries;
    for (int64_t row = 0; row < all.rows(); ++row) {
      const auto q = all.qkv.begin() + row * heads.width(), k = q + q_width;
      std::copy(k, k + kv_width, k + kv_width);
      keys.insert(keys.end(), q, k + kv_width);
      queries.insert(queries.end(), q, k);
    }
    const Numbers q_gain = random_tensor(random, 1, heads.head_dim, DType::f32, 0.5, 2);
    const Numbers k_gain = random_tensor(random, 1, heads.head_dim, DType::f32, 0.5, 2);
    for (const auto& backend : all_backends()) {
      const auto rotation = rotation_of(*backend, some_rotation(heads, 1.0f));
      NormDesc plain;
      plain.width = heads.head_dim;
      const auto q = backend->norm_create(rms_of(q_gain)), k = backend->norm_create(rms_of(k_gain)),
                 v = backend->norm_create(plain);
      const HeadNorms norms{{q->get(), 1e-6f, {}}, {k->get(), 1e-6f, {}}, {v->get(), 1e-6f, {}}};
      const auto cache = create_kv(*backend, kv, 2);
      const auto run = [&](const std::vector<float>& rows, Projected projected, int layer) {
        AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim};
        desc.projected = projected;
        const auto qkv = on_device(*backend, rows, desc.width());
        const auto out =
            on_device(*backend, std::vector<float>(static_cast<size_t>(all.rows() * q_width), NAN), q_width);
        submit(*backend, all.input(), [&] {
          backend->rope_kv(whole(*qkv), *cache, layer, *rotation, desc, norms);
          backend->attention(whole(*out), whole(*qkv), *cache, layer, desc);
        });
        return from_device(*backend, *out);
      };
      const auto expected = run(all.qkv, Projected::qkv, 0);
      INFO(device_of(*backend), " head_dim=", heads.head_dim);
      CHECK((run(keys, Projected::qk, 1) == expected));
      CHECK((run(queries, Projected::q, 1) == expected));
    }
  }
}

TEST_CASE("rope_kv scales queries by their position where it is asked to") {
  Random random(57);
  const HeadShape heads{2, 1, 8};
  const KvCase kv = random_kv(random, heads, 16, DType::f32, {300});
  const StepCase step = step_of(kv, {{0, 0, 300}});
  std::vector<double> values, bounds;
  for (int64_t row = 0; row < step.rows(); ++row) {
    const double factor = 1.0 + 0.1 * std::log(1.0 + std::floor(static_cast<double>(row + 1) / 64.0));
    for (int d = 0; d < heads.width(); ++d) {
      const double x = step.qkv[static_cast<size_t>(row * heads.width() + d)];
      values.push_back(d < 16 ? factor * x : x);
      bounds.push_back(d < 16 ? 3 * kEpsilon * std::abs(factor * x) : 0.0);
    }
  }
  for (const auto& backend : all_backends()) {
    const auto cache = create_kv(*backend, kv, 1);
    AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim};
    desc.query_scaling = {0.1f, 64.0f, 1};
    const auto qkv = rotate(*backend, {*cache, 0}, step, *rotation_of(*backend, {}), desc);
    INFO(device_of(*backend));
    CHECK(worst_ratio(qkv, values, bounds) <= 1.0);
  }
}

TEST_CASE("rope_kv clips q, k and v before it turns them, where it is asked to") {
  Random random(58);
  const HeadShape heads{4, 2, 8};
  const KvCase kv = random_kv(random, heads, 16, DType::f32, {20});
  const StepCase step = step_of(kv, {{0, 0, 20}});
  constexpr float kClip = 0.5f;
  StepCase clipped = step;
  for (float& x : clipped.qkv) x = std::clamp(x, -kClip, kClip);
  REQUIRE((clipped.qkv != step.qkv));
  for (const auto& backend : all_backends()) {
    const auto rotation = rotation_of(*backend, some_rotation(heads, 1.0f));
    AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim};
    const auto cache = create_kv(*backend, kv, 1);
    const auto expected = rotate(*backend, {*cache, 0}, clipped, *rotation, desc);
    desc.clip = kClip;
    const auto qkv = rotate(*backend, {*cache, 0}, step, *rotation, desc);
    INFO(device_of(*backend));
    CHECK((qkv == expected));
  }
}

TEST_CASE("rope_kv keeps two rotations of one step apart, and steps apart") {
  Random random(52);
  const HeadShape heads{2, 1, 8};
  const KvCase kv = random_kv(random, heads, 4, DType::f32, {20});
  const RotationDesc first = some_rotation(heads, 1.0f);
  RotationDesc second = first;
  second.inv_freq[1] = 0.25f;
  for (const auto& backend : all_backends()) {
    const auto cache = create_kv(*backend, kv, 1);
    const std::unique_ptr<Rotation> rotations[] = {rotation_of(*backend, first),
                                                   rotation_of(*backend, second)};
    for (const Chunk chunk : {Chunk{0, 0, 9}, {0, 9, 20}, {0, 3, 4}}) {
      const StepCase step = step_of(kv, {chunk});
      std::unique_ptr<Tensor> qkv[3];
      for (auto& own : qkv) own = on_device(*backend, step.qkv, heads.width());
      submit(*backend, step.input(), [&] {
        for (size_t turn = 0; turn < 3; ++turn) {
          backend->rope_kv(whole(*qkv[turn]), *cache, 0, *rotations[turn % 2],
                           {heads.q_heads, heads.kv_heads, heads.head_dim});
        }
      });
      for (size_t turn = 0; turn < 3; ++turn) {
        std::vector<double> values, bounds;
        expect_rotated(step, heads, turn % 2 == 0 ? first : second, values, bounds);
        INFO(device_of(*backend));
        CHECK(worst_ratio(from_device(*backend, *qkv[turn]), values, bounds) <= 1.0);
      }
    }
  }
}

TEST_CASE("a step copies whole pages in all layers and nothing else, before its own ops") {
  Random random(53);
  const HeadShape heads{4, 2, 12};
  for (const DType type : kAllKvTypes) {
    for (const int page_tokens : {1, 3, 16}) {
      const KvCase kv = random_kv(random, heads, page_tokens, type, {3 * page_tokens});
      // The copy: the same sequence on pages of its own, the middle one shared.
      KvCase copy = kv;
      std::vector<int32_t> unused;
      for (int32_t page = 0; page < kv.pages; ++page) {
        if (std::find(kv.sequences[0].pages.begin(), kv.sequences[0].pages.end(), page) ==
            kv.sequences[0].pages.end()) {
          unused.push_back(page);
        }
      }
      REQUIRE(unused.size() >= 2);
      copy.sequences[0].pages[0] = unused[0];
      copy.sequences[0].pages[2] = unused[1];
      const AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim};
      const int length = kv.sequences[0].length;
      for (const auto& backend : all_backends()) {
        const auto cache = create_kv(*backend, kv, 2);
        const StepCase fill = step_of(kv, {{0, 0, length - 1}});
        const StepCase last = step_of(kv, {{0, length - 1, length}});
        const StepCase last_of_copy = step_of(copy, {{0, length - 1, length}});
        for (const int layer : {0, 1}) (void)attend(*backend, {*cache, layer}, fill, desc);
        const std::vector<int32_t> from{kv.sequences[0].pages[0], kv.sequences[0].pages[2]};
        StepInput copying;
        copying.copies = {cache.get(), from, unused};
        copying.copies.to = std::span(unused).first(2);
        submit(*backend, copying, [] {});
        for (const int layer : {0, 1}) {
          const auto from_original = attend(*backend, {*cache, layer}, last, desc);
          const auto from_copy = attend(*backend, {*cache, layer}, last_of_copy, desc);
          INFO(device_of(*backend), " page_tokens=", page_tokens, " layer=", layer);
          CHECK((from_original == from_copy));
        }
      }
    }
  }
}

TEST_CASE("a KV cache holds the bytes of its shape, in int8 with a float32 scale for each key and value") {
  const std::pair<DType, size_t> vector_bytes[] = {
      {DType::f32, 48}, {DType::f16, 24}, {DType::bf16, 24}, {DType::int8, 16}};
  for (const auto& [type, bytes] : vector_bytes) {
    // The last layer has heads of its own.
    const KvDesc desc{.layers = {{2, 12}, {2, 12}, {4, 12}}, .pages = 10, .page_tokens = 5, .type = type};
    CHECK(kv_page_bytes(desc) == 2 * 5 * (2 + 2 + 4) * bytes);
    for (const auto& backend : all_backends()) {
      auto cache = backend->kv_create(desc);
      REQUIRE(cache);
      CHECK((*cache)->bytes() == 10 * kv_page_bytes(desc));
    }
  }
}

TEST_CASE("an int8 cache keeps a value within half a step of its largest, at any size of it") {
  Random random(54);
  const HeadShape heads{1, 1, 22};
  const AttentionDesc desc{heads.q_heads, heads.kv_heads, heads.head_dim, 1.0f};
  for (const float size : {1e-29f, 1e-20f, 1.0f, 1e20f, 3e38f}) {
    KvCase kv = random_kv(random, heads, 3, DType::int8, {1});
    const size_t value = 2 * 22;
    for (size_t d = 0; d < 3 * 22; ++d) {
      float& x = kv.sequences[0].qkv[d];
      x = d < value ? 0.0f : x / 2 * size;
    }
    kv.sequences[0].qkv[value + 20] = -size;
    for (const auto& backend : all_backends()) {
      const auto cache = create_kv(*backend, kv, 1);
      // Alone in its context, a value is the output.
      const auto out = attend(*backend, {*cache, 0}, step_of(kv, {{0, 0, 1}}), desc);
      INFO(device_of(*backend), " size ", size);
      double worst = 0;
      for (size_t d = 0; d < 22; ++d) {
        const double x = kv.sequences[0].qkv[value + d];
        worst = std::max(worst, std::abs(static_cast<double>(out[d]) - x) / static_cast<double>(size));
      }
      CHECK(worst <= 0.5 / 127 * 1.00001);
      CHECK(worst >= 0.1 / 127);
      CHECK(std::abs(static_cast<double>(out[20]) / static_cast<double>(size) + 1) <= 4 * kEpsilon);
    }
  }
}

TEST_CASE("an int8 cache of heads of odd size is refused on the CPU backend") {
  const auto backend = make_cpu_backend({});
  REQUIRE(backend);
  const auto cache =
      (*backend)->kv_create({.layers = {{1, 5}}, .pages = 1, .page_tokens = 1, .type = DType::int8});
  REQUIRE_FALSE(cache);
  CHECK(cache.error().message.find("odd") != std::string::npos);
}
