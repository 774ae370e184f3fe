// Linear maps and tables in a checkpoint's own codes, by the tensors that stand for X.weight of module X:
//   gptq                X.qweight, X.qzeros I32, X.scales, X.g_idx I32
//   awq                 X.qweight, X.qzeros I32, X.scales
//   compressed-tensors  X.weight_packed I32, or X.weight I8 or F8_E4M3; X.weight_scale, X.weight_zero_point,
//   X.weight_g_idx fp8                 X.weight F8_E4M3; X.weight_scale_inv or X.weight_scale, both of which
//   multiply bitsandbytes-int8   X.weight I8; X.SCB F32: 127 times the scale mlx                 X.weight
//   U32; X.scales, X.biases
#pragma once

#include <memory>
#include <string>

#include "backend/interface/coded_weights.h"
#include "model/checkpoint.h"

namespace lorikeet {

struct CodedModule {
  std::string name;
  int64_t out = 0;
  int64_t in = 0;
};

bool has_coded(const Checkpoint& checkpoint, const CheckpointFormat& format, const std::string& module);

// Takes the tensors that stand for the module's weight. A wrong type, shape or value is an error. Reads no
// codes; the checkpoint must outlive the source.
Result<std::shared_ptr<const CodedSource>> take_coded(Checkpoint& checkpoint, const CheckpointFormat& format,
                                                      const CodedModule& module);

// Whether a tensor that nothing took may stay: what such formats store for activations and caches, which are
// not quantized here as they are there, and biases of zeros.
bool is_spare(Checkpoint& checkpoint, const CheckpointFormat& format, const std::string& tensor);

}  // namespace lorikeet
