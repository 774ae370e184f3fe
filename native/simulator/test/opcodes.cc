#include <bit>
#include <cfenv>
#include <cmath>
#include <functional>
#include <random>

#include "simulator/machine/numbers.h"
#include "simulator/test/machine.h"

namespace lorikeet::simulator {

namespace {

using Expected = std::function<uint64_t(uint64_t a, uint64_t b, uint64_t c)>;

// One instruction on %a, %b, %c into %d: with the letter of a size behind the name, h (16 bits), r (32), w
// (64).
struct Case {
  const char* instruction;
  Expected expected;
  uint64_t tolerance = 0;  // in units of the last place, of floats
};

const std::vector<uint64_t>& edges() {
  static const std::vector<uint64_t> values{0,
                                            1,
                                            2,
                                            31,
                                            32,
                                            33,
                                            0x7f,
                                            0x80,
                                            0xff,
                                            0x7fff,
                                            0x8000,
                                            0xffff,
                                            0x3f800000,
                                            0xbf800001,
                                            0x7f7fffff,
                                            0x00800000,
                                            0x80000000,
                                            0x7fffffff,
                                            0xffffffff,
                                            0x3fc00000,
                                            0x42f6e979,
                                            ~uint64_t{0},
                                            uint64_t{1} << 63,
                                            0x123456789abcdef0};
  return values;
}

std::string kernel_for(const std::vector<Case>& cases) {
  std::string text = R"(.version 7.4
.target sm_80
.address_size 64
)";
  for (size_t i = 0; i < cases.size(); ++i) {
    text += ".visible .entry k" + std::to_string(i) + R"((.param .u64 out, .param .u64 in) {
.reg .pred %p<3>; .reg .b16 %ah, %bh, %ch, %dh; .reg .b32 %t, %ar, %br, %cr, %dr; .reg .b64 %o, %i, %aw, %bw, %cw, %dw;
ld.param.u64 %o, [out]; ld.param.u64 %i, [in];
mov.u32 %t, %tid.x; mad.wide.u32 %o, %t, 8, %o; mad.wide.u32 %i, %t, 24, %i;
ld.global.u64 %aw, [%i]; ld.global.u64 %bw, [%i+8]; ld.global.u64 %cw, [%i+16];
cvt.u32.u64 %ar, %aw; cvt.u32.u64 %br, %bw; cvt.u32.u64 %cr, %cw;
cvt.u16.u32 %ah, %ar; cvt.u16.u32 %bh, %br; cvt.u16.u32 %ch, %cr;
mov.u64 %dw, 0; mov.u32 %dr, 0; mov.u16 %dh, 0; setp.ne.u32 %p1, %cr, 0;
)";
    const std::string instruction = cases[i].instruction;
    text += instruction + "\n";
    if (instruction.find("%dh") != std::string::npos) text += "cvt.u32.u16 %dr, %dh;\n";
    if (instruction.find("%dw") == std::string::npos) text += "cvt.u64.u32 %dw, %dr;\n";
    text += "st.global.u64 [%o], %dw;\nret;\n}\n";
  }
  return text;
}

bool is_near(uint64_t a, uint64_t b, uint64_t tolerance) {
  if (a == b) return true;
  const auto x = std::bit_cast<float>(static_cast<uint32_t>(a)),
             y = std::bit_cast<float>(static_cast<uint32_t>(b));
  if (std::isnan(x) && std::isnan(y)) return true;
  return tolerance > 0 && (a > b ? a - b : b - a) <= tolerance;
}

// Each on 128 triples, half of them made of edges.
void run_cases(const std::vector<Case>& cases) {
  constexpr uint32_t kThreads = 128;
  std::mt19937_64 random(11);
  std::vector<uint64_t> in(kThreads * 3);
  for (size_t i = 0; i < in.size(); ++i) in[i] = i % 6 < 3 ? edges()[random() % edges().size()] : random();
  Machine machine(kernel_for(cases));
  const uint64_t from = machine.upload(in), to = machine.allocate(kThreads * 8);
  for (size_t i = 0; i < cases.size(); ++i) {
    const LaunchResult result = machine.launch("k" + std::to_string(i), shape(1, kThreads), to, from);
    if (result.fault) FAIL(result.fault->text());
    const auto out = machine.download<uint64_t>(to, kThreads);
    for (size_t t = 0; t < kThreads; ++t) {
      const uint64_t a = in[t * 3], b = in[t * 3 + 1], c = in[t * 3 + 2],
                     expected = cases[i].expected(a, b, c);
      INFO(cases[i].instruction, " of ", hex(a), " ", hex(b), " ", hex(c), " gives ", hex(out[t]), ", not ",
           hex(expected));
      CHECK(is_near(out[t], expected, cases[i].tolerance));
    }
  }
}

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;

