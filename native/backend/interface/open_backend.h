// Which devices there are. Whoever links model/ brings the backends that this names.
#pragma once

#include <memory>
#include <string>

#include "backend/interface/ops.h"

namespace lorikeet {

enum class BackendKind : uint8_t { cpu, reference };

struct BackendOptions {
  int threads = 1;
  std::string isa;  // "" picks the best that the machine has; "portable", "avx2", "avx512", "avx512vnni"
                    // force one (tests)
};

Result<std::unique_ptr<Backend>> make_reference_backend(const BackendOptions& options);
Result<std::unique_ptr<Backend>> make_cpu_backend(const BackendOptions& options);

inline Result<std::unique_ptr<Backend>> open_backend(BackendKind kind, const BackendOptions& options) {
  return kind == BackendKind::cpu ? make_cpu_backend(options) : make_reference_backend(options);
}

}  // namespace lorikeet
