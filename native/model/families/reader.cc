#include "model/families/reader.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace lorikeet {

namespace {

constexpr int32_t kMaxDimension = 1 << 24;  // products of two dimensions then fit in 64 bits with room

std::optional<ActivationKind> activation_kind(const std::string& name) {
  if (name == "silu" || name == "swish") return ActivationKind::silu;
  if (name == "gelu" || name == "gelu_python") return ActivationKind::gelu;
  if (name == "gelu_new" || name == "gelu_fast" || name == "gelu_pytorch_tanh" || name == "gelu_accurate")
    return ActivationKind::gelu_tanh;
  if (name == "relu") return ActivationKind::relu;
  if (name == "relu2") return ActivationKind::relu_squared;
  return std::nullopt;
}

int32_t needed(JsonFields& fields, const char* name, std::optional<int32_t> otherwise) {
  if (!fields.has(name) && otherwise) return *otherwise;
  return fields.need_integer(name, 1);
}

}  // namespace

void ConfigReader::read_dimensions(const DimensionDefaults& defaults) {
  d.vocab = needed(fields, "vocab_size", defaults.vocab);
  d.hidden = needed(fields, "hidden_size", defaults.hidden);
  d.ffn = needed(fields, "intermediate_size", defaults.ffn);
  d.layers = needed(fields, "num_hidden_layers", defaults.layers);
  d.q_heads = needed(fields, "num_attention_heads", defaults.q_heads);
  // Null means one for each query head everywhere; absent is the class's own default.
  const int32_t absent =
      fields.is_null("num_key_value_heads") ? d.q_heads : defaults.kv_heads.value_or(d.q_heads);
  d.kv_heads = fields.integer("num_key_value_heads", 1).value_or(absent);
  d.max_positions = fields.integer("max_position_embeddings", 1).value_or(defaults.max_positions);
  const bool derived = !fields.has("head_dim") && (!defaults.head_dim || fields.is_null("head_dim"));
  if (derived && d.hidden % d.q_heads != 0) {
    fields.refuse("hidden_size is not a multiple of num_attention_heads and there is no head_dim");
  }
  d.head_dim = fields.integer("head_dim", 1).value_or(derived ? d.hidden / d.q_heads : *defaults.head_dim);
  check_dimensions();
}

void ConfigReader::check_dimensions() {
  if (d.kv_heads < 1 || d.q_heads % d.kv_heads != 0) {
    fields.refuse("num_attention_heads is not a multiple of num_key_value_heads");
  }
  if (d.head_dim % 2 != 0) fields.fail("head_dim", "even");
  for (const int32_t size : {d.vocab, d.hidden, d.ffn, d.layers, d.q_heads, d.head_dim}) {
    if (size > kMaxDimension) fields.refuse("a dimension exceeds " + std::to_string(kMaxDimension));
  }
  if (int64_t{d.q_heads} * d.head_dim > kMaxDimension) {
    fields.refuse("num_attention_heads * head_dim is too large");
  }
  network.vocab = d.vocab;
  network.hidden = d.hidden;
  network.max_positions = d.max_positions;
}

float ConfigReader::epsilon(const char* name, double otherwise) {
  const double value = fields.number(name).value_or(otherwise);
  if (!(value >= 0)) fields.fail(name, "at least 0");
  return static_cast<float>(value);
}

Activation ConfigReader::activation(const char* name, const char* otherwise) {
  const std::string given = fields.text(name).value_or(otherwise);
  const auto kind = activation_kind(given);
  if (!kind) fields.refuse(std::string(name) + " \"" + given + "\" is not implemented");
  Activation activation;
  activation.kind = kind.value_or(ActivationKind::silu);
  return activation;
}

namespace {

std::string type_of(JsonFields& rope) {
  return rope.text("rope_type").value_or(rope.text("type").value_or("default"));
}

}  // namespace

