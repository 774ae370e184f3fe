#include "model/network.h"

namespace lorikeet {

std::vector<KvLayer> kv_layers(const Network& network) {
  std::vector<KvLayer> layers;
  for (const Layer& layer : network.layers) {
    layers.push_back({layer.attention.kv_heads, layer.attention.head_dim});
  }
  return layers;
}

}  // namespace lorikeet
