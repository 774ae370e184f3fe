#include "model/network.h"

#include <algorithm>

namespace lorikeet {

NetworkShape shape_of(const Network& network) {
  NetworkShape shape{.vocab = network.vocab, .hidden = network.hidden};
  const auto add = [&](int64_t in, int64_t out) {
    shape.widest_input = std::max(shape.widest_input, in);
    shape.widest_output = std::max(shape.widest_output, out);
  };
  add(network.hidden, network.vocab);
  for (const Layer& layer : network.layers) {
    const Attention& attention = layer.attention;
    shape.q_heads = std::max(shape.q_heads, attention.q_heads);
    shape.kv_heads = std::max(shape.kv_heads, attention.kv_heads);
    shape.head_dim = std::max(shape.head_dim, attention.head_dim);
    for (const LinearMap* map : {&attention.qkv, &attention.o, &layer.mlp.up, &layer.mlp.down})
      add(map->in, map->out());
    if (!layer.mlp.experts) continue;
    const ExpertLayer& experts = *layer.mlp.experts;
    add(network.hidden, std::max<int64_t>(experts.routing.experts, 2 * experts.width));
    add(experts.width, network.hidden);
    shape.experts = std::max(shape.experts, experts.routing.experts);
    shape.chosen_experts = std::max(shape.chosen_experts, experts.routing.chosen);
    shape.expert_width = std::max(shape.expert_width, experts.width);
  }
  return shape;
}

std::vector<KvLayer> kv_layers(const Network& network) {
  std::vector<KvLayer> layers;
  for (const Layer& layer : network.layers) {
    layers.push_back({layer.attention.kv_heads, layer.attention.head_dim});
  }
  return layers;
}

}  // namespace lorikeet
