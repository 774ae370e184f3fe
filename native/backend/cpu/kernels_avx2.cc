#include "backend/cpu/kernel_table.h"
#include "backend/cpu/simd_avx2.h"

namespace lorikeet::cpu {

constinit const Kernels kAvx2Kernels = make_kernels<Avx2>();

}  // namespace lorikeet::cpu
