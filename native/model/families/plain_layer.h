// What the families before Llama share: LayerNorm, queries, keys and values in one module, and an MLP without
// a gate.
#pragma once

#include <string>

#include "model/families/reader.h"

namespace lorikeet {

Norm layer_norm(const std::string& module, int32_t width, float epsilon, bool bias = true);

// Heads and scale of c.d.
Attention plain_attention(const ConfigReader& c);

// q, k and v one after the other: rows [HQ D | HKV D | HKV D].
LinearMap fused_qkv(const ConfigReader& c, const std::string& name, bool bias, bool transposed = false);
// Each key head with its queries: rows [HKV][q.. | k | v][D]. With as many key heads as query heads:
// [HQ][3][D].
LinearMap grouped_qkv(const ConfigReader& c, const std::string& name, bool bias);
// One module.
LinearMap one_map(int64_t in, const std::string& name, int64_t out, bool bias, bool transposed = false);

Mlp plain_mlp(const ConfigReader& c, LinearMap up, LinearMap down, const Activation& activation);

// Names of old checkpoints, which were saved from the model below the head: each of `stems` gets `prefix`.
void add_bare_names(Network& network, const std::string& prefix, std::initializer_list<const char*> stems);
// Buffers that old checkpoints hold beside the weights: `names` of each layer below `stem`.
void ignore_buffers(ConfigReader& c, const char* stem, std::initializer_list<const char*> names);

}  // namespace lorikeet
