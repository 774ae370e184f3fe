#pragma once
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "simulator/test/machine.h"

namespace lorikeet::simulator {

// A program that uses the driver as any does: by the names of its functions in a library opened at run time.
class DriverProgram {
 public:
  // With a variable of the environment, which the driver reads when the context is made.
  explicit DriverProgram(std::string variable = "LORIKEET_SIM_SEED", const std::string& value = "1")
      : variable_(std::move(variable)), library_(dlopen(SIMULATOR_DRIVER, RTLD_NOW | RTLD_LOCAL)) {
    REQUIRE_MESSAGE(library_ != nullptr, std::string(SIMULATOR_DRIVER));
    setenv(variable_.c_str(), value.c_str(), 1);
    REQUIRE(call("cuInit", 0u) == 0);
    void* context = nullptr;
    REQUIRE(call("cuDevicePrimaryCtxRetain", &context, 0) == 0);
    REQUIRE(call("cuCtxSetCurrent", context) == 0);
  }
  ~DriverProgram() {
    call("cuDevicePrimaryCtxRelease_v2", 0);
    unsetenv(variable_.c_str());
  }
  DriverProgram(const DriverProgram&) = delete;
  DriverProgram& operator=(const DriverProgram&) = delete;

  template <typename... Arguments>
  int call(const char* name, Arguments... arguments) {
    void* const symbol = dlsym(library_, name);
    REQUIRE_MESSAGE(symbol != nullptr, std::string(name));
    return reinterpret_cast<int (*)(Arguments...)>(symbol)(arguments...);
  }

  std::string report() {
    auto* const function = reinterpret_cast<const char* (*)()>(dlsym(library_, "lorikeetSimulatorReport"));
    return function();
  }

  void* function(const char* name) {
    if (module_ == nullptr)
      REQUIRE(call("cuModuleLoadData", &module_, kernels_text("driver.ptx").c_str()) == 0);
    void*& found = functions_[name];
    if (found == nullptr) REQUIRE(call("cuModuleGetFunction", &found, module_, name) == 0);
    return found;
  }
  void* module() {
    function("add");
    return module_;
  }

  uint64_t allocate(size_t bytes) {
    uint64_t address = 0;
    REQUIRE(call("cuMemAlloc_v2", &address, bytes) == 0);
    return address;
  }
  uint64_t upload(const std::vector<int>& values) {
    const uint64_t address = allocate(values.size() * 4);
    REQUIRE(call("cuMemcpyHtoD_v2", address, static_cast<const void*>(values.data()), values.size() * 4) ==
            0);
    return address;
  }
  // Pinned memory of ints.
  int* pinned(size_t count) {
    void* pointer = nullptr;
    REQUIRE(call("cuMemHostAlloc", &pointer, count * 4, 0u) == 0);
    return static_cast<int*>(pointer);
  }
  void* stream() {
    void* made = nullptr;
    REQUIRE(call("cuStreamCreate", &made, 1u) == 0);
    return made;
  }

  template <typename... Arguments>
  int launch(const char* name, unsigned threads, void* stream, Arguments... arguments) {
    void* parameters[] = {&arguments...};
    return call("cuLaunchKernel", function(name), 1u, 1u, 1u, threads, 1u, 1u, 0u, stream,
                static_cast<void**>(parameters), static_cast<void**>(nullptr));
  }
  int add(uint64_t values, int amount, void* stream) { return launch("add", 32, stream, values, amount, 32); }
  int synchronize(void* stream) { return call("cuStreamSynchronize", stream); }
  std::vector<int> download(uint64_t address, size_t count) {
    std::vector<int> values(count);
    REQUIRE(call("cuMemcpyDtoH_v2", static_cast<void*>(values.data()), address, count * 4) == 0);
    return values;
  }
  size_t free_bytes() {
    size_t free = 0, total = 0;
    REQUIRE(call("cuMemGetInfo_v2", &free, &total) == 0);
    return free;
  }

 private:
  std::string variable_;
  void* library_;
  void* module_ = nullptr;
  std::map<std::string, void*> functions_;
};

}  // namespace lorikeet::simulator
