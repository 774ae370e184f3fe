#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "simulator/machine/launch.h"
#include "simulator/machine/loaded_module.h"

namespace lorikeet::simulator {

inline std::string kernels_text(const std::string& name) {
  std::ifstream file(std::string(SIMULATOR_KERNELS) + "/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A device with one module, for tests.
class Machine {
 public:
  explicit Machine(std::string ptx, Options options = {}) : memory_(uint64_t{1} << 30), options_(options) {
    auto loaded = LoadedModule::load(std::move(ptx), memory_);
    if (auto* error = std::get_if<std::string>(&loaded)) FAIL(*error);
    module_ = std::move(std::get<std::unique_ptr<LoadedModule>>(loaded));
  }

  DeviceMemory& memory() { return memory_; }
  const LoadedModule& module() const { return *module_; }

  uint64_t allocate(uint64_t bytes) {
    const auto address = memory_.allocate(bytes);
    REQUIRE(address);
    return *address;
  }

  template <typename T>
  uint64_t upload(const std::vector<T>& values) {
    const uint64_t address = allocate(values.size() * sizeof(T));
    std::memcpy(memory_.data(address - kGlobalWindow), values.data(), values.size() * sizeof(T));
    memory_.mark(address, values.size() * sizeof(T), ByteState::ready);
    return address;
  }

  template <typename T>
  std::vector<T> download(uint64_t address, size_t count) {
    std::vector<T> values(count);
    std::memcpy(values.data(), memory_.data(address - kGlobalWindow), count * sizeof(T));
    return values;
  }

  template <typename... Arguments>
  LaunchResult launch(const std::string& kernel, LaunchShape shape, Arguments... arguments) {
    const Program* const program = module_->kernel(kernel);
    REQUIRE(program != nullptr);
    REQUIRE(program->parameters.size() == sizeof...(arguments));
    std::vector<uint8_t> bytes(program->parameter_bytes);
    size_t i = 0;
    const auto put = [&](const auto& argument) {
      const Parameter parameter = program->parameters[i++];
      REQUIRE(parameter.bytes == sizeof(argument));
      std::memcpy(bytes.data() + parameter.offset, &argument, sizeof(argument));
    };
    (put(arguments), ...);
    return simulator::launch({*program, shape, bytes.data(), ++launches_}, memory_, options_);
  }

 private:
  DeviceMemory memory_;
  Options options_;
  std::unique_ptr<LoadedModule> module_;
  uint32_t launches_ = 0;
};

inline LaunchShape shape(uint32_t blocks, uint32_t threads, uint32_t dynamic_shared_bytes = 0) {
  return {{blocks}, {threads}, dynamic_shared_bytes};
}

inline const std::vector<Order>& all_orders() {
  static const std::vector<Order> orders{Order::forward, Order::reverse, Order::random};
  return orders;
}

}  // namespace lorikeet::simulator
