// The network's modules by Transformers' names, and where each sits in the decoder. The one list that weight
// loading, adapters and the model's description share.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/network.h"

namespace lorikeet {

enum class ModuleKind : uint8_t { linear, embedding, norm };

// Fused linear maps of a layer, in the order in which the decoder runs them.
enum class LinearSite : uint8_t {
  q_down,
  q_heads,
  kv_down,
  kv_heads,
  qkv,
  o,
  delta_in,
  delta_out,
  convolution_in,
  convolution_out,
  router,
  shared_gate,
  up,
  down,
  input_gate,
  input_projection,
};
constexpr int kLinearSites = 16;
enum class NormSite : uint8_t {
  before_attention,
  q_latent,
  kv_latent,
  q,
  k,
  v,
  delta,
  after_attention,
  before_mlp,
  before_router,
  before_experts,
  after_experts,
  after_dense,
  after_mlp,
  after_input,
};
constexpr int kNormSites = 15;

enum class ModulePlace : uint8_t {
  embed,
  embed_projection,
  embed_norm,
  positions,
  inputs_table,
  inputs_projection,
  inputs_norm,
  layer_linear,
  layer_norm,
  final_norm,
  head_projection,
  head,
};

struct Module {
  std::string name;
  ModuleKind kind = ModuleKind::linear;
  int64_t out = 0;
  int64_t in = 0;  // embedding: its rows; norm: 1
  bool bias = false;
  ModulePlace place = ModulePlace::embed;
  int32_t layer = 0;
  LinearSite linear_site = LinearSite::qkv;         // of layer_linear
  NormSite norm_site = NormSite::before_attention;  // of layer_norm
  int part = 0;                                     // of its map: its first
  std::vector<PartRows> parts;                      // of layer_linear and head
  bool transposed = false;                          // MapModule's
  bool router = false;  // of experts: to Transformers no linear module but a parameter beside code
  Norm norm;            // of a norm
};

// In the network's order, the embedding first; modules of one map are adjacent, and their parts ascend from
// 0.
std::vector<Module> list_modules(const Network& network);

// The same where the embedding and the head have `vocab` tokens.
std::vector<Module> with_vocabulary(std::vector<Module> modules, int64_t vocab);

// The name of a module's weight in the checkpoint; of a norm whose copies lie apart, that of each.
std::string weight_tensor(const Module& module);
std::vector<std::string> weight_tensors(const Module& module);

// The layer's norm at a site that the decoder enters or leaves a block by.
const std::optional<Norm>& block_norm(const Layer& layer, NormSite site);

}  // namespace lorikeet
