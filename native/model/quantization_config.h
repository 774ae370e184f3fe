// config.json's quantization_config: which quantized checkpoints this engine reads.
#pragma once

#include "model/json_fields.h"

namespace lorikeet {

enum class CheckpointFormat : uint8_t {
  plain,
  bitsandbytes_nf4,  // linear maps whose tensors say so (model/nf4_checkpoint.h), plain ones beside them
  mxfp4,             // experts whose tensors say so (model/mxfp4_checkpoint.h), plain maps beside them
};

// Refuses, by name, every format but these.
CheckpointFormat read_checkpoint_format(JsonFields& fields);

}  // namespace lorikeet
