#include <cstring>
#include <random>

#include "model/safetensors.h"
#include "test/checks.h"

namespace lorikeet {

namespace {

std::vector<std::byte> file_of(const std::string& header, size_t data_bytes, uint64_t stated_length) {
  std::vector<std::byte> file(8 + header.size() + data_bytes);
  std::memcpy(file.data(), &stated_length, 8);
  std::memcpy(file.data() + 8, header.data(), header.size());
  return file;
}

std::vector<std::byte> file_of(const std::string& header, size_t data_bytes) {
  return file_of(header, data_bytes, header.size());
}

}  // namespace

TEST_CASE("a well-formed file gives its tensors with offsets from the start of the file") {
  const std::string header =
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[3],"data_offsets":[16,22]},)"
      R"("a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"e":{"dtype":"F32","shape":[0,4],"data_offsets":[22,22]}})";
  const auto tensors = parse_safetensors_header(file_of(header, 22));
  REQUIRE(tensors);
  CHECK(tensors->size() == 3);
  const TensorInfo& b = tensors->at("b");
  CHECK(b.dtype == "BF16");
  CHECK(b.shape == std::vector<int64_t>{3});
  CHECK(b.begin == 8 + header.size() + 16);
  CHECK(b.end == b.begin + 6);
}

TEST_CASE("a malformed file is refused with its fault") {
  const auto one = [](const char* dtype, const char* shape, const char* offsets) {
    return std::string(R"({"a":{"dtype":")") + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
           offsets + "}}";
  };
  struct Case {
    std::vector<std::byte> file;
    const char* says;
  };
  const Case cases[] = {
      {std::vector<std::byte>(7), "shorter"},
      {file_of("{}", 0, 3), "exceeds"},
      {file_of("{}", 0, UINT64_MAX), "exceeds"},
      {file_of("[]", 0), "JSON object"},
      {file_of("{\"a\":", 0), "JSON object"},
      {file_of(one("F32", "[2]", "[0,8]") + "}", 8), "JSON object"},
      {file_of(
           R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
           4),
       "twice"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "exactly"},
      {file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}})", 4), "exactly"},
      {file_of(R"({"a":7})", 4), "exactly"},
      {file_of(one("F31", "[1]", "[0,4]"), 4), "dtype"},
      {file_of(one("F32", "[-1]", "[0,4]"), 4), "wrong type"},
      {file_of(one("F32", "[1.5]", "[0,4]"), 4), "wrong type"},
      {file_of(one("F32", "2", "[0,8]"), 8), "wrong type"},
      {file_of(one("F32", "[1]", "[0]"), 4), "wrong type"},
      {file_of(one("F32", "[4611686018427387904,4]", "[0,0]"), 0), "overflows"},
      {file_of(one("F32", "[18446744073709551615]", "[0,0]"), 0), "overflows"},
      {file_of(one("F32", "[1]", "[4,0]"), 4), "outside"},
      {file_of(one("F32", "[2]", "[0,8]"), 4), "outside"},
      {file_of(one("F32", "[2]", "[0,4]"), 4), "needs 8"},
      {file_of(one("F32", "[1]", "[0,4]"), 5), "follow"},
      {file_of(one("F32", "[1]", "[4,8]"), 8), "hole"},
      {file_of(
           R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
           12),
       "overlaps"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.says);
    const auto tensors = parse_safetensors_header(test.file);
    REQUIRE_FALSE(tensors);
    CHECK_MESSAGE(tensors.error().message.find(test.says) != std::string::npos, tensors.error().message);
  }
}

TEST_CASE("no corrupt header crashes the reader") {
  const std::string header =
      R"({"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"b":{"dtype":"F16","shape":[4],"data_offsets":[16,24]}})";
  const std::vector<std::byte> good = file_of(header, 24);
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> bad = good;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      bad[random() % bad.size()] = static_cast<std::byte>(random());
    }
    if (random() % 4 == 0) bad.resize(random() % bad.size());
    const auto tensors = parse_safetensors_header(bad);
    if (!tensors) continue;
    for (const auto& [name, tensor] : *tensors) CHECK(tensor.end <= bad.size());
  }
}

}  // namespace lorikeet
