#include "model/inspect.h"

#include "model/checkpoint.h"
#include "model/model_config.h"
#include "model/modules.h"

namespace lorikeet {

Status inspect_checkpoint(const std::string& folder) {
  const Result<ModelConfig> config = read_model_config(folder);
  if (!config) return Error{folder + ": " + config.error().message};
  const Result<Checkpoint> checkpoint = Checkpoint::open(folder);
  if (!checkpoint) return checkpoint.error();
  for (const Module& module : list_modules(*config)) {
    if (module.place == ModulePlace::head && config->tied_head) continue;
    for (const bool bias : {false, true}) {
      const std::string tensor = module.name + (bias ? ".bias" : ".weight");
      if ((!bias || module.bias) && !checkpoint->has(tensor)) {
        return Error{folder + ": the checkpoint has no tensor " + tensor +
                     ", which config.json's network needs"};
      }
    }
  }
  return {};
}

}  // namespace lorikeet
