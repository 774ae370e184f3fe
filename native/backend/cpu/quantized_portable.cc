#include "backend/cpu/dot_portable.h"
#include "backend/cpu/quantized_kernel.h"

namespace lorikeet::cpu {

constinit const QuantizedKernels kPortableQuantized = make_quantized_kernels<DotPortable>();

}  // namespace lorikeet::cpu