void ConfigReader::read_scaling(Rope& rope, JsonFields& own, const RopeDefaults& defaults,
                                std::optional<double> model_original) {
  std::string type = type_of(own);
  if (type == "su" || (type == "yarn" && defaults.yarn_means_longrope)) type = "longrope";
  // The old name stands beside the new one; of text alone, all sections turn by the same position.
  for (const char* known : {"type", "mrope_section", "mrope_interleaved", "finetuned"}) own.has(known);
  if (type == "default" || type == "mrope") return;
  if (type == "dynamic") {  // scales only beyond max_position_embeddings, where nothing is served
    if (!(own.need_number("factor") >= 1.0)) own.fail("factor", "at least 1");
    own.has("original_max_position_embeddings");
    return;
  }
  if (type == "proportional") {
    rope.type = RopeType::proportional;
    rope.factor = own.number("factor").value_or(1.0);
    if (!(rope.factor > 0)) own.fail("factor", "above 0");
    return;
  }
  const std::pair<const char*, RopeType> types[] = {{"linear", RopeType::linear},
                                                    {"llama3", RopeType::llama3},
                                                    {"yarn", RopeType::yarn},
                                                    {"longrope", RopeType::longrope}};
  for (const auto& [name, value] : types) {
    if (type == name) rope.type = value;
  }
  if (rope.type == RopeType::standard) {
    own.refuse("rope type \"" + type +
               "\" is not implemented (default, dynamic, linear, llama3, longrope, proportional, yarn are)");
  }
  // As in Transformers, a field beside the rope parameters wins over one inside, and the model's limit is the
  // last resort.
  const double inside = own.number("original_max_position_embeddings").value_or(d.max_positions);
  rope.original_max_positions = model_original.value_or(inside);
  if (rope.original_max_positions < 1) own.fail("original_max_position_embeddings", "at least 1");
  const bool derived = (rope.type == RopeType::yarn || rope.type == RopeType::longrope) && !own.has("factor");
  rope.factor = derived ? d.max_positions / rope.original_max_positions : own.need_number("factor");
  if (!(rope.factor >= 1.0)) own.fail("factor", "at least 1");
  if (rope.type == RopeType::llama3) read_llama3(rope, own);
  if (rope.type == RopeType::yarn) read_yarn(rope, own);
  if (rope.type == RopeType::longrope) read_longrope(rope, own);
}

void ConfigReader::read_llama3(Rope& rope, JsonFields& own) {
  rope.low_freq_factor = own.need_number("low_freq_factor");
  rope.high_freq_factor = own.need_number("high_freq_factor");
  if (!(rope.low_freq_factor > 0) || !(rope.high_freq_factor >= rope.low_freq_factor)) {
    own.refuse("needs 0 < low_freq_factor <= high_freq_factor");
  }
}

void ConfigReader::read_yarn(Rope& rope, JsonFields& own) {
  rope.attention_factor = own.number("attention_factor");
  rope.mscale = own.number("mscale");
  rope.mscale_all_dim = own.number("mscale_all_dim");
  // Transformers reads 0 as absent here.
  const auto given = [](std::optional<double> value, double otherwise) {
    return value && *value != 0 ? *value : otherwise;
  };
  rope.beta_fast = given(own.number("beta_fast"), 32.0);
  rope.beta_slow = given(own.number("beta_slow"), 1.0);
  rope.truncate = own.boolean("truncate", true);
  if (!(rope.beta_slow > 0) || !(rope.beta_fast >= rope.beta_slow)) {
    own.refuse("needs 0 < beta_slow <= beta_fast");
  }
}

