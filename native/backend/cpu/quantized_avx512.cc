#include "backend/cpu/dot_avx512.h"
#include "backend/cpu/quantized_kernel.h"

namespace lorikeet::cpu {

constinit const QuantizedKernels kAvx512Quantized = make_quantized_kernels<DotAvx512>();

}  // namespace lorikeet::cpu
