// The network's modules by Transformers' names, and where each sits in the decoder. The one list that weight
// loading, adapters and the model's description share.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "model/model_config.h"

namespace lorikeet {

enum class ModuleKind : uint8_t { linear, embedding, norm };

// Fused linear maps of a layer; a module is one part of one site.
enum class LinearSite : uint8_t { qkv, o, gate_up, down };
constexpr int kLinearSites = 4;
enum class NormSite : uint8_t { input, post_attention };
constexpr int kNormSites = 2;

enum class ModulePlace : uint8_t { embed, layer_linear, layer_norm, final_norm, head };

struct Module {
  std::string name;
  ModuleKind kind = ModuleKind::linear;
  int64_t out = 0;
  int64_t in = 0;  // embedding: vocabulary; norm: 1
  bool bias = false;
  ModulePlace place = ModulePlace::embed;
  int layer = 0;
  LinearSite linear_site = LinearSite::qkv;  // of layer_linear
  int part = 0;                              // of linear_site
  NormSite norm_site = NormSite::input;      // of layer_norm
};

// In the network's order; parts of a site are adjacent and ascending.
std::vector<Module> list_modules(const ModelConfig& config);

}  // namespace lorikeet
