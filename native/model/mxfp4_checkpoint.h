// A stack of experts' weights as OCP's MXFP4 stores them (OCP Microscaling Formats 1.0): beside X_blocks, U8
// [experts, out, in / 32, 16] with two E2M1 codes to a byte (the lower half comes first), stands X_scales, U8
// [experts, out, in / 32], a power of two (E8M0, biased by 127) for each block of 32.
#pragma once

#include <string>
#include <vector>

#include "model/checkpoint.h"

namespace lorikeet {

bool has_mxfp4(const Checkpoint& checkpoint, const std::string& name);

// For each expert its weight as bf16 bits [out, in], which hold the values exactly. Takes both tensors. A
// wrong shape, or a scale that is no number or whose largest value is beyond bf16, is an error.
Result<std::vector<std::vector<uint16_t>>> take_mxfp4(Checkpoint& checkpoint, const std::string& name,
                                                      int64_t experts, int64_t out, int64_t in);

}  // namespace lorikeet