void ConfigReader::read_longrope(Rope& rope, JsonFields& own) {
  rope.attention_factor = own.number("attention_factor");
  rope.short_factors = own.numbers("short_factor");
  const auto pairs = static_cast<size_t>(rope.dims / 2);
  if (rope.short_factors.size() != pairs) {
    own.fail("short_factor", "a list of " + std::to_string(pairs) + " numbers");
  }
  if (own.numbers("long_factor").size() != pairs) {
    own.fail("long_factor", "a list of " + std::to_string(pairs) + " numbers");
  }
  // Beyond the original context every position, past ones too, turns by long_factor.
  network.max_positions = std::min(network.max_positions, static_cast<int32_t>(rope.original_max_positions));
}

void ConfigReader::size_rope(Rope& rope, int32_t head_dim, double partial) {
  rope.dims = static_cast<int32_t>(head_dim * partial);
  rope.turning_pairs = rope.dims / 2;
}

size_t ConfigReader::push_rope(const Rope& from, int32_t head_dim) {
  Rope rope = from;
  const int32_t most = head_dim > 0 ? head_dim : d.head_dim;
  if (!(rope.theta > 1)) fields.fail("rope_theta", "above 1");
  // Its frequencies are those of a whole head, of which the first pairs turn.
  if (rope.type == RopeType::proportional && rope.dims >= 0 && rope.dims <= most) rope.dims = most;
  if (rope.dims % 2 != 0 || rope.dims < 2 || rope.dims > most) {
    fields.fail("partial_rotary_factor", "such that an even number of a head's dimensions is rotated");
  }
  network.ropes.push_back(rope);
  return network.ropes.size() - 1;
}

const char* ConfigReader::rope_field() {
  const bool parameters = fields.has("rope_parameters");
  if (fields.has("rope_scaling") && !fields.raw("rope_scaling").empty()) return "rope_scaling";
  return parameters ? "rope_parameters" : nullptr;
}

bool ConfigReader::has_rope_parameters() {
  return rope_field() != nullptr;
}

std::string ConfigReader::rope_type() {
  const char* const field = rope_field();
  if (field == nullptr || !fields.raw(field).is_object()) return "default";
  JsonFields own(fields.raw(field), fields.where() + ": " + field);
  return type_of(own);
}

std::optional<double> ConfigReader::rope_number(const char* name) {
  const char* const field = rope_field();
  if (field == nullptr || !fields.raw(field).is_object()) return std::nullopt;
  JsonFields own(fields.raw(field), fields.where() + ": " + field);
  const auto value = own.number(name);
  if (own.error()) fields.take_error(*own.error());
  return value;
}

size_t ConfigReader::add_rope(const RopeDefaults& defaults) {
  Rope rope;
  rope.interleaved = defaults.interleaved;
  rope.theta = fields.number("rope_theta").value_or(defaults.theta);
  double partial = fields.number("partial_rotary_factor").value_or(defaults.partial);
  const auto original = fields.number("original_max_position_embeddings");
  const char* const name = rope_field();
  if (name == nullptr) {
    rope.dims = static_cast<int32_t>(d.head_dim * partial);
    return push_rope(rope);
  }
  if (!fields.raw(name).is_object()) {
    fields.fail(name, "an object");
    return 0;
  }
  JsonFields own(fields.raw(name), fields.where() + ": " + name);
  rope.theta = own.number("rope_theta").value_or(rope.theta);
  partial = own.number("partial_rotary_factor").value_or(partial);
  size_rope(rope, d.head_dim, partial);
  read_scaling(rope, own, defaults, original);
  for (const char* known : defaults.beside) own.has(known);
  for (const std::string& unknown : own.unread()) {
    own.refuse(unknown + " is not known for this rope type, and might change what it computes");
  }
  if (own.error()) fields.take_error(*own.error());
  return push_rope(rope);
}

