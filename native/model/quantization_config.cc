#include "model/quantization_config.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

namespace lorikeet {

namespace {

using nlohmann::json;

constexpr const char* kWayOut = "; use the unquantized checkpoint and QUANTIZATION";

// How a checkpoint was made, and how its own tools run it: nothing about what its numbers mean. Any other
// field that no reader asks for might, and is refused.
constexpr std::array<std::string_view, 66> kIrrelevantFields = {
    "_load_in_4bit",
    "_load_in_8bit",
    "act_group_aware",
    "activation_scale_ub",
    "activation_scheme",
    "auto_round_version",
    "backend",
    "batch_size",
    "block_name_to_quantize",
    "bnb_4bit_compute_dtype",
    "bnb_4bit_quant_storage",
    "bnb_4bit_use_double_quant",
    "cache_block_outputs",
    "damp_auto_increment",
    "damp_percent",
    "dataset",
    "dequantize",
    "disable_exllama",
    "do_fuse",
    "dynamic",
    "exclude_modules",
    "exllama_config",
    "failsafe",
    "failsafe_with_rtn",
    "fuse_max_seq_len",
    "global_compression_ratio",
    "gptaq",
    "ignore",
    "ignored_layers",
    "include_input_output_embeddings",
    "is_marlin_format",
    "kv_cache_quant_algo",
    "kv_cache_scheme",
    "llm_int8_enable_fp32_cpu_offload",
    "llm_int8_has_fp16_weight",
    "llm_int8_skip_modules",
    "llm_int8_threshold",
    "lm_head",
    "max_input_length",
    "meta",
    "model_file_base_name",
    "model_name_or_path",
    "model_seqlen",
    "module_name_preceding_first_block",
    "modules_in_block_to_quantize",
    "modules_to_fuse",
    "modules_to_not_convert",
    "mse",
    "n_parallel_calib_samples",
    "offload_to_disk",
    "pad_token_id",
    "parallel_packing",
    "producer",
    "quant_method",
    "quantization_status",
    "scale_fmt",
    "static_groups",
    "targets",
    "tokenizer",
    "true_sequential",
    "use_cuda_fp16",
    "use_exllama",
    "v2",
    "version",
    "vram_strategy",
    "weights_only",
};

void refuse_unread(JsonFields& fields) {
  for (const std::string& name : fields.unread()) {
    if (std::find(kIrrelevantFields.begin(), kIrrelevantFields.end(), name) != kIrrelevantFields.end())
      continue;
    fields.refuse(name + " is not a field that this method is known by; it might change what weights mean");
  }
}

// Refuses a value that is not among those that are implemented.
void expect(JsonFields& fields, const char* name, const std::string& value,
            std::initializer_list<std::string_view> known) {
  if (std::find(known.begin(), known.end(), value) != known.end()) return;
  std::string list;
  for (const std::string_view item : known) list += (list.empty() ? "" : ", ") + std::string(item);
  fields.refuse(std::string(name) + " \"" + value + "\" is not implemented (" + list + ")" + kWayOut);
}

std::string lower(std::string text) {
  for (char& letter : text)
    letter = letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
  return text;
}

// Nothing there, or nothing in it.
bool is_empty(const JsonFields& fields, const char* name) {
  return !fields.has(name) || fields.raw(name).empty() || fields.raw(name) == json(false);
}

void refuse_unless_empty(JsonFields& fields, const char* name) {
  if (!is_empty(fields, name)) fields.refuse(std::string(name) + " is not implemented" + kWayOut);
}

// Block size and double quantization stand in each tensor's own state, which rules. The llm_int8 fields
// concern 8-bit checkpoints and how bitsandbytes runs, and the compute type its arithmetic.
CheckpointFormat read_bitsandbytes(JsonFields& fields) {
  if (fields.boolean("load_in_8bit", false)) return {.method = CheckpointMethod::bitsandbytes_int8};
  if (!fields.boolean("load_in_4bit", false)) fields.fail("load_in_4bit", "true, or load_in_8bit");
  const std::string type = fields.text("bnb_4bit_quant_type").value_or("fp4");  // Transformers' default
  if (type != "nf4") fields.refuse("bnb_4bit_quant_type \"" + type + "\" is not implemented (nf4 is)");
  return {.method = CheckpointMethod::bitsandbytes_nf4};
}

// Frantar et al. 2022. AutoGPTQ's format, and GPTQModel's second one, whose zeros are what they say.
CheckpointFormat read_gptq(JsonFields& fields) {
  CheckpointFormat format{.method = CheckpointMethod::gptq};
  const int bits = fields.need_integer("bits", 1);
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8) fields.fail("bits", "2, 3, 4 or 8");
  const int group_size = fields.integer("group_size", -1).value_or(-1);  // -1: the whole row
  format.group_size = std::max(group_size, 0);
  fields.boolean("sym", true);
  fields.boolean("desc_act", false);  // g_idx says where a group's inputs are
  const std::string older = fields.text("format").value_or("gptq");
  const std::string kind = fields.text("checkpoint_format").value_or(older);
  expect(fields, "checkpoint_format", kind, {"gptq", "gptq_v2"});
  expect(fields, "pack_dtype", fields.text("pack_dtype").value_or("int32"), {"int32"});
  if (fields.boolean("is_marlin_format", false))
    fields.refuse(std::string("is_marlin_format true is not implemented") + kWayOut);
  for (const char* name : {"rotation", "adapter"}) refuse_unless_empty(fields, name);
  format.zeros_less_one = kind == "gptq";
  return format;
}

// Lin et al. 2023, AutoAWQ's layout for its matrix product.
CheckpointFormat read_awq(JsonFields& fields) {
  const int bits = fields.integer("w_bit", 1).value_or(fields.integer("bits", 1).value_or(4));
  if (bits != 4) fields.fail("bits", "4");
  for (const char* name : {"group_size", "q_group_size"}) fields.integer(name, -1);
  if (!fields.boolean("zero_point", true)) fields.fail("zero_point", "true");
  expect(fields, "version", lower(fields.text("version").value_or("gemm")), {"gemm"});
  expect(fields, "format", lower(fields.text("format").value_or("gemm")), {"gemm"});
  if (fields.boolean("desc_act", false)) fields.fail("desc_act", "false");
  fields.boolean("sym", false);
  return {.method = CheckpointMethod::awq};
}

void read_block(CheckpointFormat& format, JsonFields& fields, const char* name) {
  const std::vector<double> block = fields.numbers(name);
  if (block.empty()) return;
  if (block.size() != 2 || !(block[0] >= 1) || !(block[1] >= 1))
    return fields.fail(name, "two numbers of at least 1");
  format.block_rows = static_cast<int64_t>(block[0]);
  format.block_cols = static_cast<int64_t>(block[1]);
}

void read_scheme(CheckpointFormat& format, JsonFields& weights) {
  const std::string type = weights.text("type").value_or("int");
  expect(weights, "type", type, {"int", "float"});
  const int bits = weights.need_integer("num_bits", 1);
  if (type == "float" ? bits != 8 : bits != 4 && bits != 8) {
    weights.refuse("num_bits " + std::to_string(bits) + " of type " + type +
                   " is not implemented (int 4 and 8, float 8)" + kWayOut);
  }
  expect(weights, "strategy", weights.text("strategy").value_or("tensor"),
         {"tensor", "channel", "group", "block"});
  read_block(format, weights, "block_structure");
  weights.boolean("symmetric", true);
  weights.integer("group_size", -1);
  if (weights.boolean("dynamic", false)) weights.fail("dynamic", "false");
  for (const char* name : {"actorder", "observer", "observer_kwargs", "scale_dtype", "zp_dtype"})
    weights.has(name);
  refuse_unread(weights);
}

// Its own activations' scales go unused: activations are multiplied as they are.
CheckpointFormat read_compressed_tensors(JsonFields& fields) {
  CheckpointFormat format{.method = CheckpointMethod::compressed_tensors};
  const auto expect_format = [](JsonFields& own) {
    expect(own, "format", own.text("format").value_or("pack-quantized"),
           {"pack-quantized", "int-quantized", "float-quantized", "naive-quantized", "mixed-precision"});
  };
  expect_format(fields);
  for (const char* name : {"transform_config"}) refuse_unless_empty(fields, name);
  if (!is_empty(fields, "sparsity_config")) {
    JsonFields sparsity(fields.raw("sparsity_config"), "sparsity_config");
    if (sparsity.text("format").value_or("dense") != "dense")
      fields.refuse(std::string("sparsity_config is not implemented but for the dense format") + kWayOut);
  }
  if (!fields.has("config_groups") || !fields.raw("config_groups").is_object()) {
    fields.fail("config_groups", "an object");
    return format;
  }
  for (const auto& [name, group] : fields.raw("config_groups").items()) {
    if (!group.is_object() || !group.contains("weights") || !group["weights"].is_object()) {
      fields.fail("config_groups." + name + ".weights", "an object");
      return format;
    }
    JsonFields own(group, "quantization_config: config_groups." + name);
    expect_format(own);
    for (const char* known : {"weights", "input_activations", "output_activations"}) own.has(known);
    refuse_unread(own);
    if (own.error()) fields.take_error(*own.error());
    JsonFields weights(group["weights"], own.where() + ".weights");
    read_scheme(format, weights);
    if (weights.error()) fields.take_error(*weights.error());
  }
  return format;
}

CheckpointFormat read_fp8(JsonFields& fields) {
  CheckpointFormat format{.method = CheckpointMethod::fp8};
  expect(fields, "fmt", fields.text("fmt").value_or("e4m3"), {"e4m3", "float8_e4m3fn"});
  read_block(format, fields, "weight_block_size");
  return format;
}

CheckpointFormat read_modelopt(JsonFields& fields) {
  CheckpointFormat format{.method = CheckpointMethod::fp8};
  expect(fields, "quant_algo", fields.text("quant_algo").value_or("(none)"),
         {"FP8", "FP8_PER_CHANNEL_PER_TOKEN", "FP8_PB_WO"});
  for (const char* name : {"config_groups", "group_size"}) fields.has(name);  // of the same algorithm
  return format;
}

// An entry of the list beside bits and group_size is a module's own, which its tensors show.
CheckpointFormat read_mlx(JsonFields& fields) {
  const auto check = [](JsonFields& own) {
    const int bits = own.need_integer("bits", 1);
    if (bits < 2 || bits > 8 || bits == 7) own.fail("bits", "2, 3, 4, 5, 6 or 8");
    own.need_integer("group_size", 1);
    expect(own, "mode", own.text("mode").value_or("affine"), {"affine"});
  };
  check(fields);
  for (const std::string& name : fields.unread()) {
    const json& value = fields.raw(name.c_str());
    if (value.is_object()) {
      JsonFields own(value, "quantization: " + name);
      check(own);
      if (own.error()) fields.take_error(*own.error());
    } else if (!value.is_boolean()) {
      fields.refuse(name + " is not a field that this method is known by");
    }
  }
  return {.method = CheckpointMethod::mlx};
}

CheckpointFormat read_method(const std::string& method, JsonFields& own) {
  CheckpointFormat format;
  if (method == "mxfp4") return {.method = CheckpointMethod::mxfp4};
  if (method == "bitsandbytes") {
    format = read_bitsandbytes(own);
  } else if (method == "gptq") {
    format = read_gptq(own);
  } else if (method == "awq") {
    format = read_awq(own);
  } else if (method == "compressed-tensors") {
    format = read_compressed_tensors(own);
  } else if (method == "fp8" || method == "fbgemm_fp8") {
    format = read_fp8(own);
  } else if (method == "modelopt") {
    format = read_modelopt(own);
  } else {
    own.refuse("checkpoints quantized by quant_method \"" + method +
               "\" are not implemented (gptq, awq, compressed-tensors, fp8, modelopt with FP8, bitsandbytes "
               "with nf4 "
               "and int8, mxfp4 and MLX are)" +
               kWayOut);
  }
  refuse_unread(own);
  return format;
}

}  // namespace

