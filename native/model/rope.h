#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "backend/interface/weights.h"

namespace lorikeet {

enum class RopeType : uint8_t { standard, linear, llama3, yarn, longrope, proportional };

// The rotation of some layers, as a config.json describes it.
struct Rope {
  RopeType type = RopeType::standard;
  int32_t dims = 0;  // rotated, the first of a head
  bool interleaved = false;
  double theta = 10000.0;
  double factor = 1.0;
  double original_max_positions = 0;
  // llama3
  double low_freq_factor = 0;
  double high_freq_factor = 0;
  // yarn and longrope
  std::optional<double> attention_factor;
  // yarn
  std::optional<double> mscale;
  std::optional<double> mscale_all_dim;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;
  // longrope: [dims / 2], within the original context
  std::vector<double> short_factors;
  // proportional: so many of the dims / 2 pairs turn
  int32_t turning_pairs = 0;
};

// Inverse frequencies and attention factor, to the float32 operation as Transformers' modeling_rope_utils.py
// computes them: at position p an error in inv_freq grows p-fold.
RotationDesc make_rope(const Rope& rope);

}  // namespace lorikeet
