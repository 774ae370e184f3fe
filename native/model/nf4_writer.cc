#include "model/nf4_writer.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "backend/shared/dtype.h"
#include "backend/shared/nf4.h"
#include "backend/shared/parallel.h"
#include "backend/shared/quantization.h"
#include "model/checkpoint.h"
#include "model/mapped_file.h"
#include "model/modules.h"
#include "model/network_config.h"

namespace lorikeet {

namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using nlohmann::ordered_json;

template <class T>
std::string bytes_of(const T& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(values[0])};
}

const char* torch_name(DType dtype) {
  return dtype == DType::f32 ? "float32" : dtype == DType::f16 ? "float16" : "bfloat16";
}

// One tensor of the new file. Its bytes are made when it is written, since all of them together may exceed
// memory.
struct Entry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  uint64_t bytes = 0;
};

// The tensors of one linear map in the order in which they are written.
struct Nf4Tensors {
  std::vector<Entry> entries;
  std::vector<std::string> contents;
};

std::string pack_codes(const HostTensor& tensor, int threads) {
  const WeightGroups groups(tensor, Quantization::nf4, {}, threads);
  std::string packed(static_cast<size_t>(tensor.rows * tensor.cols / 2), '\0');
  parallel_ranges(threads, tensor.rows, [&](int64_t begin, int64_t end) {
    std::vector<int8_t> q(static_cast<size_t>(tensor.cols));
    std::vector<float> scale(static_cast<size_t>(groups.groups()));
    for (int64_t row = begin; row < end; ++row) {
      (void)groups.read_row(q.data(), scale.data(), row);  // quantize() refused what is not finite
      char* const to = packed.data() + row * tensor.cols / 2;
      for (int64_t k = 0; k < tensor.cols; k += 2) {
        to[k / 2] = static_cast<char>(nf4_code_of(q[k]) << 4 | nf4_code_of(q[k + 1]));
      }
    }
  });
  return packed;
}

Result<Nf4Tensors> quantize(const std::string& name, const HostTensor& tensor, int threads) {
  const NestedAbsmax nested = nest_absmax(nf4_block_maxima(tensor, threads));
  if (!std::isfinite(nested.offset)) return Error{"tensor " + name + " holds NaN or infinity"};
  const ordered_json state = {{"quant_type", "nf4"},
                              {"blocksize", kNf4Block},
                              {"dtype", torch_name(tensor.dtype)},
                              {"shape", {tensor.rows, tensor.cols}},
                              {"nested_blocksize", kNf4NestedBlock},
                              {"nested_dtype", "float32"},
                              {"nested_offset", static_cast<double>(nested.offset)}};
  Nf4Tensors result;
  const auto add = [&](const char* suffix, const char* dtype, std::vector<int64_t> shape, std::string bytes) {
    result.entries.push_back({name + suffix, dtype, std::move(shape), bytes.size()});
    result.contents.push_back(std::move(bytes));
  };
  const auto count = [](const auto& values) { return static_cast<int64_t>(values.size()); };
  const std::string text = state.dump();
  add("", "U8", {tensor.rows * tensor.cols / 2, 1}, pack_codes(tensor, threads));
  add(".absmax", "U8", {count(nested.codes)}, bytes_of(nested.codes));
  add(".quant_map", "F32", {16}, bytes_of(kNf4Values));
  add(".nested_absmax", "F32", {count(nested.absmax)}, bytes_of(nested.absmax));
  add(".nested_quant_map", "F32", {256}, bytes_of(dynamic_map()));
  add(".quant_state.bitsandbytes__nf4", "U8", {count(text)}, text);
  return result;
}

class Nf4Writer {
 public:
  Nf4Writer(Checkpoint& checkpoint, int threads) : checkpoint_(checkpoint), threads_(threads) {}

  Status write(const std::vector<Module>& modules, const std::string& path) {
    const std::string data_path = path + ".data";
    std::ofstream data(data_path, std::ios::binary | std::ios::trunc);
    for (const Module& module : modules) {
      if (module.place != ModulePlace::layer_linear) continue;
      if (Status status = write_linear(module, data); !status) return status;
    }
    for (const std::string& name : checkpoint_.untaken()) {
      const Result<RawTensor> raw = checkpoint_.take_raw(name);
      if (!raw) return raw.error();
      put({name, raw->dtype, raw->shape, raw->bytes.size()}, reinterpret_cast<const char*>(raw->bytes.data()),
          data);
      raw->done_with(raw->bytes.data(), raw->bytes.data() + raw->bytes.size());
    }
    data.close();
    if (!data) return Error{"cannot write " + data_path};
    return join(path, data_path);
  }

