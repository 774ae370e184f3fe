#include "backend/cuda/driver.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string_view>

namespace lorikeet::cuda {
namespace {

constexpr int kOutOfMemory = 2;
constexpr int kNoDevice = 100;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// Faults after which the context answers nothing else: of the hardware, and of kernels that went wrong.
bool loses_device(int code) {
  constexpr int kUncorrectableMemory = 214, kLink = 220, kContextIsDestroyed = 709, kUnknown = 999;
  if (code == kUncorrectableMemory || code == kLink || code == kContextIsDestroyed || code == kUnknown)
    return true;
  // Illegal address, timeout, assertion, stack, instruction, misaligned address, address space, program
  // counter, failed launch. 701 (too many resources), 704 and 705 (peers) and 712 (registered twice) leave
  // all as it was.
  return code == 700 || code == 702 || code == 710 || (code >= 714 && code <= 719);
}

Error unsupported(std::string reason) {
  return {std::move(reason), ErrorKind::unsupported};
}

}  // namespace

Error Driver::error(int code, const std::string& doing) const {
  const char *name = nullptr, *text = nullptr;
  if (error_name(code, &name) != 0 || name == nullptr) name = "an unknown error";
  if (error_text(code, &text) != 0 || text == nullptr) text = "";
  const ErrorKind kind = code == kOutOfMemory ? ErrorKind::out_of_memory
                         : loses_device(code) ? ErrorKind::device_lost
                                              : ErrorKind::device;
  std::string message = "CUDA: " + doing + ": " + name + " (" + std::to_string(code) + ")";
  if (*text != '\0') message += std::string(": ") + text;
  return {std::move(message), kind};
}

Result<std::shared_ptr<const Driver>> Driver::open() {
  const char* const named = std::getenv("LORIKEET_CUDA_DRIVER");
  const std::string path = named != nullptr && *named != '\0' ? named : "libcuda.so.1";
  // Never closed: drivers keep threads of their own.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const why = dlerror();
    return unsupported("there is no NVIDIA driver: " + std::string(why != nullptr ? why : path));
  }
  std::shared_ptr<Driver> driver(new Driver());
#define LORIKEET_CUDA_FIND(name, symbol, arguments)                                                   \
  driver->name = reinterpret_cast<decltype(driver->name)>(dlsym(library, symbol));                    \
  if (driver->name == nullptr) {                                                                      \
    return unsupported("the NVIDIA driver (" + path + ") is older than needed: it has no " + symbol + \
                       "; CUDA " + version_text(kLeastDriver) + " or later is needed");               \
  }
  LORIKEET_CUDA_FUNCTIONS(LORIKEET_CUDA_FIND)
#undef LORIKEET_CUDA_FIND
  if (const int code = driver->init(0); code != 0) {
    if (code == kNoDevice) return unsupported("the NVIDIA driver finds no device");
    return unsupported(driver->error(code, "the driver does not start").message);
  }
  int version = 0;
  if (const int code = driver->driver_version(&version); code != 0) {
    return driver->error(code, "asking the driver for its version");
  }
  if (version < kLeastDriver) {
    return unsupported("the NVIDIA driver is older than needed: it is of CUDA " + version_text(version) +
                       ", and CUDA " + version_text(kLeastDriver) + " or later is needed");
  }
  return std::shared_ptr<const Driver>(std::move(driver));
}

}  // namespace lorikeet::cuda
