// The modules of a normalised adapter manifest (libs/contracts/src/adapter-manifest.ts), as JSON.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/interface/status.h"

namespace lorikeet {

struct TensorRef {
  std::string name;
  std::string dtype;  // F64, F32, F16 or BF16
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // from the start of the file
  uint64_t end = 0;
};

struct ManifestLora {
  int32_t rank = 0;
  float scale = 1.0f;
  // Of a stack of E experts A [E * rank, in], row e * rank + r, and B [out, rank * E], column r * E + e; both
  // the other way round where `turned`: A [E * rank, out] and B [in, rank * E].
  TensorRef a;  // [rank, in]
  TensorRef b;  // [out, rank]
  bool turned = false;
  std::optional<TensorRef> lora_bias;  // [out]
};

struct ManifestTokenRows {
  std::vector<int32_t> indices;
  TensorRef rows;  // [indices.size(), out]
};

// A module's rows among those of all that tensors of a wider module are made for.
struct ManifestRows {
  int64_t first = 0;
  int64_t of = 0;
};

struct ManifestModule {
  std::string module;
  std::optional<int32_t> part;         // of the module alone, e.g. the keys of a fused map
  std::optional<ManifestRows> within;  // of all tensors but A
  std::optional<ManifestLora> lora;
  std::optional<TensorRef> magnitude;  // [out]
  std::optional<TensorRef> weight;     // linear [out, in], embedding [in, out], norm [out]
  std::optional<TensorRef> bias;       // [out]
  std::optional<ManifestTokenRows> token_rows;
};

Result<std::vector<ManifestModule>> parse_manifest_modules(const std::string& json_text);

}  // namespace lorikeet
