#include "backend/cpu/dot_avx512.h"
#include "backend/cpu/quantized_kernel.h"

namespace lorikeet::cpu {

constinit const QuantizedKernels kAvx512VnniQuantized = make_quantized_kernels<DotAvx512Vnni>();

}  // namespace lorikeet::cpu
