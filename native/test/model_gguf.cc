#include <random>

#include "backend/shared/coded_values.h"
#include "backend/shared/dtype.h"
#include "model/gguf/gguf_blocks.h"
#include "model/gguf/gguf_config.h"
#include "model/gguf/gguf_file.h"
#include "model/gguf/gguf_types.h"
#include "test/checks.h"
#include "test/gguf_bytes.h"

namespace lorikeet {

namespace {

constexpr uint32_t kF32 = 0, kF16 = 1, kQ4_0 = 2, kIq2 = 16;

GgufBytes good_file() {
  GgufBytes file;
  file.preamble(2, 5).key_text("general.architecture", "llama").key_u32("llama.block_count", 3);
  file.text("list").number<uint32_t>(9).number<uint32_t>(8).number<uint64_t>(2).text("a").text("bc");
  file.text("numbers").number<uint32_t>(9).number<uint32_t>(6).number<uint64_t>(2).number(1.5f).number(-2.0f);
  file.text("flag").number<uint32_t>(7).number<uint8_t>(1);
  file.tensor("b", {3}, kF16, 64).tensor("a", {4, 3}, kF32, 0).pad();
  return std::move(file.data(64 + 32));
}

GgufBytes one(const std::vector<uint64_t>& shape, uint32_t type, uint64_t offset, size_t data) {
  GgufBytes file;
  file.preamble(1, 0).tensor("a", shape, type, offset).pad().data(data);
  return file;
}

}  // namespace

TEST_CASE("a GGUF file gives its metadata, and its tensors with the slowest dimension first") {
  for (const size_t trailing : {size_t{0}, size_t{26}}) {  // the last tensor's padding may be there or not
    std::vector<std::byte> bytes = good_file().bytes;
    bytes.resize(bytes.size() - trailing);
    const auto header = parse_gguf_header(bytes);
    REQUIRE(header);
    CHECK(header->find("general.architecture")->text() == "llama");
    CHECK(header->find("llama.block_count")->number() == 3);
    const GgufValue& list = *header->find("list");
    uint64_t at = 0;
    CHECK(list.count == 2);
    CHECK(list.next_text(at) == "a");
    CHECK(list.next_text(at) == "bc");
    CHECK(header->find("numbers")->number(1) == -2.0);
    CHECK(header->find("flag")->number() == 1);
    CHECK(header->find("absent") == nullptr);
    const TensorInfo& a = header->tensors.at("a");
    CHECK(a.shape == std::vector<int64_t>{3, 4});
    CHECK(a.dtype == "F32");
    CHECK(a.end - a.begin == 48);
    CHECK(a.begin % 32 == 0);
    CHECK(header->tensors.at("b").begin == a.begin + 64);
  }
}

TEST_CASE("a malformed GGUF file is refused with its fault") {
  const auto made = [](auto write) {
    GgufBytes file;
    write(file);
    return file;
  };
  const auto with_key = [&](auto write) {
    return made([&](GgufBytes& file) {
      file.preamble(0, 1);
      write(file);
    });
  };
  GgufBytes trailing = good_file();
  trailing.data(40);
  struct Case {
    GgufBytes file;
    const char* says;
  };
  const Case cases[] = {
      {made([](GgufBytes& f) { f.data(3); }), "does not begin with GGUF"},
      {made([](GgufBytes& f) { f.number<uint32_t>(0x47475546).data(20); }), "does not begin with GGUF"},
      {made([](GgufBytes& f) { f.preamble(0, 0, 1); }), "GGUF version 1"},
      {made([](GgufBytes& f) { f.preamble(0, 0, 4); }), "GGUF version 4"},
      {made([](GgufBytes& f) { f.preamble(0, 0, 0x03000000); }), "big-endian"},
      {made([](GgufBytes& f) { f.preamble(0, UINT64_MAX); }), "keys, for which it is too small"},
      {made([](GgufBytes& f) { f.preamble(UINT64_MAX / 2, 0); }), "tensors, for which it is too small"},
      {with_key([](GgufBytes& f) { f.number<uint64_t>(UINT64_MAX).data(20); }), "ends within its header"},
      {with_key([](GgufBytes& f) { f.text("").number<uint32_t>(7).number<uint8_t>(0).data(8); }),
       "a key of 0 bytes"},
      {with_key([](GgufBytes& f) { f.text("k").number<uint32_t>(13).data(8); }), "unknown type 13"},
      {with_key([](GgufBytes& f) { f.text("k").number<uint32_t>(10).number<uint32_t>(1); }),
       "k says that it holds 1"},
      {with_key([](GgufBytes& f) { f.text("k").number<uint32_t>(8).number<uint64_t>(99).data(8); }),
       "within the value of k"},
      {with_key([](GgufBytes& f) {
         f.text("k").number<uint32_t>(9).number<uint32_t>(9).number<uint64_t>(1).data(20);
       }),
       "array of arrays"},
      {with_key(
           [](GgufBytes& f) { f.text("k").number<uint32_t>(9).number<uint32_t>(4).number(UINT64_MAX / 2); }),
       "for which the file is too small"},
      {with_key(
           [](GgufBytes& f) { f.text("k").number<uint32_t>(9).number<uint32_t>(8).number(UINT64_MAX / 8); }),
       "for which the file is too small"},
      {made([](GgufBytes& f) { f.preamble(0, 2).key_u32("k", 1).key_u32("k", 1); }), "the key k twice"},
      {with_key([](GgufBytes& f) { f.key_u32("general.alignment", 24); }), "power of two"},
      {with_key([](GgufBytes& f) { f.key_u32("general.alignment", 0); }), "power of two"},
      {with_key([](GgufBytes& f) { f.key_text("general.alignment", "32"); }), "power of two"},
      {one({}, kF32, 0, 64), "0 dimensions"},
      {one({1, 1, 1, 1, 1}, kF32, 0, 64), "5 dimensions"},
      {one({1u << 31, 1u << 31, 1u << 31}, kF32, 0, 64), "overflows"},
      {one({UINT64_MAX}, kF32, 0, 64), "overflows"},
      {one({0}, kF32, 0, 64), "empty"},
      {one({uint64_t{1} << 61}, kF32, 0, 64), "larger than the file"},
      {one({4}, 99, 0, 64), "unknown type 99"},
      {one({256}, kIq2, 0, 66), "IQ2_XXS, which is not implemented"},
      {one({33}, kQ4_0, 0, 64), "no multiple of the 32"},
      {one({32}, kQ4_0, 0, 17), "beyond the end"},
      {one({4}, kF32, 32, 64), "begins at 32"},
      {one({4}, kF32, 0, 64), "behind its last tensor"},
      {made([](GgufBytes& f) {
         f.preamble(2, 0).tensor("a", {4}, kF32, 0).tensor("a", {4}, kF32, 32).pad().data(64);
       }),
       "the tensor a twice"},
      {made([](GgufBytes& f) {
         f.preamble(2, 0).tensor("a", {16}, kF32, 0).tensor("b", {4}, kF32, 32).pad().data(96);
       }),
       "begins at 32"},
      {made([](GgufBytes& f) {
         f.preamble(2, 0).tensor("a", {4}, kF32, 0).tensor("b", {4}, kF32, 64).pad().data(96);
       }),
       "begins at 64"},
      {trailing, "behind its last tensor"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.says);
    const auto header = parse_gguf_header(test.file.bytes);
    REQUIRE_FALSE(header);
    CHECK_MESSAGE(header.error().message.find(test.says) != std::string::npos, header.error().message);
  }
}

TEST_CASE("no corrupt or cut GGUF file crashes the reader") {
  const std::vector<std::byte> good = good_file().bytes;
  for (size_t size = 0; size + 27 < good.size(); ++size)
    CHECK_FALSE(parse_gguf_header(std::span(good).first(size)));
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bad = good;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips)
      bad[random() % bad.size()] = static_cast<std::byte>(random());
    if (random() % 4 == 0) bad.resize(random() % bad.size());
    const auto header = parse_gguf_header(bad);
    if (!header) continue;
    for (const auto& [name, tensor] : header->tensors) CHECK(tensor.end <= bad.size());
    for (const auto& [key, value] : header->metadata) {
      uint64_t at = 0;
      for (uint64_t i = 0; i < value.count; ++i) {
        if (value.kind == GgufKind::text)
          value.next_text(at);
        else
          value.number(i);
      }
    }
  }
}

