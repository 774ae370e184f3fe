#include "backend/cpu/kernel_table.h"
#include "backend/cpu/simd_portable.h"

namespace lorikeet::cpu {

constinit const Kernels kPortableKernels = make_kernels<Portable>();

}  // namespace lorikeet::cpu
