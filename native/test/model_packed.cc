// Checkpoints that other tools packed (test/golden/make_packed.py wrote them): the weights bit for bit, and
// what is wrong with a broken one, said before anything is held.
#include <bit>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <sstream>

#include "backend/shared/coded_values.h"
#include "model/coded_checkpoint.h"
#include "model/inspect.h"
#include "model/network_config.h"
#include "model/weights.h"
#include "test/checks.h"
#include "tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;
namespace fs = std::filesystem;

const fs::path kPacked = fs::path(LORIKEET_GOLDEN) / "packed";

std::string read_file(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::vector<std::string> formats() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kPacked)) {
    if (fs::exists(entry.path() / "golden.json")) names.push_back(entry.path().filename());
  }
  REQUIRE(names.size() >= 15);
  return names;
}

// FNV-1a of the weights as float32, row by row.
std::string hash_of(const CodedSource& source) {
  uint64_t hash = 0xcbf29ce484222325u;
  CodedRowBuffer row(source);
  std::vector<float> values(static_cast<size_t>(source.cols()));
  for (int64_t n = 0; n < source.rows(); ++n) {
    REQUIRE(row.read(n));
    row.decode(values.data());
    for (const float value : values) {
      const auto bits = std::bit_cast<uint32_t>(value + 0.0f);
      for (int byte = 0; byte < 4; ++byte) hash = (hash ^ ((bits >> (8 * byte)) & 255u)) * 0x100000001b3u;
    }
  }
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
  return text;
}

// A copy of a format's model, to be broken.
struct Copy {
  TempFolder folder;
  std::string weights = folder.path("model.safetensors");

  explicit Copy(const std::string& format) {
    for (const auto& entry : fs::directory_iterator(kPacked / format / "model"))
      fs::copy(entry.path(), folder.path(entry.path().filename()));
  }
  // In the header, the length staying the same.
  void replace(const std::string& from, const std::string& to) {
    REQUIRE(from.size() == to.size());
    std::string bytes = read_file(weights);
    const size_t at = bytes.find(from);
    REQUIRE(at != std::string::npos);
    bytes.replace(at, to.size(), to);
    write_text(weights, bytes);
  }
  // Bytes of a tensor.
  void set(const std::string& tensor, size_t at, const std::string& value) {
    std::string bytes = read_file(weights);
    uint64_t length = 0;
    std::memcpy(&length, bytes.data(), sizeof length);
    const json header = json::parse(bytes.substr(8, length));
    bytes.replace(8 + length + header[tensor]["data_offsets"][0].get<size_t>() + at, value.size(), value);
    write_text(weights, bytes);
  }
  void set_config(const std::string& file, const json& change) {
    json config = json::parse(read_file(folder.path(file)));
    config.merge_patch(change);
    write_text(folder.path(file), config.dump());
  }
  // What opening says, and whether inspection says the same.
  std::string fault(bool seen_by_inspection = true) {
    const auto inspected = inspect_checkpoint(folder.path());
    CHECK(static_cast<bool>(inspected) != seen_by_inspection);
    return open_fault(folder.path());
  }
};

const std::string kUp = "model.layers.0.mlp.up_proj.";

}  // namespace

TEST_CASE("each packed format stands for the weights of its definition, bit for bit") {
  for (const std::string& name : formats()) {
    CAPTURE(name);
    const fs::path folder = kPacked / name;
    const json golden = json::parse(read_file(folder / "golden.json"));
    auto network = read_network(folder / "model");
    REQUIRE(network);
    auto checkpoint = Checkpoint::open(folder / "model");
    REQUIRE(checkpoint);
    size_t seen = 0;
    for (const Module& module : list_modules(*network)) {
      if (!golden["dequantized"].contains(module.name)) continue;
      const bool table = module.kind == ModuleKind::embedding;
      const auto source =
          take_coded(*checkpoint, network->format,
                     {module.name, table ? module.in : module.out, table ? module.out : module.in});
      REQUIRE(source);
      CHECK(hash_of(**source) == golden["dequantized"][module.name].get<std::string>());
      ++seen;
    }
    CHECK(seen == golden["dequantized"].size());
  }
}

TEST_CASE("a packed checkpoint takes the memory of its codes, and QUANTIZATION leaves them alone") {
  for (const std::string& name : formats()) {
    CAPTURE(name);
    size_t bytes[2];
    for (const Quantization quantization : {Quantization::none, Quantization::int8}) {
      ModelOptions options = tiny_options(kPacked / name / "model");
      options.backend = BackendKind::cpu;
      options.backend_options.threads = 2;
      options.quantization = quantization;
      const auto model = Model::open(options);
      REQUIRE(model);
      bytes[quantization == Quantization::none ? 0 : 1] = (*model)->memory().weight_bytes;
    }
    const size_t file = fs::file_size(kPacked / name / "model" / "model.safetensors");
    CHECK(bytes[0] <= file * 12 / 10);
    CHECK(bytes[1] <= bytes[0]);
  }
}