namespace {

// Bytes that a test in another language can make, too.
std::vector<std::byte> blocks_of(const GgufType& type, size_t count, std::initializer_list<size_t> halves) {
  std::vector<std::byte> blocks(count * type.bytes);
  uint32_t state = type.id;
  for (std::byte& byte : blocks) {
    state = state * 1664525u + 1013904223u;
    byte = static_cast<std::byte>(state >> 24);
  }
  for (size_t i = 0; i < count; ++i) {
    for (const size_t half : halves) blocks[i * type.bytes + half + 1] &= std::byte{0xbf};  // below 2 in size
  }
  return blocks;
}

uint64_t fnv1a(const std::vector<float>& values) {
  uint64_t hash = 14695981039346656037u;
  for (const float value : values) {
    const float unsigned_zero = value == 0.0f ? 0.0f : value;
    uint32_t bits;
    std::memcpy(&bits, &unsigned_zero, sizeof bits);
    for (int i = 0; i < 4; ++i) hash = (hash ^ (bits >> (8 * i) & 255)) * 1099511628211u;
  }
  return hash;
}

struct BlockCase {
  const char* type;
  std::initializer_list<size_t> halves;  // where in a block numbers of float16 stand
  uint64_t hash;                         // test/golden/make_gguf_models.py blocks
};

}  // namespace