std::optional<size_t> ConfigReader::add_rope_of(const char* key, const RopeDefaults& defaults) {
  const bool nested = fields.has("rope_parameters") && fields.raw("rope_parameters").is_object() &&
                      fields.raw("rope_parameters").contains(key) &&
                      fields.raw("rope_parameters")[key].is_object();
  if (!nested) return std::nullopt;
  JsonFields own(fields.raw("rope_parameters")[key], fields.where() + ": rope_parameters." + key);
  Rope rope;
  rope.interleaved = defaults.interleaved;
  rope.theta = own.number("rope_theta").value_or(fields.number("rope_theta").value_or(defaults.theta));
  const double partial = own.number("partial_rotary_factor").value_or(defaults.partial);
  size_rope(rope, defaults.head_dim > 0 ? defaults.head_dim : d.head_dim, partial);
  read_scaling(rope, own, defaults, std::nullopt);
  for (const std::string& unknown : own.unread()) {
    own.refuse(unknown + " is not known for this rope type, and might change what it computes");
  }
  if (own.error()) fields.take_error(*own.error());
  return push_rope(rope, defaults.head_dim);
}

size_t ConfigReader::add_plain_rope(double theta) {
  Rope rope;
  rope.theta = theta;
  rope.dims = d.head_dim;
  return push_rope(rope);
}

std::vector<std::string> ConfigReader::layer_types() {
  std::vector<std::string> types = fields.texts("layer_types");
  if (!types.empty() && types.size() != static_cast<size_t>(d.layers)) {
    fields.fail("layer_types", "one for each of num_hidden_layers");
    return {};
  }
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention") {
      fields.refuse("layer_types: \"" + type +
                    "\" is not implemented (full_attention, sliding_attention are)");
    }
  }
  return types;
}

Norm ConfigReader::rms_norm(const std::string& module, int32_t width, float epsilon, float offset) const {
  Norm norm;
  norm.module = module;
  norm.width = width;
  norm.epsilon = epsilon;
  norm.offset = offset;
  return norm;
}

void ConfigReader::llama_frame(bool tied, float epsilon, float norm_offset) {
  network.embedding.module = "model.embed_tokens";
  network.final_norm = rms_norm("model.norm", d.hidden, epsilon, norm_offset);
  network.head.module = "lm_head";
  network.head.tied = tied;
}

Layer ConfigReader::llama_layer(int32_t index, const LayerOptions& options) const {
  const std::string prefix = layer_prefix(index);
  const std::string self = prefix + "self_attn.";
  const std::string mlp = prefix + "mlp.";
  Layer layer;
  layer.before_attention =
      rms_norm(prefix + "input_layernorm", d.hidden, options.epsilon, options.norm_offset);
  layer.before_mlp =
      rms_norm(prefix + "post_attention_layernorm", d.hidden, options.epsilon, options.norm_offset);
  Attention& a = layer.attention;
  a.q_heads = d.q_heads;
  a.kv_heads = d.kv_heads;
  a.head_dim = d.head_dim;
  a.qkv = {d.hidden,
           {map_module(self + "q_proj", a.q_width(), options.qkv_bias),
            map_module(self + "k_proj", a.kv_width(), options.qkv_bias),
            map_module(self + "v_proj", a.kv_width(), options.qkv_bias)}};
  a.o = {a.q_width(), {map_module(self + "o_proj", d.hidden, options.o_bias)}};
  a.rope = 0;
  a.scale = 1.0f / std::sqrt(static_cast<float>(d.head_dim));
  layer.mlp.up = {d.hidden,
                  {map_module(mlp + "gate_proj", d.ffn, options.mlp_bias),
                   map_module(mlp + "up_proj", d.ffn, options.mlp_bias)}};
  layer.mlp.down = {d.ffn, {map_module(mlp + "down_proj", d.hidden, options.mlp_bias)}};
  layer.mlp.activation = options.activation;
  return layer;
}

MapModule map_module(std::string name, int64_t out, bool bias) {
  MapModule module;
  module.name = std::move(name);
  module.out = out;
  module.bias = bias;
  module.parts = {rows_of(0, out)};
  return module;
}

std::string layer_prefix(int32_t index, const char* stem) {
  return stem + std::to_string(index) + ".";
}

}  // namespace lorikeet
