// config.json's quantization_config: which quantized checkpoints this engine reads.
#pragma once

#include "model/json_fields.h"

namespace lorikeet {

enum class CheckpointFormat : uint8_t {
  plain,
  bitsandbytes_nf4,  // linear maps whose tensors say so (model/nf4_checkpoint.h), plain ones beside them
};

// Refuses, by name, every format but bitsandbytes' NF4.
CheckpointFormat read_checkpoint_format(JsonFields& fields);

}  // namespace lorikeet
