#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace lorikeet {

namespace {

using Frequencies = std::vector<float>;

// theta^(2i / R), i < R / 2
Frequencies position_frequencies(double theta, int dims) {
  Frequencies frequencies(static_cast<size_t>(dims / 2));
  for (int i = 0; i < dims / 2; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(dims);
    frequencies[i] = static_cast<float>(std::pow(theta, static_cast<double>(exponent)));
  }
  return frequencies;
}

Frequencies inverse(Frequencies frequencies) {
  for (float& value : frequencies) value = 1.0f / value;
  return frequencies;
}

// Llama 3.1: low frequencies are stretched by `factor`, high ones kept, those between interpolated.
void scale_llama3(Frequencies& inv_freq, const Rope& config) {
  const double low_wavelength = config.original_max_positions / config.low_freq_factor;
  const double high_wavelength = config.original_max_positions / config.high_freq_factor;
  const auto factor = static_cast<float>(config.factor);
  for (float& value : inv_freq) {
    const float wavelength = static_cast<float>(2 * std::numbers::pi) / value;
    if (wavelength < high_wavelength) continue;
    if (wavelength > low_wavelength || high_wavelength == low_wavelength) {
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
double correction_dimension(double rotations, const Rope& config) {
  return config.dims * std::log(config.original_max_positions / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(config.theta));
}

Frequencies yarn_frequencies(const Rope& config) {
  double low = correction_dimension(config.beta_fast, config);
  double high = correction_dimension(config.beta_slow, config);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(config.dims - 1));
  if (low == high) high += 0.001;  // the ramp's width divides

  Frequencies frequencies = position_frequencies(config.theta, config.dims);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const float extrapolated = 1.0f / frequencies[i];
    const float interpolated = 1.0f / (static_cast<float>(config.factor) * frequencies[i]);
    const float ramp = (static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low);
    const float keep = 1.0f - std::clamp(ramp, 0.0f, 1.0f);
    frequencies[i] = interpolated * (1.0f - keep) + extrapolated * keep;
  }
  return frequencies;
}

Frequencies longrope_frequencies(const Rope& config) {
  Frequencies frequencies = position_frequencies(config.theta, config.dims);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    frequencies[i] = 1.0f / (static_cast<float>(config.short_factors[i]) * frequencies[i]);
  }
  return frequencies;
}

double magnitude_scale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

double yarn_attention_factor(const Rope& config) {
  if (config.attention_factor) return *config.attention_factor;
  // Zero counts as absent, as in Transformers.
  if (config.mscale.value_or(0) != 0 && config.mscale_all_dim.value_or(0) != 0) {
    return magnitude_scale(config.factor, *config.mscale) /
           magnitude_scale(config.factor, *config.mscale_all_dim);
  }
  return magnitude_scale(config.factor, 1.0);
}

double longrope_attention_factor(const Rope& config) {
  if (config.attention_factor) return *config.attention_factor;
  if (config.factor <= 1) return 1.0;
  return std::sqrt(1 + std::log(config.factor) / std::log(config.original_max_positions));
}

}  // namespace

RotationDesc make_rope(const Rope& config) {
  RotationDesc rope;
  rope.interleaved = config.interleaved;
  if (config.type == RopeType::yarn) {
    rope.inv_freq = yarn_frequencies(config);
    rope.attention_factor = static_cast<float>(yarn_attention_factor(config));
    return rope;
  }
  if (config.type == RopeType::longrope) {
    rope.inv_freq = longrope_frequencies(config);
    rope.attention_factor = static_cast<float>(longrope_attention_factor(config));
    return rope;
  }
  rope.inv_freq = inverse(position_frequencies(config.theta, config.dims));
  if (config.type == RopeType::llama3) scale_llama3(rope.inv_freq, config);
  if (config.type == RopeType::proportional) {
    for (size_t i = static_cast<size_t>(config.turning_pairs); i < rope.inv_freq.size(); ++i) {
      rope.inv_freq[i] = 0.0f;
    }
  }
  if (config.type == RopeType::linear || config.type == RopeType::proportional) {
    for (float& value : rope.inv_freq) value /= static_cast<float>(config.factor);
  }
  return rope;
}

}  // namespace lorikeet
