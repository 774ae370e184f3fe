#include "model/network.h"

#include <algorithm>

namespace lorikeet {

namespace {

void add_state(RecurrentState& most, const RecurrentState& own) {
  most.heads = std::max(most.heads, own.heads);
  most.key_dim = std::max(most.key_dim, own.key_dim);
  most.value_dim = std::max(most.value_dim, own.value_dim);
  most.inputs = std::max(most.inputs, own.inputs);
}

}  // namespace

NetworkShape shape_of(const Network& network) {
  NetworkShape shape{.vocab = network.vocab + network.room, .hidden = network.hidden};
  const auto add = [&](int64_t in, int64_t out) {
    shape.widest_input = std::max(shape.widest_input, in);
    shape.widest_output = std::max(shape.widest_output, out);
  };
  add(network.hidden, shape.vocab);
  for (const LinearMap* map : {&network.embedding.projection, &network.head.projection})
    add(map->in, map->out());
  if (network.layer_inputs) {
    const LinearMap& projection = network.layer_inputs->projection;
    add(projection.in, projection.out());
    shape.hidden = std::max(shape.hidden, projection.out());
  }
  for (const Layer& layer : network.layers) {
    const Attention& attention = layer.attention;
    shape.q_heads = std::max(shape.q_heads, attention.q_heads);
    shape.kv_heads = std::max(shape.kv_heads, attention.kv_heads);
    shape.head_dim = std::max(shape.head_dim, attention.head_dim);
    for (const LinearMap* map : {&attention.qkv, &attention.o, &layer.mlp.up, &layer.mlp.down})
      add(map->in, map->out());
    if (const auto& latent = attention.latent) {
      for (const LinearMap* map : {&latent->q_down, &latent->q, &latent->kv_down, &latent->kv})
        add(map->in, map->out());
      shape.latent_attention = true;
    }
    shape.chunked_attention = shape.chunked_attention || attention.chunk > 0;
    shape.coarse_alibi = shape.coarse_alibi || attention.coarse_alibi;
    shape.whole_qkv = shape.whole_qkv && attention.projected == Projected::qkv;
    if (layer.input) {
      add(layer.input->gate.in, layer.input->gate.out());
      add(layer.input->projection.in, layer.input->projection.out());
    }
    shape.gated_attention = shape.gated_attention || attention.gated;
    if (layer.delta_net) {
      add(layer.delta_net->in.in, layer.delta_net->in.out());
      add(layer.delta_net->out.in, layer.delta_net->out.out());
      add_state(shape.recurrent, layer.delta_net->desc().state());
    }
    if (layer.convolution) {
      add(layer.convolution->in.in, layer.convolution->in.out());
      add(layer.convolution->out.in, layer.convolution->out.out());
      add_state(shape.recurrent, layer.convolution->desc().state());
    }
    if (!layer.mlp.experts) continue;
    const ExpertLayer& experts = *layer.mlp.experts;
    add(network.hidden, std::max<int64_t>(experts.routing.experts, 2 * experts.width));
    add(experts.width, network.hidden);
    shape.scaled_inputs = shape.scaled_inputs || experts.routing.scales_inputs;
    shape.group_best_one =
        shape.group_best_one || (experts.routing.groups > 1 && experts.routing.group_best != 2);
    shape.experts = std::max(shape.experts, experts.routing.experts);
    shape.chosen_experts = std::max(shape.chosen_experts, experts.routing.chosen);
    shape.expert_width = std::max(shape.expert_width, experts.width);
  }
  return shape;
}

std::vector<KvLayer> kv_layers(const Network& network) {
  std::vector<KvLayer> layers;
  for (const Layer& layer : network.layers) {
    if (layer.attention.kv_of) continue;
    KvLayer own{layer.attention.kv_heads, layer.attention.head_dim};
    if (layer.delta_net) own.recurrent = layer.delta_net->desc().state();
    if (layer.convolution) own.recurrent = layer.convolution->desc().state();
    layers.push_back(own);
  }
  return layers;
}

int kv_place(const Network& network, size_t layer) {
  const size_t owner = network.layers[layer].attention.kv_of.value_or(layer);
  int place = 0;
  for (size_t before = 0; before < owner; ++before) {
    if (!network.layers[before].attention.kv_of) ++place;
  }
  return place;
}

}  // namespace lorikeet