TEST_CASE("a packed tensor of the wrong shape, type or value is refused by name before anything is held") {
  Copy shape("gptq-4bit");
  shape.replace("\"shape\":[8,96]", "\"shape\":[96,8]");
  CHECK(shape.fault().find("qweight has shape [96, 8]") != std::string::npos);
  Copy index("gptq-4bit-act-order");
  index.set(kUp + "g_idx", 4, std::string("\x02\0\0\0", 4));
  CHECK(index.fault().find(kUp + "g_idx holds group 2 of 2") != std::string::npos);
  Copy type("mlx-4bit");
  type.replace("\"dtype\":\"U32\"", "\"dtype\":\"I32\"");
  CHECK(type.fault().find("I32") != std::string::npos);
  Copy zeros("awq-4bit");
  zeros.replace("up_proj.qzeros", "up_proj.qzerox");
  CHECK(zeros.fault().find(kUp + "qzeros") != std::string::npos);
  Copy scale("fp8-output");
  scale.replace("up_proj.weight_scale", "up_proj.weight_scalx");
  CHECK(scale.fault(false).find("F8_E4M3") != std::string::npos);
  Copy says("packed-int4");
  says.set(kUp + "weight_shape", 0, std::string("\x61", 1));
  CHECK(says.fault().find("[97, 64]") != std::string::npos);
  Copy layout("bnb-int8");
  layout.set(kUp + "weight_format", 0, std::string("\x01", 1));
  CHECK(layout.fault().find("weight_format") != std::string::npos);
}

TEST_CASE("a scale or a code that is no finite number is refused") {
  Copy scale("fp8-block");
  scale.set(kUp + "weight_scale_inv", 0, std::string("\0\0\xc0\x7f", 4));
  CHECK(scale.fault(false).find("NaN") != std::string::npos);
  Copy code("fp8-tensor");
  code.set(kUp + "weight", 17, "\x7f");
  CHECK(code.fault(false).find("NaN") != std::string::npos);
}

TEST_CASE("a bias that the network does not have may be there while it is zero") {
  Copy zero("gptq-4bit");
  CHECK(inspect_checkpoint(zero.folder.path()));
  zero.set(kUp + "bias", 6, std::string("\0\x3c", 2));
  CHECK(zero.fault(false).find(kUp + "bias") != std::string::npos);
}

TEST_CASE("what a description says of another format, or in a field nobody knows, is refused by name") {
  struct Case {
    const char* format;
    json change;
    const char* names;
  };
  const auto own = [](const json& change) { return json{{"quantization_config", change}}; };
  const auto weights = [&](const json& change) {
    return own({{"config_groups", {{"group_0", {{"weights", change}}}}}});
  };
  const Case cases[] = {
      {"gptq-4bit", own({{"quant_method", "aqlm"}}), "aqlm"},
      {"gptq-4bit", own({{"quant_method", "hqq"}}), "hqq"},
      {"gptq-4bit", own({{"quant_method", "exl2"}}), "exl2"},
      {"gptq-4bit", own({{"quant_method", "auto-round"}}), "auto-round"},
      {"gptq-4bit", own({{"bits", 5}}), "bits"},
      {"gptq-4bit", own({{"checkpoint_format", "marlin"}}), "marlin"},
      {"gptq-4bit", own({{"is_marlin_format", true}}), "is_marlin_format"},
      {"gptq-4bit", own({{"rotation", "hadamard"}}), "rotation"},
      {"gptq-4bit", own({{"codebook", 3}}), "codebook"},
      {"awq-4bit", own({{"version", "gemv"}}), "gemv"},
      {"awq-4bit", own({{"bits", 3}}), "bits"},
      {"packed-int4", own({{"format", "nvfp4-pack-quantized"}}), "nvfp4-pack-quantized"},
      {"packed-int4", own({{"transform_config", {{"r1", 1}}}}), "transform_config"},
      {"packed-int4", own({{"sparsity_config", {{"format", "sparse-24-bitmask"}}}}), "sparsity_config"},
      {"packed-int4", weights({{"num_bits", 3}}), "num_bits 3"},
      {"packed-int4", weights({{"type", "float"}}), "num_bits 4 of type float"},
      {"packed-int4", weights({{"strategy", "tensor_group"}}), "tensor_group"},
      {"fp8-block", own({{"fmt", "e5m2"}}), "e5m2"},
      {"mlx-4bit", json{{"quantization", {{"mode", "mxfp4"}}}}, "mxfp4"},
      {"mlx-4bit", json{{"quantization", {{"bits", 7}}}}, "bits"},
  };
  for (const Case& refused : cases) {
    Copy copy(refused.format);
    copy.set_config("config.json", refused.change);
    CAPTURE(refused.names);
    CHECK(copy.fault().find(refused.names) != std::string::npos);
  }
  Copy file("fp8-modelopt");
  file.set_config("hf_quant_config.json", {{"quantization", {{"quant_algo", "NVFP4"}}}});
  CHECK(file.fault().find("NVFP4") != std::string::npos);
}

TEST_CASE("a packed file that is cut off or garbled anywhere gives an error or a model, and no crash") {
  std::mt19937 random(7);
  for (const std::string& name : formats()) {
    CAPTURE(name);
    Copy copy(name);
    const std::string bytes = read_file(copy.weights);
    uint64_t header = 0;
    std::memcpy(&header, bytes.data(), sizeof header);
    for (int turn = 0; turn < 25; ++turn) {
      std::string broken = bytes;
      if (turn < 5) {
        broken.resize(random() % broken.size());
      } else {
        // A digit of the header for another: a shape, a dtype's bits or an offset.
        for (int tries = 0; tries < 50; ++tries) {
          const size_t at = 8 + random() % header;
          if (broken[at] < '0' || broken[at] > '9') continue;
          broken[at] = static_cast<char>('0' + random() % 10);
          break;
        }
      }
      write_text(copy.weights, broken);
      const auto model = Model::open(tiny_options(copy.folder.path()));
      if (!model) CHECK_FALSE(model.error().message.empty());
      if (turn < 5) CHECK_FALSE(model);
    }
  }
}

}  // namespace lorikeet::test