 private:
  Status write_linear(const Module& module, std::ofstream& data) {
    const std::string name = module.name + ".weight";
    if (module.in % kNf4Block != 0) {
      return Error{"tensor " + name + " has rows of " + std::to_string(module.in) +
                   " weights; NF4 checkpoints need a multiple of 64"};
    }
    const Result<HostTensor> tensor = checkpoint_.take(name, module.out, module.in);
    if (!tensor) return tensor.error();
    const Result<Nf4Tensors> made = quantize(name, *tensor, threads_);
    if (!made) return made.error();
    for (size_t i = 0; i < made->entries.size(); ++i) put(made->entries[i], made->contents[i].data(), data);
    tensor->done_with(tensor->data, tensor->data + module.out * module.in *
                                                       static_cast<int64_t>(dtype_bytes(tensor->dtype)));
    return {};
  }

  void put(const Entry& entry, const char* bytes, std::ofstream& data) {
    data.write(bytes, static_cast<std::streamsize>(entry.bytes));
    header_[entry.name] = {
        {"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {at_, at_ + entry.bytes}}};
    at_ += entry.bytes;
  }

  // The header stands first, but is known last.
  Status join(const std::string& path, const std::string& data_path) const {
    std::string text = header_.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');  // tensors then lie aligned
    const uint64_t size = text.size();
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(reinterpret_cast<const char*>(&size), sizeof size);
    file << text << std::ifstream(data_path, std::ios::binary).rdbuf();
    file.close();
    fs::remove(data_path);
    if (!file) return Error{"cannot write " + path};
    return {};
  }

  Checkpoint& checkpoint_;
  const int threads_;
  ordered_json header_ = {{"__metadata__", {{"format", "pt"}}}};
  uint64_t at_ = 0;
};

Status write_config(const std::string& from, const std::string& to) {
  Result<std::string> text = read_text(from);
  if (!text) return text.error();
  ordered_json config = ordered_json::parse(*text);  // was read as a model's configuration before
  // What Transformers computes in: the type that the weights had.
  const std::string dtype = config.value("dtype", config.value("torch_dtype", "bfloat16"));
  config["quantization_config"] = {{"quant_method", "bitsandbytes"},
                                   {"load_in_4bit", true},
                                   {"load_in_8bit", false},
                                   {"bnb_4bit_quant_type", "nf4"},
                                   {"bnb_4bit_use_double_quant", true},
                                   {"bnb_4bit_compute_dtype", dtype},
                                   {"bnb_4bit_quant_storage", "uint8"},
                                   {"llm_int8_skip_modules", nullptr},
                                   {"llm_int8_threshold", 6.0},
                                   {"llm_int8_has_fp16_weight", false},
                                   {"llm_int8_enable_fp32_cpu_offload", false}};
  std::ofstream file(to, std::ios::trunc);
  file << config.dump(2) << '\n';
  file.close();
  if (!file) return Error{"cannot write " + to};
  return {};
}

// Tokenizer, chat template, generation defaults: the small files beside the weights.
void copy_others(const fs::path& from, const fs::path& to) {
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    const std::string kind = entry.path().extension().string();
    const bool text =
        kind == ".json" || kind == ".jinja" || kind == ".txt" || kind == ".model" || kind == ".md";
    if (!entry.is_regular_file() || !text || name == "config.json" || name.ends_with(".index.json")) continue;
    fs::copy_file(entry.path(), to / name, fs::copy_options::overwrite_existing);
  }
}

}  // namespace

Status write_nf4_checkpoint(const std::string& from, const std::string& to, int threads) {
  Result<Network> network = read_network(from);
  if (!network) return within(from, network.error());
  if (network->format.method != CheckpointMethod::plain) return Error{from + " is quantized already"};
  if (!network->renames.empty())
    return Error{from + ": " + network->family + " checkpoints are not written in NF4"};
  Result<Checkpoint> checkpoint = Checkpoint::open(from);
  if (!checkpoint) return checkpoint.error();
  try {
    fs::create_directories(to);
    if (fs::equivalent(from, to)) return Error{"the new checkpoint needs a folder of its own"};
    if (fs::exists(fs::path(to) / "model.safetensors")) return Error{to + " holds a checkpoint already"};
    copy_others(from, to);
  } catch (const fs::filesystem_error& error) {
    return Error{error.what()};
  }
  if (Status s = Nf4Writer(*checkpoint, threads).write(list_modules(*network), to + "/model.safetensors"); !s)
    return s;
  return write_config(from + "/config.json", to + "/config.json");
}

}  // namespace lorikeet
