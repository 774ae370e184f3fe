#include "model/network_config.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "model/families/family.h"
#include "model/gguf/gguf_config.h"
#include "model/json_fields.h"
#include "model/mapped_file.h"

namespace lorikeet {

namespace {

using nlohmann::json;

// What a config.json may say without a word about inference: how a model was trained, stored, tokenized and
// converted, what else the class can return, and settings of generation, which generation_config.json and
// the request decide. Any other field that no family asks for might change arithmetic and is refused.
constexpr std::array<std::string_view, 82> kIrrelevantFields = {
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_name_or_path",
    "_sliding_window_pattern",
    "add_cross_attention",
    "architectures",
    "attention_dropout",
    "attn_pdrop",
    "auto_map",
    "bad_words_ids",
    "begin_suppress_tokens",
    "chunk_size_feed_forward",
    "classifier_dropout",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "diversity_penalty",
    "do_sample",
    "dtype",
    "early_stopping",
    "embd_pdrop",
    "embedding_dropout",
    "encoder_no_repeat_ngram_size",
    "exponential_decay_length_penalty",
    "ffn_dropout",
    "finetuning_task",
    "forced_bos_token_id",
    "forced_eos_token_id",
    "hidden_dropout",
    "hidden_dropout_prob",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "keys_to_ignore_at_inference",
    "label2id",
    "layerdrop",
    "length_penalty",
    "max_length",
    "max_new_tokens",
    "max_sequence_length",
    "min_length",
    "model_type",
    "no_repeat_ngram_size",
    "num_beam_groups",
    "num_beams",
    "num_labels",
    "num_return_sequences",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "pruned_heads",
    "quantization_config",
    "remove_invalid_values",
    "repetition_penalty",
    "resid_dropout",
    "resid_pdrop",
    "return_dict",
    "return_dict_in_generate",
    "rope_theta",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "sep_token_id",
    "suppress_tokens",
    "task_specific_params",
    "temperature",
    "tf_legacy_loss",
    "tokenizer_class",
    "top_k",
    "top_p",
    "torch_dtype",
    "torchscript",
    "transformers_version",
    "typical_p",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
};

bool is_irrelevant(const std::string& name) {
  return std::find(kIrrelevantFields.begin(), kIrrelevantFields.end(), name) != kIrrelevantFields.end();
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

// Python's json writes and reads NaN and infinities. Here they become text, which no number's reader takes.
std::string without_infinities(const std::string& text) {
  std::string result;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\' && i + 1 < text.size()) {
      result += text[i++];
    } else if (text[i] == '"') {
      quoted = !quoted;
    }
    const std::string_view rest = std::string_view(text).substr(i);
    const size_t length = quoted                          ? 0
                          : rest.starts_with("-Infinity") ? 9
                          : rest.starts_with("Infinity")  ? 8
                          : rest.starts_with("NaN")       ? 3
                                                          : 0;
    if (length == 0) {
      result += text[i];
      continue;
    }
    result += '"' + std::string(rest.substr(0, length)) + '"';
    i += length - 1;
  }
  return result;
}

Status read_generation_config(Network& network, const std::string& text) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Error{"generation_config.json is not a JSON object"};
  JsonFields fields(object, "generation_config.json");
  if (auto ids = read_token_ids(fields, "eos_token_id")) network.eos_token_ids = std::move(*ids);
  if (fields.error()) return *fields.error();
  return {};
}

std::string known_types() {
  std::string list;
  for (const Family* family : families())
    list += (list.empty() ? "" : ", ") + std::string(family->model_type);
  return list;
}

// The class that config.json names must be the family's: a classifier or an encoder of the same shape has
// other weights. Without one the first is meant.
void read_architecture(Network& network, const std::vector<const char*>& known, JsonFields& fields) {
  network.architecture = known.front();
  const std::vector<std::string> given = fields.texts("architectures");
  if (given.empty()) return;
  const bool fits = std::find(known.begin(), known.end(), given.front()) != known.end();
  if (!fits) {
    fields.refuse("architecture " + given.front() + " is not implemented (" + known.front() + " is)");
  }
  network.architecture = given.front();
}

// A model that looks both ways, or otherwise not only back, is not served by a causal cache.
void refuse_not_causal(JsonFields& fields) {
  if (!fields.boolean("is_causal", true)) fields.refuse("is_causal false is not implemented");
  // Gemma 4: "vision" is of pictures alone.
  const bool named =
      fields.has("use_bidirectional_attention") && fields.raw("use_bidirectional_attention").is_string();
  if (named && fields.text("use_bidirectional_attention") != "vision") {
    fields.refuse("use_bidirectional_attention \"" + *fields.text("use_bidirectional_attention") +
                  "\" is not implemented");
  }
  if (!named && fields.boolean("use_bidirectional_attention", false)) {
    fields.refuse("use_bidirectional_attention true is not implemented");
  }
  if (fields.boolean("use_mrope", false)) fields.refuse("use_mrope true is not implemented");
  if (fields.boolean("add_cross_attention", false)) fields.refuse("add_cross_attention is not implemented");
}

