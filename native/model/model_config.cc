#include "model/model_config.h"

#include <sys/stat.h>

#include "model/json_fields.h"
#include "model/mapped_file.h"

namespace lorikeet {

namespace {

using nlohmann::json;

constexpr int32_t kMaxDimension = 1 << 24;  // products of two dimensions then fit in 64 bits with room

void read_rope_type(const std::string& name, RopeConfig& rope, JsonFields& fields) {
  if (name == "default") {
    rope.type = RopeType::standard;
  } else if (name == "linear") {
    rope.type = RopeType::linear;
  } else if (name == "llama3") {
    rope.type = RopeType::llama3;
  } else if (name == "yarn") {
    rope.type = RopeType::yarn;
  } else {
    fields.refuse("rope type \"" + name + "\" is not implemented (default, linear, llama3, yarn are)");
  }
}

void read_rope_scaling(RopeConfig& rope, JsonFields& fields, double max_positions,
                       std::optional<double> model_original_max_positions) {
  if (fields.number("partial_rotary_factor").value_or(1.0) != 1.0) {
    fields.refuse("partial_rotary_factor other than 1 is not implemented");
  }
  rope.theta = fields.number("rope_theta").value_or(rope.theta);
  read_rope_type(fields.text("rope_type").value_or(fields.text("type").value_or("default")), rope, fields);
  if (rope.type == RopeType::standard) return;

  // As in Transformers, a field beside the rope parameters wins over one inside, and the model's limit is the
  // last resort.
  rope.original_max_positions = model_original_max_positions.value_or(
      fields.number("original_max_position_embeddings").value_or(max_positions));
  if (rope.original_max_positions < 1) fields.fail("original_max_position_embeddings", "at least 1");
  const bool derived = rope.type == RopeType::yarn && !fields.has("factor");
  rope.factor = derived ? max_positions / rope.original_max_positions : fields.need_number("factor");
  if (!(rope.factor >= 1.0)) fields.fail("factor", "at least 1");
  if (rope.type == RopeType::llama3) {
    rope.low_freq_factor = fields.need_number("low_freq_factor");
    rope.high_freq_factor = fields.need_number("high_freq_factor");
    if (!(rope.low_freq_factor > 0) || !(rope.high_freq_factor > rope.low_freq_factor)) {
      fields.refuse("needs 0 < low_freq_factor < high_freq_factor");
    }
  }
  if (rope.type == RopeType::yarn) {
    rope.attention_factor = fields.number("attention_factor");
    rope.mscale = fields.number("mscale");
    rope.mscale_all_dim = fields.number("mscale_all_dim");
    // Transformers reads 0 as absent here.
    const auto given = [](std::optional<double> value, double otherwise) {
      return value && *value != 0 ? *value : otherwise;
    };
    rope.beta_fast = given(fields.number("beta_fast"), 32.0);
    rope.beta_slow = given(fields.number("beta_slow"), 1.0);
    rope.truncate = fields.boolean("truncate", true);
    if (!(rope.beta_slow > 0) || !(rope.beta_fast >= rope.beta_slow)) {
      fields.refuse("needs 0 < beta_slow <= beta_fast");
    }
  }
}

Status read_rope(ModelConfig& config, JsonFields& fields) {
  config.rope.theta = fields.number("rope_theta").value_or(10000.0);
  const auto original = fields.number("original_max_position_embeddings");
  const char* name = fields.has("rope_scaling") ? "rope_scaling" : "rope_parameters";
  if (fields.has(name)) {
    if (!fields.raw(name).is_object())
      return Error{std::string("config.json: ") + name + " must be an object"};
    JsonFields rope_fields(fields.raw(name), std::string("config.json: ") + name);
    read_rope_scaling(config.rope, rope_fields, config.max_positions, original);
    if (rope_fields.error()) return *rope_fields.error();
  }
  if (!(config.rope.theta > 1)) fields.fail("rope_theta", "above 1");
  return {};
}

void read_dimensions(ModelConfig& config, JsonFields& fields) {
  config.vocab = fields.need_integer("vocab_size", 1);
  config.hidden = fields.need_integer("hidden_size", 1);
  config.ffn = fields.need_integer("intermediate_size", 1);
  config.layers = fields.need_integer("num_hidden_layers", 1);
  config.q_heads = fields.need_integer("num_attention_heads", 1);
  config.kv_heads = fields.integer("num_key_value_heads", 1).value_or(config.q_heads);
  config.max_positions = fields.integer("max_position_embeddings", 1).value_or(2048);
  if (!fields.has("head_dim") && config.hidden % config.q_heads != 0) {
    fields.refuse("hidden_size is not a multiple of num_attention_heads and there is no head_dim");
  }
  config.head_dim = fields.integer("head_dim", 1).value_or(config.hidden / config.q_heads);
  if (config.q_heads % config.kv_heads != 0) {
    fields.refuse("num_attention_heads is not a multiple of num_key_value_heads");
  }
  if (config.head_dim % 2 != 0) fields.fail("head_dim", "even");
  for (const int32_t size :
       {config.vocab, config.hidden, config.ffn, config.layers, config.q_heads, config.head_dim}) {
    if (size > kMaxDimension) fields.refuse("a dimension exceeds " + std::to_string(kMaxDimension));
  }
  if (config.q_width() > kMaxDimension) fields.refuse("num_attention_heads * head_dim is too large");
}

void refuse_unimplemented(JsonFields& fields) {
  const std::string type = fields.text("model_type").value_or("(none)");
  if (type != "llama") fields.refuse("model_type \"" + type + "\" is not implemented (llama is)");
  const std::string activation = fields.text("hidden_act").value_or("silu");
  if (activation != "silu") fields.refuse("hidden_act \"" + activation + "\" is not implemented (silu is)");
}

// One id, a list of ids, or nothing.
std::optional<std::vector<int32_t>> read_token_ids(JsonFields& fields, const char* name) {
  if (!fields.has(name)) return std::nullopt;
  const json& value = fields.raw(name);
  std::vector<int32_t> ids;
  for (const json& item : value.is_array() ? value : json::array({value})) {
    if (!item.is_number_integer() || item.get<double>() < 0 || item.get<double>() > INT32_MAX) {
      fields.fail(name, "a token id or a list of token ids");
      return std::nullopt;
    }
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

Status read_generation_config(ModelConfig& config, const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Error{"generation_config.json is not a JSON object"};
  JsonFields fields(object, "generation_config.json");
  if (auto ids = read_token_ids(fields, "eos_token_id")) config.eos_token_ids = std::move(*ids);
  if (fields.error()) return *fields.error();
  return {};
}

std::string first_architecture(const json& object) {
  const auto found = object.find("architectures");
  if (found == object.end() || !found->is_array() || found->empty() || !found->front().is_string()) {
    return "LlamaForCausalLM";
  }
  return found->front().get<std::string>();
}

}  // namespace

Result<ModelConfig> parse_model_config(const std::string& text,
                                       const std::optional<std::string>& generation_text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Error{"config.json is not a JSON object"};
  JsonFields fields(object, "config.json");
  ModelConfig config;
  config.architecture = first_architecture(object);
  if (config.architecture != "LlamaForCausalLM") {
    fields.refuse("architecture " + config.architecture + " is not implemented (LlamaForCausalLM is)");
  }
  refuse_unimplemented(fields);
  config.format = read_checkpoint_format(fields);
  if (fields.error()) return *fields.error();  // the dimensions of another architecture mean nothing here
  read_dimensions(config, fields);
  config.norm_epsilon = static_cast<float>(fields.number("rms_norm_eps").value_or(1e-6));
  if (!(config.norm_epsilon >= 0)) fields.fail("rms_norm_eps", "at least 0");
  config.attention_bias = fields.boolean("attention_bias", false);
  config.mlp_bias = fields.boolean("mlp_bias", false);
  config.tied_head = fields.boolean("tie_word_embeddings", false);
  if (auto ids = read_token_ids(fields, "eos_token_id")) config.eos_token_ids = std::move(*ids);
  config.bos_token_id = fields.integer("bos_token_id", 0);
  if (fields.error()) return *fields.error();

  const Status rope = read_rope(config, fields);
  if (!rope) return rope.error();
  if (fields.error()) return *fields.error();
  if (generation_text) {
    const Status generation = read_generation_config(config, *generation_text);
    if (!generation) return generation.error();
  }
  return config;
}

Result<ModelConfig> read_model_config(const std::string& folder) {
  Result<std::string> text = read_text(folder + "/config.json");
  if (!text) return text.error();
  std::optional<std::string> generation_text;
  const std::string generation_path = folder + "/generation_config.json";
  struct stat info {};
  if (::stat(generation_path.c_str(), &info) == 0) {
    Result<std::string> generation = read_text(generation_path);
    if (!generation) return generation.error();
    generation_text = std::move(*generation);
  }
  return parse_model_config(*text, generation_text);
}

}  // namespace lorikeet
