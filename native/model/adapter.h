// An adapter's weights on the device, held by where the decoder uses them.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/interface/ops.h"
#include "model/adapter_manifest.h"
#include "model/weights.h"

namespace lorikeet {

// Null: the base's own weights serve there.
struct Adapter {
  struct Layer {
    std::array<std::unique_ptr<AdapterLinear>, kLinearSites> linear;
    std::array<std::unique_ptr<NormGain>, kNormSites> norm;
    std::unique_ptr<AdapterExperts> experts;
  };
  int32_t vocab = 0;  // tokens that it has
  std::unique_ptr<AdapterEmbedding> embed;
  std::unique_ptr<AdapterLinear> embed_projection;
  std::unique_ptr<NormGain> embed_norm;
  std::unique_ptr<AdapterEmbedding> inputs_table;
  std::unique_ptr<AdapterLinear> inputs_projection;
  std::unique_ptr<NormGain> inputs_norm;
  std::vector<Layer> layers;
  std::unique_ptr<NormGain> final_norm;
  std::unique_ptr<AdapterLinear> head_projection;
  std::unique_ptr<AdapterLinear> head;

  size_t bytes() const;
};

struct AdapterSource {
  std::string weights_path;  // safetensors
  std::vector<ManifestModule> modules;
  float weight = 1.0f;  // that its deltas have among those of several
  int32_t vocab = 0;    // tokens that its embedding and head have; 0: the base's
};

// What the matrices of an adapter are kept in: as its file has them (float64 in float32); float32 in
// bfloat16; or A and B of the linear maps in int8 where that loses little (narrow.h), the others as in bf16.
// Vectors and the low-rank factors and single rows of the embedding stay as they are: they are few.
enum class AdapterType : uint8_t { stored, bf16, int8 };

// `network` and `base_modules` are the base's. Several sources become one adapter, the sum of their deltas in
// the sources' order; it is exact, and of low-rank deltas alone. Refuses a module that the base lacks, a
// tensor that the file lacks or describes differently, a wrong shape, what cannot be added up, and tokens
// beyond the base's without rows of their own, or more than there is room for.
Result<Adapter> load_adapter(std::span<const AdapterSource> sources, const Network& network,
                             const std::vector<Module>& base_modules, const Weights& base, Backend& backend,
                             AdapterType type = AdapterType::stored);

}  // namespace lorikeet