u64 wide(s64 value) {
  return static_cast<u64>(value);
}
u64 low(s64 value) {
  return static_cast<u32>(value);
}
float f(u64 bits) {
  return std::bit_cast<float>(static_cast<u32>(bits));
}
double d(u64 bits) {
  return std::bit_cast<double>(bits);
}
u64 bits(float value) {
  return std::bit_cast<u32>(value);
}
u64 bits(double value) {
  return std::bit_cast<u64>(value);
}

}  // namespace

TEST_CASE("integer instructions give what 128-bit arithmetic gives") {
  run_cases({
      {"add.s32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return low(s64(a) + s64(b)); }},
      {"add.u64 %dw, %aw, %bw;", [](u64 a, u64 b, u64) { return a + b; }},
      {"add.s16 %dh, %ah, %bh;", [](u64 a, u64 b, u64) { return (a + b) & 0xffff; }},
      {"sub.u32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return low(s64(a) - s64(b)); }},
      {"add.sat.s32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) { return low(std::clamp<s64>(s64{s32(a)} + s32(b), INT32_MIN, INT32_MAX)); }},
      {"mul.lo.s32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return u64{u32(a * b)}; }},
      {"mul.hi.s32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return low((s64{s32(a)} * s32(b)) >> 32); }},
      {"mul.hi.u32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return (u64{u32(a)} * u32(b)) >> 32; }},
      {"mul.hi.u64 %dw, %aw, %bw;",
       [](u64 a, u64 b, u64) { return u64((static_cast<unsigned __int128>(a) * b) >> 64); }},
      {"mul.hi.s64 %dw, %aw, %bw;",
       [](u64 a, u64 b, u64) { return u64((static_cast<__int128>(s64(a)) * s64(b)) >> 64); }},
      {"mul.wide.s32 %dw, %ar, %br;", [](u64 a, u64 b, u64) { return wide(s64{s32(a)} * s32(b)); }},
      {"mul.wide.u32 %dw, %ar, %br;", [](u64 a, u64 b, u64) { return u64{u32(a)} * u32(b); }},
      {"mul.wide.s16 %dr, %ah, %bh;", [](u64 a, u64 b, u64) { return low(s64{s16(a)} * s16(b)); }},
      {"mad.lo.s32 %dr, %ar, %br, %cr;", [](u64 a, u64 b, u64 c) { return u64{u32(a * b + c)}; }},
      {"mad.wide.s32 %dw, %ar, %br, %cw;",
       [](u64 a, u64 b, u64 c) { return wide(s64{s32(a)} * s32(b)) + c; }},
      {"mad.hi.u32 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) { return u64{u32(((u64{u32(a)} * u32(b)) >> 32) + c)}; }},
      {"div.u32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) { return u32(b) ? u64{u32(a) / u32(b)} : 0xffffffff; }},
      {"div.s32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) { return u32(b) ? low(s64{s32(a)} / s32(b)) : 0xffffffff; }},
      {"rem.s32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) { return u32(b) ? low(s64{s32(a)} % s32(b)) : u64{u32(a)}; }},
      {"rem.u64 %dw, %aw, %bw;", [](u64 a, u64 b, u64) { return b ? a % b : a; }},
      {"min.s32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return low(std::min(s32(a), s32(b))); }},
      {"max.u64 %dw, %aw, %bw;", [](u64 a, u64 b, u64) { return std::max(a, b); }},
      {"abs.s32 %dr, %ar;", [](u64 a, u64, u64) { return low(std::abs(s64{s32(a)})); }},
      {"neg.s64 %dw, %aw;", [](u64 a, u64, u64) { return 0 - a; }},
      {"sad.u32 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) { return low(std::abs(s64{u32(a)} - s64{u32(b)}) + s64(c)); }},
      {"popc.b64 %dr, %aw;",
       [](u64 a, u64, u64) {
         u64 n = 0;
         for (; a; a &= a - 1) ++n;
         return n;
       }},
      {"clz.b32 %dr, %ar;",
       [](u64 a, u64, u64) {
         u64 n = 0;
         while (n < 32 && !(u32(a) >> (31 - n) & 1)) ++n;
         return n;
       }},
      {"bfind.u32 %dr, %ar;",
       [](u64 a, u64, u64) {
         for (int i = 31; i >= 0; --i) {
           if (a >> i & 1) return u64(i);
         }
         return u64{0xffffffff};
       }},
      {"bfind.s32 %dr, %ar;",
       [](u64 a, u64, u64) {
         const u32 v = s32(a) < 0 ? ~u32(a) : u32(a);
         for (int i = 31; i >= 0; --i) {
           if (v >> i & 1) return u64(i);
         }
         return u64{0xffffffff};
       }},
      {"brev.b32 %dr, %ar;",
       [](u64 a, u64, u64) {
         u64 r = 0;
         for (int i = 0; i < 32; ++i) r |= (a >> i & 1) << (31 - i);
         return r;
       }},
      {"dp4a.s32.u32 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) {
         s64 sum = s64(c);
         for (int i = 0; i < 32; i += 8) sum += s8(a >> i) * u8(b >> i);
         return low(sum);
       }},
  });
}

TEST_CASE("instructions on bits") {
  const auto bfe = [](u64 a, u64 b, u64 c, bool is_signed) {
    const u32 position = b & 0xff, length = c & 0xff;
    u32 sign = 0;
    if (is_signed && length > 0) sign = u32(a) >> std::min<u32>(position + length - 1, 31) & 1;
    u32 result = 0;
    for (u32 i = 0; i < 32; ++i) {
      const u32 bit = i < length && position + i <= 31 ? u32(a) >> (position + i) & 1 : sign;
      result |= bit << i;
    }
    return u64{result};
  };
  run_cases({
      {"and.b32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return u64{u32(a & b)}; }},
      {"or.b64 %dw, %aw, %bw;", [](u64 a, u64 b, u64) { return a | b; }},
      {"xor.b16 %dh, %ah, %bh;", [](u64 a, u64 b, u64) { return (a ^ b) & 0xffff; }},
      {"not.b32 %dr, %ar;", [](u64 a, u64, u64) { return u64{u32(~a)}; }},
      {"cnot.b32 %dr, %ar;", [](u64 a, u64, u64) { return u64{u32(a) == 0}; }},
      {"lop3.b32 %dr, %ar, %br, %cr, 0xca;",
       [](u64 a, u64 b, u64 c) { return u64{u32((a & b) | (~a & c))}; }},
      {"lop3.b32 %dr, %ar, %br, %cr, 0x96;", [](u64 a, u64 b, u64 c) { return u64{u32(a ^ b ^ c)}; }},
      {"shl.b32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return u32(b) > 31 ? 0 : u64{u32(a << u32(b))}; }},
      {"shr.u64 %dw, %aw, %br;", [](u64 a, u64 b, u64) { return u32(b) > 63 ? 0 : a >> u32(b); }},
      {"shr.s32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return low(s64{s32(a)} >> std::min(u32(b), 31u)); }},
      {"shr.s16 %dh, %ah, %br;", [](u64 a, u64 b, u64) { return u64{u16(s16(a) >> std::min(u32(b), 15u))}; }},
      {"shf.l.wrap.b32 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) {
         const u32 n = c & 31;
         return u64{n ? u32(b << n) | u32(a) >> (32 - n) : u32(b)};
       }},
      {"shf.r.clamp.b32 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) {
         const u32 n = std::min(u32(c), 32u);
         return u64{n == 32 ? u32(b) : n ? u32(b) << (32 - n) | u32(a) >> n : u32(a)};
       }},
      {"prmt.b32 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) {
         u8 bytes[8];
         for (int i = 0; i < 4; ++i) bytes[i] = u8(a >> (8 * i)), bytes[i + 4] = u8(b >> (8 * i));
         u64 result = 0;
         for (int i = 0; i < 4; ++i) {
           const u32 s = c >> (4 * i) & 15;
           result |= u64{s & 8 ? u8(s8(bytes[s & 7]) >> 7) : bytes[s & 7]} << (8 * i);
         }
         return result;
       }},
      {"bfe.u32 %dr, %ar, %br, %cr;", [=](u64 a, u64 b, u64 c) { return bfe(a, b, c, false); }},
      {"bfe.s32 %dr, %ar, %br, %cr;", [=](u64 a, u64 b, u64 c) { return bfe(a, b, c, true); }},
      {"bfi.b32 %dr, %ar, %br, %cr, 9;",
       [](u64 a, u64 b, u64 c) {
         u32 result = u32(b);
         for (u32 i = 0; i < 9; ++i) {
           const u32 at = (c & 0xff) + i;
           if (at < 32) result = (result & ~(1u << at)) | (u32(a >> i) & 1) << at;
         }
         return u64{result};
       }},
      {"mov.b64 %dw, {%ar, %br};", [](u64 a, u64 b, u64) { return u64{u32(a)} | b << 32; }},
      {"mov.b32 {%dh, %bh}, %ar;", [](u64 a, u64, u64) { return a & 0xffff; }},
      {"mov.b32 %dr, {%ah, %bh};", [](u64 a, u64 b, u64) { return (a & 0xffff) | (b & 0xffff) << 16; }},
      {"selp.b32 %dr, %ar, %br, %p1;", [](u64 a, u64 b, u64 c) { return u64{u32(c) ? u32(a) : u32(b)}; }},
      {"slct.u32.s32 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) { return u64{s32(c) >= 0 ? u32(a) : u32(b)}; }},
      {"setp.lt.and.s32 %p2|%p0, %ar, %br, %p1; selp.u32 %dr, 1, 0, %p2; @%p0 add.u32 %dr, %dr, 2;",
       [](u64 a, u64 b, u64 c) {
         return u64{s32(a) < s32(b) && u32(c)} + 2 * u64{!(s32(a) < s32(b)) && u32(c)};
       }},
      {"setp.gtu.f32 %p2, %ar, %br; @!%p2 mov.u32 %dr, 5;",
       [](u64 a, u64 b, u64) { return f(a) <= f(b) ? u64{5} : u64{0}; }},
      {"set.ge.u32.u32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) { return u32(a) >= u32(b) ? u64{0xffffffff} : u64{0}; }},
  });
}

TEST_CASE("float instructions: rounding, flushing, clamping, functions") {
  run_cases({
      {"add.f32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return bits(f(a) + f(b)); }},
      {"mul.rn.f32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return bits(f(a) * f(b)); }},
      {"fma.rn.f32 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) { return bits(std::fma(f(a), f(b), f(c))); }},
      {"fma.rn.f64 %dw, %aw, %bw, %cw;",
       [](u64 a, u64 b, u64 c) {
         const double r = std::fma(d(a), d(b), d(c));
         return std::isnan(r) ? bits(r) : bits(r);
       }},
      {"mul.sat.f32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) {
         const float r = f(a) * f(b);
         return bits(r > 0 ? std::min(r, 1.0f) : 0.0f);
       }},
      {"div.rn.f32 %dr, %ar, %br;", [](u64 a, u64 b, u64) { return bits(f(a) / f(b)); }},
      {"sqrt.rn.f32 %dr, %ar;", [](u64 a, u64, u64) { return bits(std::sqrt(f(a))); }},
      {"rcp.approx.f32 %dr, %ar;", [](u64 a, u64, u64) { return bits(1.0f / f(a)); }, 1},
      {"ex2.approx.f32 %dr, %ar;", [](u64 a, u64, u64) { return bits(std::exp2(f(a))); }, 2},
      {"lg2.approx.f32 %dr, %ar;", [](u64 a, u64, u64) { return bits(std::log2(f(a))); }, 2},
      {"tanh.approx.f32 %dr, %ar;", [](u64 a, u64, u64) { return bits(std::tanh(f(a))); }, 2},
      {"neg.f32 %dr, %ar;", [](u64 a, u64, u64) { return u64{u32(a) ^ 0x80000000u}; }},
      {"abs.f32 %dr, %ar;", [](u64 a, u64, u64) { return u64{u32(a) & 0x7fffffffu}; }},
      {"max.f32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) {
         const float x = f(a), y = f(b);
         return bits(x != x ? y : y != y ? x : x > y || (x == y && !std::signbit(x)) ? x : y);
       }},
      {"add.ftz.f32 %dr, %ar, 0f00000000;",
       [](u64 a, u64, u64) { return std::abs(f(a)) < 0x1p-126f ? u64{0} : bits(f(a) + 0.0f); }},
      {"fma.rn.bf16x2 %dr, %ar, %br, %cr;",
       [](u64 a, u64 b, u64 c) {
         u64 result = 0;
         for (int shift : {0, 16}) {
           const auto part = [&](u64 x) { return static_cast<double>(to_float(Brain{u16(x >> shift)})); };
           // A product of two is exact in double; nearly all sums are.
           const double exact = std::fma(part(a), part(b), part(c));
           float near = static_cast<float>(exact);
           if (static_cast<double>(near) != exact && !(std::bit_cast<u32>(near) & 1))
             near = std::nextafter(near, exact > static_cast<double>(near) ? INFINITY : -INFINITY);
           result |= u64{to_brain(near).bits} << shift;
         }
         return result;
       }},
  });
}

TEST_CASE("the directed roundings of f32 enclose the exact sum") {
  const auto by = [](int mode, auto compute) {
    return [=](u64 a, u64 b, u64 c) {
      std::fesetround(mode);
      volatile float x = f(a), y = f(b), z = f(c);
      const volatile float result = compute(x, y, z);
      std::fesetround(FE_TONEAREST);
      return bits(float{result});
    };
  };
  const auto sum = [](float x, float y, float) {
    volatile float p = x, q = y;
    return p + q;
  };
  const auto product = [](float x, float y, float) {
    volatile float p = x, q = y;
    return p * q;
  };
  const auto fused = [](float x, float y, float z) { return std::fma(x, y, z); };
  run_cases({
      {"add.rz.f32 %dr, %ar, %br;", by(FE_TOWARDZERO, sum)},
      {"add.rm.f32 %dr, %ar, %br;", by(FE_DOWNWARD, sum)},
      {"mul.rp.f32 %dr, %ar, %br;", by(FE_UPWARD, product)},
      {"fma.rz.f32 %dr, %ar, %br, %cr;", by(FE_TOWARDZERO, fused)},
  });
}

TEST_CASE("conversions in all roundings, with their limits") {
  const auto whole = [](double value, double least, double most) {
    return std::isnan(value) ? s64{0} : static_cast<s64>(std::clamp(value, least, most));
  };
  run_cases({
      {"cvt.s64.s32 %dw, %ar;", [](u64 a, u64, u64) { return wide(s32(a)); }},
      {"cvt.u32.u8 %dr, %ar;", [](u64 a, u64, u64) { return a & 0xff; }},
      {"cvt.s32.s8 %dr, %ar;", [](u64 a, u64, u64) { return low(s8(a)); }},
      {"cvt.s8.s32 %dr, %ar;", [](u64 a, u64, u64) { return low(s8(a)); }},
      {"cvt.sat.s8.s32 %dr, %ar;", [](u64 a, u64, u64) { return low(std::clamp(s32(a), -128, 127)); }},
      {"cvt.sat.u8.s32 %dr, %ar;", [](u64 a, u64, u64) { return low(std::clamp(s32(a), 0, 255)); }},
      {"cvt.u16.u64 %dh, %aw;", [](u64 a, u64, u64) { return a & 0xffff; }},
      {"cvt.rn.f32.s32 %dr, %ar;", [](u64 a, u64, u64) { return bits(static_cast<float>(s32(a))); }},
      {"cvt.rn.f32.u64 %dr, %aw;", [](u64 a, u64, u64) { return bits(static_cast<float>(a)); }},
      {"cvt.rz.f32.u32 %dr, %ar;",
       [](u64 a, u64, u64) {
         float n = static_cast<float>(u32(a));
         if (static_cast<double>(n) > u32(a)) n = std::nextafter(n, 0.0f);
         return bits(n);
       }},
      {"cvt.f64.f32 %dw, %ar;",
       [](u64 a, u64, u64) {
         const float x = f(a);
         return x != x ? bits(static_cast<double>(x)) : bits(static_cast<double>(x));
       }},
      {"cvt.rn.f32.f64 %dr, %aw;", [](u64 a, u64, u64) { return bits(static_cast<float>(d(a))); }},
      {"cvt.rzi.s32.f32 %dr, %ar;",
       [=](u64 a, u64, u64) {
         return low(whole(std::trunc(static_cast<double>(f(a))), -2147483648.0, 2147483647.0));
       }},
      {"cvt.rni.s32.f32 %dr, %ar;",
       [=](u64 a, u64, u64) {
         return low(whole(std::nearbyint(static_cast<double>(f(a))), -2147483648.0, 2147483647.0));
       }},
      {"cvt.rmi.u32.f32 %dr, %ar;",
       [=](u64 a, u64, u64) { return low(whole(std::floor(static_cast<double>(f(a))), 0, 4294967295.0)); }},
      {"cvt.rpi.f32.f32 %dr, %ar;", [](u64 a, u64, u64) { return bits(std::ceil(f(a))); }},
      {"cvt.rn.bf16.f32 %dh, %ar;",
       [](u64 a, u64, u64) {
         const u32 x = u32(a);
         if ((x & 0x7fffffff) > 0x7f800000) return u64{0x7fff};
         const u32 rest = x & 0xffff, kept = x >> 16;
         return u64{u16(kept + (rest > 0x8000 || (rest == 0x8000 && (kept & 1))))};
       }},
      {"cvt.rn.bf16x2.f32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) { return u64{to_brain(f(a)).bits} << 16 | to_brain(f(b)).bits; }},
      {"cvt.rz.f16.f32 %dh, %ar;",
       [](u64 a, u64, u64) { return u64{to_half(static_cast<double>(f(a)), Rounding::zero).bits}; }},
      {"cvt.rn.f16x2.f32 %dr, %ar, %br;",
       [](u64 a, u64 b, u64) {
         return u64{to_half(static_cast<double>(f(a))).bits} << 16 | to_half(static_cast<double>(f(b))).bits;
       }},
      {"cvt.rn.satfinite.e4m3x2.f32 %dh, %ar, %br;",
       [](u64 a, u64 b, u64) { return u64{to_e4m3(f(a))} << 8 | to_e4m3(f(b)); }},
      {"cvt.rna.tf32.f32 %dr, %ar;", [](u64 a, u64, u64) { return u64{to_tf32(f(a))}; }},
      {"cvt.f32.f16 %dr, %ah;",
       [](u64 a, u64, u64) {
         const int exponent = a >> 10 & 31, fraction = a & 1023;
         const double sign = a & 0x8000 ? -1 : 1;
         if (exponent == 31)
           return fraction ? bits(std::nanf("")) : bits(static_cast<float>(sign * INFINITY));
         return bits(static_cast<float>(
             sign * (exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24))));
       }},
  });
}

TEST_CASE("small floats: every f16 and e4m3 goes to float and back, and halves round to even") {
  for (uint32_t value = 0; value < 0x10000; ++value) {
    const Half half{static_cast<uint16_t>(value)};
    if ((value & 0x7fff) > 0x7c00) continue;
    CHECK(to_half(to_float(half)).bits == value);
    CHECK(to_half(static_cast<double>(to_float(half))).bits == value);
  }
  CHECK(to_half(2049.0f).bits == to_half(2048.0f).bits);
  CHECK(to_half(2051.0f).bits == to_half(2052.0f).bits);
  CHECK(to_half(65519.0f).bits == 0x7bff);
  CHECK(to_half(65520.0f).bits == 0x7c00);
  CHECK(to_half(0x1p-25f).bits == 0);
  CHECK(to_half(0x1.8p-25f).bits == 1);
  CHECK(to_e4m3(448.0f) == 0x7e);
  CHECK(to_e4m3(1e9f) == 0x7e);
  CHECK(to_e4m3(-0x1p-9f) == 0x81);
  CHECK(to_e4m3(1.0f) == 0x38);
  CHECK(to_e5m2(1.0f) == 0x3c);
}

}  // namespace lorikeet::simulator
