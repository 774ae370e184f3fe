#include "model/families/experts.h"

namespace lorikeet {

void put_experts(ConfigReader& c, Layer& layer, int32_t index, const ExpertOptions& options) {
  const std::string mlp = layer_prefix(index) + "mlp.";
  ExpertLayer experts;
  experts.router = {c.d.hidden, {map_module(mlp + "gate", options.experts)}};
  experts.routing.experts = options.experts;
  experts.routing.chosen = options.chosen;
  experts.routing.renormalize = options.renormalize;
  experts.width = options.width;
  experts.names.stem = mlp + "experts.";
  layer.mlp.up = {};
  layer.mlp.down = {};
  layer.mlp.experts = std::move(experts);
}

void put_shared_expert(ConfigReader& c, Layer& layer, const std::string& module, int32_t width) {
  layer.mlp.up = {c.d.hidden,
                  {map_module(module + ".gate_proj", width), map_module(module + ".up_proj", width)}};
  layer.mlp.down = {width, {map_module(module + ".down_proj", c.d.hidden)}};
}

ExpertOptions read_experts(ConfigReader& c, const char* count_name, int32_t count, int32_t chosen) {
  ExpertOptions options;
  // Files of Transformers 5 say num_local_experts whatever the class said before.
  const auto renamed = c.fields.integer("num_local_experts", 1);
  const auto given = c.fields.integer(count_name, 1);
  options.experts = given.value_or(renamed.value_or(count));
  options.chosen = c.fields.integer("num_experts_per_tok", 1).value_or(chosen);
  if (options.chosen > options.experts) {
    c.fields.refuse("num_experts_per_tok exceeds the number of experts");
  }
  return options;
}

}  // namespace lorikeet
