#include "backend/cpu/isa.h"

namespace lorikeet::cpu {

const char* name_of(Isa isa) {
  switch (isa) {
    case Isa::avx512vnni:
      return "avx512vnni";
    case Isa::avx512:
      return "avx512";
    case Isa::avx2:
      return "avx2";
    case Isa::portable:
      break;
  }
  return "portable";
}

// The compiler's run-time check asks cpuid and XGETBV, so it also says no where the kernel does not save the
// registers.
bool machine_has(Isa isa) {
#if defined(__x86_64__)
  const bool avx2 =
      __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  switch (isa) {
    case Isa::avx512vnni:
      return avx512 && __builtin_cpu_supports("avx512vnni");
    case Isa::avx512:
      return avx512;
    case Isa::avx2:
      return avx2;
    case Isa::portable:
      break;
  }
  return true;
#else
  return isa == Isa::portable;
#endif
}

Result<Isa> choose_isa(const std::string& requested) {
  for (const Isa isa : {Isa::avx512vnni, Isa::avx512, Isa::avx2, Isa::portable}) {
    if (requested.empty() && machine_has(isa)) return isa;
    if (requested != name_of(isa)) continue;
    if (!machine_has(isa)) return Error{"this processor has no " + requested};
    return isa;
  }
  return Error{"unknown instruction set \"" + requested +
               "\": expected portable, avx2, avx512 or avx512vnni"};
}

}  // namespace lorikeet::cpu
