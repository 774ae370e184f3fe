// The heads of latent attention: nothing but places.
#include "ops_fixture.h"

using namespace lorikeet;
using namespace lorikeet::test;

namespace {

constexpr int64_t kRows = 7, kLatent = 9;

std::vector<LatentHeads> head_shapes() {
  return {{1, 2, 2, 3}, {3, 4, 2, 6}, {16, 20, 12, 16}};
}

// A number that says where it comes from.
float named(int tensor, int64_t row, int64_t column) {
  return static_cast<float>(tensor * 1'000'000 + row * 10'000 + column);
}
std::vector<float> named_rows(int tensor, int64_t columns) {
  std::vector<float> values;
  for (int64_t row = 0; row < kRows; ++row) {
    for (int64_t column = 0; column < columns; ++column) values.push_back(named(tensor, row, column));
  }
  return values;
}

enum : uint8_t { kOfQ = 1, kOfKv, kOfLatent };

std::vector<float> joined(const LatentHeads& heads) {
  const int own = heads.head_dim(), both = heads.nope + heads.value_dim;
  std::vector<float> values;
  for (int64_t row = 0; row < kRows; ++row) {
    for (int h = 0; h < heads.heads; ++h) {
      for (int i = 0; i < heads.rope; ++i) values.push_back(named(kOfQ, row, h * own + heads.nope + i));
      for (int i = 0; i < heads.nope; ++i) values.push_back(named(kOfQ, row, h * own + i));
    }
    for (int h = 0; h < heads.heads; ++h) {
      for (int i = 0; i < heads.rope; ++i) values.push_back(named(kOfLatent, row, kLatent + i));
      for (int i = 0; i < heads.nope; ++i) values.push_back(named(kOfKv, row, h * both + i));
    }
    for (int h = 0; h < heads.heads; ++h) {
      for (int i = 0; i < own; ++i)
        values.push_back(i < heads.value_dim ? named(kOfKv, row, h * both + heads.nope + i) : 0.0f);
    }
  }
  return values;
}

}  // namespace

TEST_CASE("heads of latent attention are joined with what turns first, and trimmed to their values") {
  for (const LatentHeads& heads : head_shapes()) {
    for (const auto& backend : all_backends()) {
      INFO(device_of(*backend), " heads=", heads.heads);
      const auto q = on_device(*backend, named_rows(kOfQ, heads.q_width()), heads.q_width());
      const auto kv = on_device(*backend, named_rows(kOfKv, heads.kv_width()), heads.kv_width());
      const int64_t down = kLatent + heads.rope;
      const auto latent = on_device(*backend, named_rows(kOfLatent, down), down);
      const int64_t width = 3 * heads.q_width();
      const std::vector<float> unset(static_cast<size_t>(kRows * width), NAN);
      const auto qkv = on_device(*backend, unset, width);
      const auto own = on_device(*backend, std::span(unset).first(kRows * kLatent), kLatent);
      const auto trimmed =
          on_device(*backend, std::span(unset).first(static_cast<size_t>(kRows * heads.value_width())),
                    heads.value_width());
      submit(*backend, [&] {
        backend->join_heads(whole(*qkv), whole(*q), whole(*kv), whole(*latent), heads);
        backend->take_columns(whole(*own), whole(*latent), 0);
        backend->trim_heads(whole(*trimmed), whole(*q), heads);
      });
      CHECK(from_device(*backend, *qkv) == joined(heads));
      std::vector<float> first, values;
      for (int64_t row = 0; row < kRows; ++row) {
        for (int64_t i = 0; i < kLatent; ++i) first.push_back(named(kOfLatent, row, i));
        for (int h = 0; h < heads.heads; ++h) {
          for (int i = 0; i < heads.value_dim; ++i)
            values.push_back(named(kOfQ, row, h * heads.head_dim() + i));
        }
      }
      CHECK(from_device(*backend, *own) == first);
      CHECK(from_device(*backend, *trimmed) == values);
    }
  }
}
