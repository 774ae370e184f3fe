// What the families that this engine computes are called in GGUF, and what llama.cpp's conversion did to
// their tensors: as data. A further architecture is a row in gguf_architecture.cc.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/gguf/gguf_config.h"

namespace lorikeet {

struct GgufName {
  std::string_view gguf;    // of a layer: what stands between "blk.N." and ".weight"
  std::string_view module;  // behind "model.layers.N."
};

struct GgufArchitecture {
  std::string_view name;        // general.architecture
  const char* model_type;       // config.json's
  std::vector<GgufName> names;  // before those that all have
  // Rows of q and k were rearranged, since ggml rotates neighbours where Transformers rotates halves.
  bool paired_heads = false;
  // The norms' weights are the whole gain, of which the checkpoint keeps what is beside 1.
  bool whole_gains = false;
  void (*configure)(GgufConfig& config) = nullptr;  // beside what all say
};

const GgufArchitecture* find_gguf_architecture(std::string_view name);
// "llama, qwen2, .."
std::string gguf_architecture_names();

// Null: nothing of that name.
const GgufName* find_gguf_name(const GgufArchitecture& architecture, std::string_view stem);

}  // namespace lorikeet
