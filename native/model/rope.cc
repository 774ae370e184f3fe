#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lorikeet {

namespace {

using Frequencies = std::vector<float>;

// theta^(2i / D), i < D / 2
Frequencies position_frequencies(double theta, int head_dim) {
  Frequencies frequencies(static_cast<size_t>(head_dim / 2));
  for (int i = 0; i < head_dim / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(head_dim);
    frequencies[i] = static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  return frequencies;
}

Frequencies inverse(Frequencies frequencies) {
  for (float& value : frequencies) value = 1.0f / value;
  return frequencies;
}

// Llama 3.1: low frequencies are stretched by `factor`, high ones kept, those between interpolated.
void scale_llama3(Frequencies& inv_freq, const RopeConfig& config) {
  const double low_wavelength = config.original_max_positions / config.low_freq_factor;
  const double high_wavelength = config.original_max_positions / config.high_freq_factor;
  const auto factor = static_cast<float>(config.factor);
  for (float& value : inv_freq) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / value;
    if (wavelength < high_wavelength) continue;
    if (wavelength > low_wavelength) {
      value /= factor;
      continue;
    }
    const float smooth = (static_cast<float>(config.original_max_positions) / wavelength -
                          static_cast<float>(config.low_freq_factor)) /
                         static_cast<float>(config.high_freq_factor - config.low_freq_factor);
    value = (1.0f - smooth) * value / factor + smooth * value;
  }
}

// The dimension whose wavelength makes `rotations` turns over the original context (Peng et al. 2023, YaRN).
double correction_dimension(double rotations, const RopeConfig& config, int head_dim) {
  return head_dim * std::log(config.original_max_positions / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.theta));
}

Frequencies yarn_frequencies(const RopeConfig& config, int head_dim) {
  double low = correction_dimension(config.beta_fast, config, head_dim);
  double high = correction_dimension(config.beta_slow, config, head_dim);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(head_dim - 1));
  if (low == high) high += 0.001;  // the ramp's width divides

  Frequencies frequencies = position_frequencies(config.theta, head_dim);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float extrapolated = 1.0f / frequencies[i];
    const float interpolated = 1.0f / (static_cast<float>(config.factor) * frequencies[i]);
    const float ramp = (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float keep = 1.0f - std::clamp(ramp, 0.0f, 1.0f);
    frequencies[i] = interpolated * (1.0f - keep) + extrapolated * keep;
  }
  return frequencies;
}

double magnitude_scale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

double yarn_attention_factor(const RopeConfig& config) {
  if (config.attention_factor) return *config.attention_factor;
  // Zero counts as absent, as in Transformers.
  if (config.mscale.value_or(0) != 0 && config.mscale_all_dim.value_or(0) != 0) {
    return magnitude_scale(config.factor, *config.mscale) /
           magnitude_scale(config.factor, *config.mscale_all_dim);
  }
  return magnitude_scale(config.factor, 1.0);
}

}  // namespace

RopeDesc make_rope(const RopeConfig& config, int head_dim) {
  RopeDesc rope;
  if (config.type == RopeType::yarn) {
    rope.inv_freq = yarn_frequencies(config, head_dim);
    rope.attention_factor = static_cast<float>(yarn_attention_factor(config));
    return rope;
  }
  rope.inv_freq = inverse(position_frequencies(config.theta, head_dim));
  if (config.type == RopeType::llama3) scale_llama3(rope.inv_freq, config);
  if (config.type == RopeType::linear) {
    for (float& value : rope.inv_freq) value /= static_cast<float>(config.factor);
  }
  return rope;
}

}  // namespace lorikeet
