#include "model/gguf/gguf_config.h"

#include <cmath>

#include "model/gguf/gguf_architecture.h"

namespace lorikeet {

namespace {

using nlohmann::json;

// The most of anything that is counted; families/ judge further.
constexpr double kMost = INT32_MAX;

}  // namespace

const GgufValue* GgufConfig::find(const std::string& key) {
  read_.insert(key);
  return model_.find(architecture_ + "." + key);
}

void GgufConfig::refuse(const std::string& message) {
  if (!error_) error_ = Error{message};
}

std::optional<double> GgufConfig::number(const std::string& key) {
  const GgufValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  const std::string name = architecture_ + "." + key;
  if (value->kind == GgufKind::text || value->count == 0) {
    refuse(name + " must be a number");
    return std::nullopt;
  }
  const double first = value->number();
  for (uint64_t i = 1; i < value->count; ++i) {
    if (value->number(i) != first) {
      refuse(name + " differs from layer to layer; that is not implemented");
      return std::nullopt;
    }
  }
  if (!std::isfinite(first)) refuse(name + " must be a number");
  return first;
}

std::optional<int64_t> GgufConfig::integer(const std::string& key) {
  const std::optional<double> value = number(key);
  if (!value) return std::nullopt;
  if (!(*value >= 0) || *value > kMost || *value != std::floor(*value)) {
    refuse(architecture_ + "." + key + " must be an integer of at least 0");
    return std::nullopt;
  }
  return static_cast<int64_t>(*value);
}

std::optional<std::string> GgufConfig::text(const std::string& key) {
  const GgufValue* const value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_text()) {
    refuse(architecture_ + "." + key + " must be a text");
    return std::nullopt;
  }
  return std::string(value->text());
}

double GgufConfig::need(const std::string& key) {
  const std::optional<double> value = number(key);
  if (!value) refuse(architecture_ + "." + key + " must be given");
  return value.value_or(0);
}

void GgufConfig::copy_integer(const std::string& key, const char* field) {
  if (const auto value = integer(key)) config[field] = *value;
}

void GgufConfig::copy_number(const std::string& key, const char* field) {
  if (const auto value = number(key)) config[field] = *value;
}

void GgufConfig::only(const std::string& key, double value) {
  const auto given = number(key);
  if (given && *given != value)
    refuse(architecture_ + "." + key + " is implemented as " + json(value).dump() + " alone");
}

void GgufConfig::read_common() {
  layers_ = integer("block_count").value_or(0);
  for (const char* key :
       {"context_length", "embedding_length", "block_count", "feed_forward_length", "attention.head_count"})
    (void)need(key);
  copy_integer("context_length", "max_position_embeddings");
  copy_integer("embedding_length", "hidden_size");
  copy_integer("block_count", "num_hidden_layers");
  copy_integer("feed_forward_length", "intermediate_size");
  copy_number("attention.layer_norm_rms_epsilon", "rms_norm_eps");
  if (number("attention.causal").value_or(1) == 0) config["is_causal"] = false;
  for (const char* key : {"vocab_size", "tensor_data_layout", "pooling_type", "rope.scaling.finetuned"})
    ignore(key);
  config["tie_word_embeddings"] = !model_.has_tensor("output.weight");
  for (const GgufFile& part : model_.parts()) {
    const auto table = part.header.tensors.find("token_embd.weight");
    if (table != part.header.tensors.end() && table->second.shape.size() == 2)
      config["vocab_size"] = table->second.shape[0];
  }
  if (!config.contains("vocab_size")) refuse("has no tensor token_embd.weight of two dimensions");
  for (const auto& [key, field] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                   std::pair{"tokenizer.ggml.eos_token_id", "eos_token_id"}}) {
    const GgufValue* const id = model_.find(key);
    if (id == nullptr || !id->is_number() || id->is_array) continue;
    const double value = id->number();
    if (value >= 0 && value <= kMost) config[field] = static_cast<int64_t>(value);
  }
  read_heads();
  read_rope();
}

void GgufConfig::read_heads() {
  const int64_t heads = integer("attention.head_count").value_or(0);
  const int64_t hidden = integer("embedding_length").value_or(0);
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = integer("attention.head_count_kv").value_or(heads);
  if (heads < 1) return refuse(architecture_ + ".attention.head_count must be at least 1");
  const auto key_length = integer("attention.key_length");
  head_dim_ = key_length.value_or(hidden / heads);
  if (head_dim_ < 1) return refuse(architecture_ + ".attention.key_length must be at least 1");
  config["head_dim"] = head_dim_;
  only("attention.value_length", static_cast<double>(head_dim_));
}

