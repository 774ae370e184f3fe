// A linear map's weight as bitsandbytes stores it in NF4. Beside the packed codes `X.weight` stand
//   X.weight.absmax                          U8 codes of the blocks' largest values, or F32 without double
//   quantization X.weight.quant_map                       F32 [16] X.weight.nested_absmax, .nested_quant_map
//   F32, with double quantization X.weight.quant_state.bitsandbytes__nf4   JSON: block sizes, shape, offset
#pragma once

#include <string>
#include <vector>

#include "model/checkpoint.h"

namespace lorikeet {

struct Nf4Weight {
  HostTensor packed;          // rows and cols are the matrix's, data its codes
  std::vector<float> absmax;  // of each block of 64 [rows, cols / 64]
};

bool has_nf4(const Checkpoint& checkpoint, const std::string& name);
// Takes the weight `name` and all that belongs to it.
Result<Nf4Weight> take_nf4(Checkpoint& checkpoint, const std::string& name, int64_t rows, int64_t cols);

}  // namespace lorikeet