void refuse_unknown(JsonFields& fields) {
  for (const std::string& name : fields.unread()) {
    if (is_irrelevant(name)) continue;
    fields.refuse(
        name + " is not a field that this model_type is known by; it might change what the model computes");
  }
}

void read_tokens(Network& network, JsonFields& fields) {
  if (auto ids = read_token_ids(fields, "eos_token_id")) network.eos_token_ids = std::move(*ids);
  if (auto ids = read_token_ids(fields, "bos_token_id"); ids && !ids->empty()) {
    network.bos_token_id = ids->front();
  }
}

// The text model's own fields: of config.json, or of its text_config.
Status read_text_model(Network& network, JsonFields& fields, const std::string& model_type) {
  const Family* const family = find_family(model_type);
  if (family == nullptr) {
    fields.refuse("model_type \"" + model_type + "\" is not implemented (" + known_types() + " are)");
    return *fields.error();
  }
  network.family = family->model_type;
  refuse_not_causal(fields);
  read_tokens(network, fields);
  if (fields.error()) return *fields.error();  // before the dimensions, which mean nothing in another class
  ConfigReader reader(fields, network);
  family->read(reader);
  refuse_unknown(fields);
  if (fields.error()) return *fields.error();
  return {};
}

Status read_text_part(Network& network, const TextPart& part, JsonFields& fields) {
  read_architecture(network, part.architectures, fields);
  network.renames = part.renames;
  network.ignored = part.ignored;
  if (fields.error()) return *fields.error();
  if (!fields.has("text_config") || !fields.raw("text_config").is_object()) {
    fields.fail("text_config", "an object");
    return *fields.error();
  }
  // What the whole says of the head holds where the part says nothing.
  json text = fields.raw("text_config");
  for (const char* name : {"tie_word_embeddings", "eos_token_id", "bos_token_id"}) {
    if (fields.has(name) && !text.contains(name)) text[name] = fields.raw(name);
  }
  const bool says = fields.has("tie_word_embeddings");
  if (part.may_lack_head && says) text["tie_word_embeddings"] = fields.raw("tie_word_embeddings");
  JsonFields own(text, "config.json: text_config");
  own.has("architectures");
  const std::string type = own.text("model_type").value_or(part.text_model_type);
  if (Status s = read_text_model(network, own, type); !s) return s;
  network.head.tied_if_absent = part.may_lack_head && !says;
  return {};
}

}  // namespace

Result<Network> parse_network(const std::string& text, const std::optional<std::string>& generation_text) {
  const json object = json::parse(without_infinities(text), nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Error{"config.json is not a JSON object"};
  JsonFields fields(object, "config.json");
  Network network;
  const std::string type = fields.text("model_type").value_or("(none)");
  network.format = read_checkpoint_format(fields);
  if (fields.error()) return *fields.error();
  if (const TextPart* const part = find_text_part(type)) {
    if (Status s = read_text_part(network, *part, fields); !s) return s.error();
  } else {
    if (const Family* const family = find_family(type)) {
      read_architecture(network, family->architectures, fields);
    }
    if (Status s = read_text_model(network, fields, type); !s) return s.error();
  }
  if (generation_text) {
    const Status generation = read_generation_config(network, *generation_text);
    if (!generation) return generation.error();
  }
  return network;
}

namespace {

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

// Where config.json says nothing of quantization, the file of the tool that quantized may.
Status read_format_file(const std::string& folder, CheckpointFormat& format) {
  for (const char* name : kCheckpointFormatFiles) {
    const std::string path = folder + "/" + name;
    if (format.method != CheckpointMethod::plain || !exists(path)) continue;
    Result<std::string> text = read_text(path);
    if (!text) return text.error();
    Result<CheckpointFormat> read = read_checkpoint_format_file(name, *text);
    if (!read) return read.error();
    format = *read;
  }
  return {};
}

}  // namespace

Result<Network> read_network(const std::string& path) {
  if (is_gguf(path)) {
    Result<GgufModel> model = GgufModel::open(path);
    if (!model) return model.error();
    Result<std::string> config = gguf_config_text(*model);
    if (!config) return config.error();
    return parse_network(*config, std::nullopt);
  }
  const std::string& folder = path;
  Result<std::string> text = read_text(folder + "/config.json");
  if (!text) return text.error();
  std::optional<std::string> generation_text;
  const std::string generation_path = folder + "/generation_config.json";
  if (exists(generation_path)) {
    Result<std::string> generation = read_text(generation_path);
    if (!generation) return generation.error();
    generation_text = std::move(*generation);
  }
  Result<Network> network = parse_network(*text, generation_text);
  if (!network) return network;
  if (Status s = read_format_file(folder, network->format); !s) return s.error();
  return network;
}

}  // namespace lorikeet
