// Quantized GGUF models (test/golden/make_gguf_models.py wrote them): what is held of them, while they are
// loaded too, and broken ones.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "allocations.h"
#include "model/checkpoint.h"
#include "model/gguf/gguf_model.h"
#include "model/gguf/gguf_types.h"
#include "scarce_memory.h"
#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

namespace fs = std::filesystem;

const fs::path kFolder = fs::path(LORIKEET_GOLDEN) / "gguf";
constexpr const char* kModels[] = {"llama-k", "qwen2-legacy", "gemma2-tables"};

std::string path_of(const std::string& model) {
  return kFolder / model / "model.gguf";
}

ModelOptions options_of(const std::string& path, Quantization quantization = Quantization::none) {
  ModelOptions options = tiny_options(path);
  options.backend = BackendKind::cpu;
  options.backend_options.threads = 2;
  options.quantization = quantization;
  return options;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Of the tensors in blocks: in the file, as float32, and as float32 of the largest.
struct Blocks {
  uint64_t bytes = 0;
  uint64_t dense = 0;
  uint64_t largest = 0;
};

Blocks blocks_of(const std::string& path) {
  const auto model = GgufModel::open(path);
  REQUIRE(model);
  Blocks blocks;
  for (const auto& [name, info] : model->header().tensors) {
    const GgufType& type = *find_gguf_type(info.dtype);
    if (!type.in_blocks()) continue;
    const uint64_t bytes = info.end - info.begin, dense = bytes / type.bytes * type.values * sizeof(float);
    blocks.bytes += bytes;
    blocks.dense += dense;
    blocks.largest = std::max(blocks.largest, dense);
  }
  REQUIRE(blocks.bytes > 0);
  return blocks;
}

// The float16 at a place of the first block of that type, made infinite.
std::string with_infinity(const std::string& path, const std::string& type, size_t at) {
  std::string bytes = read_file(path);
  const auto model = GgufModel::open(path);
  REQUIRE(model);
  for (const auto& [name, info] : model->header().tensors) {
    if (info.dtype != type) continue;
    bytes[info.begin + at] = '\0';
    bytes[info.begin + at + 1] = '\x7c';
    return bytes;
  }
  FAIL("no tensor of that type");
  return bytes;
}

}  // namespace

TEST_CASE("blocks of a GGUF file stay in their codes in memory, and are never decoded whole on the way") {
  for (const char* const name : kModels) {
    CAPTURE(name);
    const std::string path = path_of(name);
    const Blocks blocks = blocks_of(path);
    (void)take_largest_new();
    const auto model = Model::open(options_of(path));
    const uint64_t largest = take_largest_new();
    REQUIRE(model);
    const size_t held = (*model)->memory().weight_bytes;
    CHECK(held >= blocks.bytes);
    CHECK(held < blocks.dense / 3);
    CHECK(held < fs::file_size(path) * 5 / 4);
    CHECK(largest < blocks.largest / 2);
  }
}

TEST_CASE("a GGUF file that is quantized anew holds one decoded tensor at a time") {
  for (const char* const name : kModels) {
    CAPTURE(name);
    const auto model = Model::open(options_of(path_of(name), Quantization::int8));
    REQUIRE(model);
    CHECK((*model)->memory().weight_bytes < blocks_of(path_of(name)).dense / 3);
  }
}

TEST_CASE("a scale of a GGUF block that is no finite number ends the load, packed and quantized anew") {
  TempFolder folder;
  const std::string path = folder.path("model.gguf");
  struct Case {
    const char* model;
    const char* type;
    size_t at;
  };
  for (const Case& broken :
       {Case{"llama-k", "Q4_K", 0}, Case{"llama-k", "Q4_K", 2}, Case{"llama-k", "Q6_K", 208},
        Case{"qwen2-legacy", "Q4_1", 2}, Case{"gemma2-tables", "IQ4_XS", 0}}) {
    CAPTURE(broken.type);
    write_text(path, with_infinity(path_of(broken.model), broken.type, broken.at));
    for (const Quantization quantization : {Quantization::none, Quantization::int4}) {
      const auto model = Model::open(options_of(path, quantization));
      REQUIRE_FALSE(model);
      CHECK(model.error().message.find("NaN or infinite") != std::string::npos);
    }
  }
}

TEST_CASE("a GGUF model whose bytes are garbled anywhere gives an error or a model, and no crash") {
  TempFolder folder;
  const std::string path = folder.path("model.gguf");
  uint32_t state = 3;
  const auto random = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
  for (const char* const name : kModels) {
    CAPTURE(name);
    const std::string bytes = read_file(path_of(name));
    for (int turn = 0; turn < 60; ++turn) {
      std::string broken = bytes;
      // Most of a file is codes; its head is where most goes wrong.
      const size_t reach = turn % 2 == 0 ? broken.size() : std::min<size_t>(broken.size(), 8192);
      for (int flips = 0; flips < 4; ++flips) broken[random() % reach] = static_cast<char>(random());
      if (turn % 5 == 0) broken.resize(random() % broken.size());
      write_text(path, broken);
      const auto model = Model::open(options_of(path));
      if (!model) CHECK_FALSE(model.error().message.empty());
      if (turn % 5 == 0) CHECK_FALSE(model);
    }
  }
}

TEST_CASE("opening a GGUF model fails as out of memory at whichever allocation memory ends") {
  for (const MemoryOf kind : {MemoryOf::backend, MemoryOf::large_new}) {
    bool failed = true;
    for (int64_t count = 0; failed; ++count) {
      REQUIRE(count < 100'000);
      ScarceMemory scarce(kind, count);
      const auto opened = Model::open(options_of(path_of("llama-k")));
      failed = scarce.end();
      if (!failed) REQUIRE(opened);
      if (!opened) CHECK(opened.error().kind == ErrorKind::out_of_memory);
    }
  }
}

}  // namespace lorikeet::test
