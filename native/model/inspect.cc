#include "model/inspect.h"

#include "model/checkpoint.h"
#include "model/modules.h"
#include "model/network_config.h"
#include "model/weights.h"

namespace lorikeet {

Result<CheckpointSummary> inspect_checkpoint(const std::string& folder) {
  Result<Network> network = read_network(folder);
  if (!network) return within(folder, network.error());
  Result<Checkpoint> checkpoint = Checkpoint::open(folder);
  if (!checkpoint) return checkpoint.error();
  if (Status s = fit_to_checkpoint(*network, *checkpoint); !s) return s.error();
  for (const Module& module : list_modules(*network)) {
    if (module.place == ModulePlace::head && network->head.tied) continue;
    for (const bool bias : {false, true}) {
      const std::string tensor = module.name + (bias ? ".bias" : ".weight");
      const bool needed = bias ? module.bias : module.kind != ModuleKind::norm || module.norm.gain;
      if (needed && !checkpoint->has(tensor)) {
        return Error{folder + ": the checkpoint has no tensor " + tensor +
                     ", which config.json's network needs"};
      }
    }
  }
  return CheckpointSummary{network->max_positions, kv_layers(*network), features_of(*network)};
}

}  // namespace lorikeet
