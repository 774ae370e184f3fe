#include "model/inspect.h"

#include <algorithm>

#include "model/checkpoint.h"
#include "model/coded_checkpoint.h"
#include "model/modules.h"
#include "model/network_config.h"
#include "model/weights.h"

namespace lorikeet {

namespace {

// Types, shapes and values of all but the codes.
Status check_coded(Checkpoint& checkpoint, const CheckpointFormat& format, const Module& module) {
  const bool table = module.kind == ModuleKind::embedding;
  const auto coded = take_coded(
      checkpoint, format, {module.name, table ? module.in : module.out, table ? module.out : module.in});
  if (!coded) return coded.error();
  return {};
}

}  // namespace

Result<CheckpointSummary> inspect_checkpoint(const std::string& folder) {
  Result<Network> network = read_network(folder);
  if (!network) return within(folder, network.error());
  Result<Checkpoint> checkpoint = Checkpoint::open(folder);
  if (!checkpoint) return checkpoint.error();
  if (Status s = fit_to_checkpoint(*network, *checkpoint); !s) return s.error();
  for (const Module& module : list_modules(*network)) {
    if (module.place == ModulePlace::head && network->head.tied) continue;
    for (const bool bias : {false, true}) {
      const std::vector<std::string> tensors =
          bias ? std::vector<std::string>{module.name + ".bias"} : weight_tensors(module);
      const auto missing = std::find_if(tensors.begin(), tensors.end(),
                                        [&](const std::string& name) { return !checkpoint->has(name); });
      const bool needed = bias ? module.bias : module.kind != ModuleKind::norm || module.norm.gain;
      if (!bias && has_coded(*checkpoint, network->format, module.name)) {
        if (Status s = check_coded(*checkpoint, network->format, module); !s)
          return within(folder, s.error());
      } else if (needed && missing != tensors.end()) {
        return Error{folder + ": the checkpoint has no tensor " + *missing +
                     ", which config.json's network needs"};
      }
    }
  }
  return CheckpointSummary{network->max_positions, kv_layers(*network), features_of(*network),
                           name_of(network->format.method)};
}

}  // namespace lorikeet
