// Which devices there are. Whoever links model/ brings the backends that this names.
#pragma once

#include <memory>
#include <string>

#include "backend/interface/ops.h"

namespace lorikeet {

enum class BackendKind : uint8_t { cpu, reference, cuda };

struct BackendOptions {
  int threads = 1;
  std::string isa;  // "" picks the best that the machine has; "portable", "avx2", "avx512", "avx512vnni"
                    // force one (tests)
  int device = 0;   // which of several
  // A device of its own that has not ended a step's or a load's work after so long is lost; 0: it is waited
  // for.
  int64_t deadline_ms = 0;
};

Result<std::unique_ptr<Backend>> make_reference_backend(const BackendOptions& options);
Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options);
Result<std::unique_ptr<Backend>> make_cuda_backend(const BackendOptions& options);

// What a CUDA device is and has, or why there is none that suffices.
struct DeviceProbe {
  std::string device;  // as Caps says it
  size_t free_bytes = 0;
  size_t total_bytes = 0;
};
Result<DeviceProbe> probe_cuda(int ordinal);
// How many the driver lets this process see.
Result<int> count_cuda();

inline Result<std::unique_ptr<Backend>> open_backend(BackendKind kind, const BackendOptions& options) {
  if (kind == BackendKind::cuda) return make_cuda_backend(options);
  return kind == BackendKind::cpu ? make_cpu_backend(options) : make_reference_backend(options);
}

}  // namespace lorikeet
