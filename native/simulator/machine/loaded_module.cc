#include "simulator/machine/loaded_module.h"

#include <algorithm>
#include <cstring>

namespace lorikeet::simulator {

std::variant<std::unique_ptr<LoadedModule>, std::string> LoadedModule::load(std::string ptx,
                                                                            DeviceMemory& memory) {
  const ParsedModule parsed = parse(std::move(ptx));
  if (const auto* error = std::get_if<PtxError>(&parsed)) return std::string(error->what());
  const auto& module = std::get<Module>(parsed);
  std::unique_ptr<LoadedModule> loaded(new LoadedModule(memory));
  try {
    ModuleAddresses addresses;
    loaded->place_variables(module, addresses);
    for (const auto& [name, function] : module.functions) {
      if (function.is_entry && !function.is_declaration) {
        loaded->kernels_.emplace(name, link(module, function, addresses));
      }
    }
  } catch (const PtxError& error) {
    return std::string(error.what());
  }
  return loaded;
}

LoadedModule::~LoadedModule() {
  for (const auto& [name, place] : variables_) memory_.release(place.address);
}

void LoadedModule::place_variables(const Module& module, ModuleAddresses& addresses) {
  addresses.assign(module.variables.size(), 0);
  for (size_t v = 0; v < module.variables.size(); ++v) {
    const Variable& variable = module.variables[v];
    if (variable.space == Space::shared) continue;
    const auto address = memory_.allocate(std::max<uint64_t>(variable.bytes, 1));
    if (!address) throw PtxError(0, "no memory left for '" + variable.name + "'");
    variables_[variable.name] = {*address, variable.bytes};
    addresses[v] = *address;
  }
  for (size_t v = 0; v < module.variables.size(); ++v) {
    if (module.variables[v].space != Space::shared) fill(module.variables[v], addresses[v]);
  }
}

// What has no initial value is zero, as the language says.
void LoadedModule::fill(const Variable& variable, uint64_t address) {
  uint8_t* const data = memory_.data(address - kGlobalWindow);
  std::fill_n(data, variable.bytes, uint8_t{0});
  std::ranges::copy(variable.initial, data);
  for (const Variable::Pointer& pointer : variable.pointers) {
    const auto target = variables_.find(pointer.target);
    if (target == variables_.end()) throw PtxError(0, "there is no variable '" + pointer.target + "'");
    const uint64_t value = target->second.address + static_cast<uint64_t>(pointer.addend);
    std::memcpy(data + pointer.offset, &value, sizeof(value));
  }
  memory_.mark(address, variable.bytes, ByteState::ready);
}

const Program* LoadedModule::kernel(std::string_view name) const {
  const auto found = kernels_.find(name);
  return found == kernels_.end() ? nullptr : &found->second;
}

std::optional<LoadedModule::Place> LoadedModule::variable(std::string_view name) const {
  const auto found = variables_.find(name);
  if (found == variables_.end()) return std::nullopt;
  return found->second;
}

}  // namespace lorikeet::simulator
