#include "backend/shared/nf4.h"

#include <algorithm>
#include <cmath>

namespace lorikeet {
namespace {

// Below it a block counts as zero: its reciprocal would not be finite.
constexpr float kSmallest = 1e-38f;

float reciprocal(float largest) {
  return 1.0f / std::max(largest, kSmallest);
}

// The number of midpoints below `value`: the nearest entry of an ascending table, halfway the lower one.
template <size_t kSize>
size_t nearest(const std::array<float, kSize>& midpoints, float value) {
  return static_cast<size_t>(std::lower_bound(midpoints.begin(), midpoints.end(), value) - midpoints.begin());
}

template <size_t kSize>
constexpr std::array<float, kSize - 1> midpoints_of(const std::array<float, kSize>& values) {
  std::array<float, kSize - 1> midpoints{};
  for (size_t i = 0; i + 1 < kSize; ++i) midpoints[i] = (values[i] + values[i + 1]) / 2;
  return midpoints;
}

constexpr std::array<float, 15> kNf4Midpoints = midpoints_of(kNf4Values);

// Decade e (-6 to 0) has 2^(6 + e) magnitudes: the middles of as many equal parts of [0.1, 1], times 10^e.
std::array<float, 256> make_dynamic_map() {
  static constexpr float kPowers[] = {1e-6f, 1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f, 1e0f};
  std::array<float, 256> map{};
  size_t size = 0;
  for (int decade = -6; decade <= 0; ++decade) {
    const int parts = 1 << (6 + decade);
    const auto boundary = [&](int i) {
      // As PyTorch computes linspace in float32: from the nearer end, each rounded once.
      const float step = (1.0f - 0.1f) / static_cast<float>(parts);
      return i < (parts + 1) / 2 ? std::fma(step, static_cast<float>(i), 0.1f)
                                 : std::fma(-step, static_cast<float>(parts - i), 1.0f);
    };
    for (int i = 0; i < parts; ++i) {
      const float middle = (boundary(i) + boundary(i + 1)) / 2.0f;
      const float value = kPowers[decade + 6] * middle;
      map[size++] = value;
      map[size++] = -value;
    }
  }
  map[size++] = 0.0f;
  map[size++] = 1.0f;
  std::sort(map.begin(), map.end());
  return map;
}

}  // namespace

namespace {

[[gnu::always_inline]] inline void to_integers(int8_t* q, const float* w, float largest) {
  const float inverse = reciprocal(largest);
  float scaled[kNf4Block];
  int32_t codes[kNf4Block] = {};
  for (int i = 0; i < kNf4Block; ++i) scaled[i] = std::min(std::max(w[i] * inverse, -1.0f), 1.0f);
  for (const float midpoint : kNf4Midpoints) {  // outside, so that the loop over weights vectorizes
    for (int i = 0; i < kNf4Block; ++i) codes[i] += scaled[i] > midpoint ? 1 : 0;
  }
  for (int i = 0; i < kNf4Block; ++i) q[i] = kNf4Integers[static_cast<size_t>(codes[i])];
}

#if defined(__x86_64__)
// The same comparisons on twice as many lanes.
[[gnu::target("avx2")]] void to_integers_avx2(int8_t* q, const float* w, float largest) {
  to_integers(q, w, largest);
}
#endif

}  // namespace

void nf4_integers(int8_t* q, const float* w, float largest) {
#if defined(__x86_64__)
  static const bool avx2 = __builtin_cpu_supports("avx2");
  if (avx2) return to_integers_avx2(q, w, largest);
#endif
  to_integers(q, w, largest);
}

const std::array<float, 256>& dynamic_map() {
  static const std::array<float, 256> map = make_dynamic_map();
  return map;
}

NestedAbsmax nest_absmax(std::span<const float> absmax) {
  static const std::array<float, 255> midpoints = midpoints_of(dynamic_map());
  NestedAbsmax nested;
  double sum = 0;
  for (const float value : absmax) sum += static_cast<double>(value);
  nested.offset = absmax.empty() ? 0.0f : static_cast<float>(sum / static_cast<double>(absmax.size()));
  for (size_t begin = 0; begin < absmax.size(); begin += kNf4NestedBlock) {
    const auto block = absmax.subspan(begin, std::min<size_t>(kNf4NestedBlock, absmax.size() - begin));
    float largest = 0;
    for (const float value : block) largest = std::max(largest, std::abs(value - nested.offset));
    const float inverse = reciprocal(largest);
    for (const float value : block) {
      const float scaled = std::clamp((value - nested.offset) * inverse, -1.0f, 1.0f);
      nested.codes.push_back(static_cast<uint8_t>(nearest(midpoints, scaled)));
    }
    nested.absmax.push_back(largest);
  }
  return nested;
}

std::vector<float> unnest_absmax(const NestedAbsmax& nested, std::span<const float> map, int block) {
  std::vector<float> absmax(nested.codes.size());
  for (size_t i = 0; i < absmax.size(); ++i) {
    absmax[i] = map[nested.codes[i]] * nested.absmax[i / static_cast<size_t>(block)] + nested.offset;
  }
  return absmax;
}

}  // namespace lorikeet
