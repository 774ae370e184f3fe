#include <cmath>

#include "backend/shared/dtype.h"
#include "test/checks.h"

namespace lorikeet {

TEST_CASE("every f16 and bf16 survives the way to f32 and back") {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    if (!std::isnan(f16_to_f32(half))) CHECK(f32_to_f16(f16_to_f32(half)) == half);
    if (!std::isnan(bf16_to_f32(half))) CHECK(f32_to_bf16(bf16_to_f32(half)) == half);
  }
}

TEST_CASE("rounding is to nearest, ties to even, and overflow is infinity") {
  CHECK(f32_to_f16(1.0f + 0x1p-11f) == f32_to_f16(1.0f));
  CHECK(f32_to_f16(1.0f + 3 * 0x1p-11f) == f32_to_f16(1.0f + 0x1p-9f));
  CHECK(f32_to_f16(0x1p-25f) == 0);
  CHECK(f32_to_f16(0x1.8p-24f) == 2);
  CHECK(f32_to_f16(65519.0f) == 0x7bff);
  CHECK(f32_to_f16(65520.0f) == 0x7c00);
  CHECK(f32_to_f16(-INFINITY) == 0xfc00);
  CHECK(f32_to_bf16(1.0f + 0x1p-8f) == f32_to_bf16(1.0f));
  CHECK(f32_to_bf16(3.4e38f) == 0x7f80);
  CHECK(std::isnan(f16_to_f32(f32_to_f16(NAN))));
  CHECK(std::isnan(bf16_to_f32(f32_to_bf16(NAN))));
}

}  // namespace lorikeet