const char* name_of(CheckpointMethod method) {
  switch (method) {
    case CheckpointMethod::plain:
      break;
    case CheckpointMethod::bitsandbytes_nf4:
      return "nf4";
    case CheckpointMethod::mxfp4:
      return "mxfp4";
    case CheckpointMethod::bitsandbytes_int8:
      return "bitsandbytes-int8";
    case CheckpointMethod::gptq:
      return "gptq";
    case CheckpointMethod::awq:
      return "awq";
    case CheckpointMethod::compressed_tensors:
      return "compressed-tensors";
    case CheckpointMethod::fp8:
      return "fp8";
    case CheckpointMethod::mlx:
      return "mlx";
  }
  return "none";
}

CheckpointFormat read_checkpoint_format(JsonFields& fields) {
  constexpr const char* kName = "quantization_config";
  // MLX writes the same under both names, older versions under its own alone.
  const bool mlx = fields.has("quantization");
  if (!mlx && !fields.has(kName)) return {};
  fields.has(kName);
  const char* const name = mlx ? "quantization" : kName;
  if (!fields.raw(name).is_object()) {
    fields.fail(name, "an object");
    return {};
  }
  JsonFields own(fields.raw(name), name);
  CheckpointFormat format;
  if (mlx) {
    format = read_mlx(own);
  } else {
    // Configurations from before there was a second method name none.
    const bool unnamed = own.boolean("load_in_4bit", false) || own.boolean("load_in_8bit", false);
    format = read_method(own.text("quant_method").value_or(unnamed ? "bitsandbytes" : "(none)"), own);
  }
  if (own.error()) fields.refuse(own.error()->message);
  return format;
}

Result<CheckpointFormat> read_checkpoint_format_file(const std::string& name, const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Error{name + " is not a JSON object"};
  JsonFields fields(object, name);
  CheckpointFormat format;
  if (std::string_view(name).starts_with("hf_")) {
    if (!fields.has("quantization") || !fields.raw("quantization").is_object()) {
      fields.fail("quantization", "an object");
    } else {
      JsonFields own(fields.raw("quantization"), name + ": quantization");
      format = read_method("modelopt", own);
      if (own.error()) fields.take_error(*own.error());
    }
  } else {
    const bool awq = fields.has("w_bit");
    format = read_method(fields.text("quant_method").value_or(awq ? "awq" : "gptq"), fields);
  }
  if (fields.error()) return *fields.error();
  return format;
}

}  // namespace lorikeet
