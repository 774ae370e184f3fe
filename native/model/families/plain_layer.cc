#include "model/families/plain_layer.h"

#include <cmath>

namespace lorikeet {

Norm layer_norm(const std::string& module, int32_t width, float epsilon, bool bias) {
  Norm norm;
  norm.module = module;
  norm.width = width;
  norm.epsilon = epsilon;
  norm.kind = NormKind::layer;
  norm.bias = bias;
  return norm;
}

Attention plain_attention(const ConfigReader& c) {
  Attention attention;
  attention.q_heads = c.d.q_heads;
  attention.kv_heads = c.d.kv_heads;
  attention.head_dim = c.d.head_dim;
  attention.scale = 1.0f / std::sqrt(static_cast<float>(c.d.head_dim));
  return attention;
}

LinearMap fused_qkv(const ConfigReader& c, const std::string& name, bool bias, bool transposed) {
  const int64_t q = int64_t{c.d.q_heads} * c.d.head_dim;
  const int64_t kv = int64_t{c.d.kv_heads} * c.d.head_dim;
  MapModule module = map_module(name, q + 2 * kv, bias);
  module.transposed = transposed;
  module.parts = {rows_of(0, q), rows_of(q, kv), rows_of(q + kv, kv)};
  return {c.d.hidden, {std::move(module)}};
}

LinearMap grouped_qkv(const ConfigReader& c, const std::string& name, bool bias) {
  const int64_t head = c.d.head_dim;
  const int64_t q = int64_t{c.d.q_heads} * head;
  const int64_t kv = int64_t{c.d.kv_heads} * head;
  const int64_t group = q / c.d.kv_heads;  // rows of the queries of one key head
  const int64_t step = group + 2 * head;
  MapModule module = map_module(name, q + 2 * kv, bias);
  module.parts = {{0, q, group, step}, {group, kv, head, step}, {group + head, kv, head, step}};
  return {c.d.hidden, {std::move(module)}};
}

LinearMap one_map(int64_t in, const std::string& name, int64_t out, bool bias, bool transposed) {
  MapModule module = map_module(name, out, bias);
  module.transposed = transposed;
  return {in, {std::move(module)}};
}

Mlp plain_mlp(const ConfigReader& c, LinearMap up, LinearMap down, const Activation& activation) {
  Mlp mlp;
  mlp.gated = false;
  mlp.up = std::move(up);
  mlp.down = std::move(down);
  mlp.down.in = c.d.ffn;
  mlp.activation = activation;
  return mlp;
}

void add_bare_names(Network& network, const std::string& prefix, std::initializer_list<const char*> stems) {
  for (const char* stem : stems) network.renames.push_back({stem, prefix + stem});
}

void ignore_buffers(ConfigReader& c, const char* stem, std::initializer_list<const char*> names) {
  for (int32_t i = 0; i < c.d.layers; ++i) {
    for (const char* name : names) c.network.ignored.push_back(layer_prefix(i, stem) + name);
  }
}

}  // namespace lorikeet
