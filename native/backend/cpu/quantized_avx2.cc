#include "backend/cpu/dot_avx2.h"
#include "backend/cpu/quantized_kernel.h"

namespace lorikeet::cpu {

constinit const QuantizedKernels kAvx2Quantized = make_quantized_kernels<DotAvx2>();

}  // namespace lorikeet::cpu