void GgufConfig::read_rope() {
  copy_number("rope.freq_base", "rope_theta");
  const int64_t turned = integer("rope.dimension_count").value_or(head_dim_);
  if (turned != head_dim_ && head_dim_ > 0) {
    config["partial_rotary_factor"] = static_cast<double>(turned) / static_cast<double>(head_dim_);
  }
  // Old files scale by this key alone.
  const auto old_factor = number("rope.scale_linear");
  const std::string type =
      text("rope.scaling.type").value_or(old_factor && *old_factor != 1 ? "linear" : "none");
  read_scaling(type);
}

void GgufConfig::read_scaling(const std::string& type) {
  const auto factor = number("rope.scaling.factor");
  const auto old_factor = number("rope.scale_linear");
  const double original = number("rope.scaling.original_context_length").value_or(need("context_length"));
  const auto attention = number("rope.scaling.attn_factor");
  const auto beta_fast = number("rope.scaling.yarn_beta_fast"),
             beta_slow = number("rope.scaling.yarn_beta_slow");
  for (const char* key : {"rope.scaling.yarn_ext_factor", "rope.scaling.yarn_attn_factor"}) only(key, 1);
  only("rope.scaling.yarn_log_multiplier", 0);
  Result<std::vector<double>> factors = model_.numbers("rope_freqs.weight");
  if (!factors) return refuse(factors.error().message);
  Result<std::vector<double>> far = model_.numbers("rope_factors_long.weight");
  Result<std::vector<double>> near = model_.numbers("rope_factors_short.weight");
  if (!far || !near) return refuse(!far ? far.error().message : near.error().message);

  json& scaling = config["rope_scaling"];
  if (!near->empty() || !far->empty()) {  // Phi-3: factors of near and far contexts
    scaling = {{"rope_type", "longrope"}, {"short_factor", *near}, {"long_factor", *far}};
    config["original_max_position_embeddings"] = original;
    if (attention) scaling["attention_factor"] = *attention;
    return;
  }
  if (!factors->empty()) {
    // Llama 3's scaling, worked out: each frequency is divided by a factor of its own, near and far alike.
    if (type != "none") refuse("has both rope_freqs.weight and rope.scaling.type " + type);
    scaling = {{"rope_type", "longrope"}, {"short_factor", *factors},
               {"long_factor", *factors}, {"attention_factor", 1.0},
               {"factor", 1.0},           {"original_max_position_embeddings", need("context_length")}};
    return;
  }
  if (type == "linear") {
    scaling = {{"rope_type", "linear"}, {"factor", factor.value_or(old_factor.value_or(1))}};
  } else if (type == "yarn") {
    scaling = {{"rope_type", "yarn"},
               {"factor", factor.value_or(1)},
               {"original_max_position_embeddings", original}};
    if (beta_fast) scaling["beta_fast"] = *beta_fast;
    if (beta_slow) scaling["beta_slow"] = *beta_slow;
    if (attention && *attention != 1)
      refuse(architecture_ + ".rope.scaling.attn_factor is implemented as 1 beside yarn alone");
  } else if (type != "none") {
    refuse(architecture_ + ".rope.scaling.type " + type +
           " is not implemented (none, linear, yarn and tables of factors are)");
  } else if (factor && *factor != 1) {
    refuse(architecture_ + ".rope.scaling.factor stands without a type");
  }
}

Status GgufConfig::finish() {
  if (error_) return *error_;
  const std::string prefix = architecture_ + ".";
  for (const auto& [key, value] : model_.header().metadata) {
    if (!key.starts_with(prefix) || read_.contains(key.substr(prefix.size()))) continue;
    return Error{key +
                 " is not a key that this architecture is known by; it might change what the model computes"};
  }
  return {};
}

Result<std::string> gguf_config_text(const GgufModel& model) {
  const GgufValue* const name = model.find("general.architecture");
  if (name == nullptr || !name->is_text()) return Error{"has no general.architecture"};
  const GgufValue* const type = model.find("general.type");
  if (type != nullptr && type->is_text() && type->text() != "model")
    return Error{"general.type is " + std::string(type->text()) + "; a model is served"};
  const GgufArchitecture* const architecture = find_gguf_architecture(name->text());
  if (architecture == nullptr) {
    return Error{"general.architecture " + std::string(name->text()) + " is not implemented in GGUF (" +
                 gguf_architecture_names() +
                 " are); use the Hugging Face checkpoint where its family is served"};
  }
  GgufConfig config(model, std::string(name->text()));
  config.config["model_type"] = architecture->model_type;
  config.read_common();
  if (architecture->configure != nullptr) architecture->configure(config);
  if (Status s = config.finish(); !s) return s.error();
  return config.config.dump();
}

}  // namespace lorikeet
