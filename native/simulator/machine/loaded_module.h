#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "simulator/machine/decode.h"
#include "simulator/machine/memory.h"
#include "simulator/machine/program.h"
#include "simulator/ptx/module.h"

namespace lorikeet::simulator {

// A module with its variables in device memory and its kernels ready to run.
class LoadedModule {
 public:
  // Reads and decodes all of `ptx`; on failure what is wrong with it. `memory` has to live as long.
  static std::variant<std::unique_ptr<LoadedModule>, std::string> load(std::string ptx, DeviceMemory& memory);
  ~LoadedModule();
  LoadedModule(const LoadedModule&) = delete;
  LoadedModule& operator=(const LoadedModule&) = delete;

  const Program* kernel(std::string_view name) const;

  struct Place {
    uint64_t address, bytes;
  };
  std::optional<Place> variable(std::string_view name) const;

 private:
  explicit LoadedModule(DeviceMemory& memory) : memory_(memory) {}
  void place_variables(const Module& module, ModuleAddresses& addresses);
  void fill(const Variable& variable, uint64_t address);

  DeviceMemory& memory_;
  std::map<std::string, Program, std::less<>> kernels_;
  std::map<std::string, Place, std::less<>> variables_;
};

}  // namespace lorikeet::simulator
