// config.json of a Llama-family checkpoint, in Transformers' old and new spelling. Whatever this engine does
// not implement is refused here, with the field's name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/interface/status.h"
#include "model/quantization_config.h"

namespace lorikeet {

enum class RopeType : uint8_t { standard, linear, llama3, yarn };

struct RopeConfig {
  RopeType type = RopeType::standard;
  double theta = 10000.0;
  double factor = 1.0;
  double original_max_positions = 0;
  // llama3
  double low_freq_factor = 0;
  double high_freq_factor = 0;
  // yarn
  std::optional<double> attention_factor;
  std::optional<double> mscale;
  std::optional<double> mscale_all_dim;
  double beta_fast = 32.0;
  double beta_slow = 1.0;
  bool truncate = true;
};

struct ModelConfig {
  std::string architecture;  // "LlamaForCausalLM"
  int32_t vocab = 0;
  int32_t hidden = 0;
  int32_t ffn = 0;
  int32_t layers = 0;
  int32_t q_heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
  int32_t max_positions = 0;
  float norm_epsilon = 1e-6f;
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tied_head = false;
  CheckpointFormat format = CheckpointFormat::plain;
  RopeConfig rope;
  std::vector<int32_t> eos_token_ids;  // generation_config.json's when it names any
  std::optional<int32_t> bos_token_id;

  int64_t q_width() const { return int64_t{q_heads} * head_dim; }
  int64_t kv_width() const { return int64_t{kv_heads} * head_dim; }
};

Result<ModelConfig> read_model_config(const std::string& folder);
// `generation_text` is generation_config.json's content where the folder has one.
Result<ModelConfig> parse_model_config(const std::string& text,
                                       const std::optional<std::string>& generation_text);

}  // namespace lorikeet
