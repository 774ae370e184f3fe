// config.json's quantization_config, and what stands for it elsewhere: which quantized checkpoints this
// engine reads.
#pragma once

#include <string>

#include "model/json_fields.h"

namespace lorikeet {

enum class CheckpointMethod : uint8_t {
  plain,
  bitsandbytes_nf4,  // linear maps whose tensors say so (model/nf4_checkpoint.h), plain ones beside them
  mxfp4,             // experts whose tensors say so (model/mxfp4_checkpoint.h), plain maps beside them
  // Weights whose tensors say so (model/coded_checkpoint.h), plain ones beside them.
  bitsandbytes_int8,
  gptq,
  awq,
  compressed_tensors,
  fp8,
  mlx,
};

// The network's `quantization_config`. Which tensors are quantized, and in how many bits, they say
// themselves.
struct CheckpointFormat {
  CheckpointMethod method = CheckpointMethod::plain;
  int64_t group_size = 0;       // of GPTQ; 0: the tensors' shapes say
  bool zeros_less_one = false;  // GPTQ's first format keeps a zero less one
  // Weights that share a scale, where it is neither of a whole tensor nor of an output nor of a run of
  // inputs.
  int64_t block_rows = 128;
  int64_t block_cols = 128;
};

// Whether weights stay in the checkpoint's own codes, whatever QUANTIZATION says.
inline bool keeps_codes(CheckpointMethod method) {
  return method >= CheckpointMethod::bitsandbytes_int8;
}

// What it is called, also to callers; "none" where it is plain.
const char* name_of(CheckpointMethod method);

// Refuses, by name, every format but these.
CheckpointFormat read_checkpoint_format(JsonFields& fields);

// AutoGPTQ, AutoAWQ and ModelOpt describe what they did in a file of their own, config.json not always. The
// files' names; each holds what read_checkpoint_format_file reads.
constexpr const char* kCheckpointFormatFiles[] = {"quantize_config.json", "quant_config.json",
                                                  "hf_quant_config.json"};
Result<CheckpointFormat> read_checkpoint_format_file(const std::string& name, const std::string& text);

}  // namespace lorikeet