TEST_CASE("blocks stand for the numbers that gguf.quants gives, to the bit") {
  const BlockCase cases[] = {
      {"Q8_0", {0}, 0x5adefa343459c96bu},    {"Q4_0", {0}, 0x91ef138bbac1fa08u},
      {"Q4_1", {0, 2}, 0x106b7b08a1514f74u}, {"Q5_0", {0}, 0x2a7ae74ec7ab63bbu},
      {"Q5_1", {0, 2}, 0x826b01f68d348f20u}, {"Q2_K", {80, 82}, 0x17716ea2ea6d5507u},
      {"Q3_K", {108}, 0x593c8195262cba1cu},  {"Q4_K", {0, 2}, 0x4f12816089064184u},
      {"Q5_K", {0, 2}, 0x38f7f3dc9dc9acdau}, {"Q6_K", {208}, 0x4cb01cac29b64a31u},
      {"IQ4_NL", {0}, 0x649ae7df23b04eceu},  {"IQ4_XS", {0}, 0xa9e25e2ab2e18909u},
      {"MXFP4", {}, 0xb5cfda557e1a0e64u},
  };
  for (const BlockCase& test : cases) {
    CAPTURE(test.type);
    const GgufType& type = *find_gguf_type(test.type);
    constexpr size_t kCount = 16;
    const std::vector<std::byte> blocks = blocks_of(type, kCount, test.halves);
    std::vector<float> values(kCount * type.values);
    const auto source =
        gguf_source(type, {.bytes = blocks, .rows = 2, .cols = static_cast<int64_t>(values.size() / 2)});
    CodedRowBuffer row(*source);
    for (int64_t i = 0; i < source->rows(); ++i) {
      REQUIRE(row.read(i));
      row.decode(&values[static_cast<size_t>(i * source->cols())]);
    }
    CHECK(fnv1a(values) == test.hash);
  }
}

}  // namespace lorikeet
