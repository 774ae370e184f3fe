#include "backend/cpu/kernel_table.h"
#include "backend/cpu/simd_avx512.h"

namespace lorikeet::cpu {

constinit const Kernels kAvx512Kernels = make_kernels<Avx512>();

}  // namespace lorikeet::cpu
