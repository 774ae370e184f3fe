#include "model/model_config.h"

#include <nlohmann/json.hpp>

#include "test/checks.h"

namespace lorikeet {

namespace {

using nlohmann::json;

json minimal() {
  return {{"model_type", "llama"},    {"vocab_size", 512},      {"hidden_size", 64},
          {"intermediate_size", 160}, {"num_hidden_layers", 3}, {"num_attention_heads", 4}};
}

Result<ModelConfig> parse(const json& object, std::optional<std::string> generation = std::nullopt) {
  return parse_model_config(object.dump(), generation);
}

ModelConfig parsed(const json& object, std::optional<std::string> generation = std::nullopt) {
  Result<ModelConfig> config = parse(object, generation);
  REQUIRE(config);
  return *config;
}

json with(json object, const char* name, json value) {
  object[name] = std::move(value);
  return object;
}

}  // namespace

TEST_CASE("absent fields take Transformers' defaults") {
  const ModelConfig config = parsed(minimal());
  CHECK(config.kv_heads == 4);
  CHECK(config.head_dim == 16);
  CHECK(config.max_positions == 2048);
  CHECK(config.norm_epsilon == doctest::Approx(1e-6));
  CHECK_FALSE(config.tied_head);
  CHECK_FALSE(config.attention_bias);
  CHECK_FALSE(config.mlp_bias);
  CHECK(config.eos_token_ids.empty());
  CHECK_FALSE(config.bos_token_id.has_value());
}

TEST_CASE("null fields count as absent") {
  const ModelConfig config = parsed(with(with(minimal(), "head_dim", nullptr), "rope_scaling", nullptr));
  CHECK(config.head_dim == 16);
  CHECK(config.rope.type == RopeType::standard);
}

TEST_CASE("end tokens come as one id or a list, and generation_config.json's win") {
  CHECK(parsed(with(minimal(), "eos_token_id", 2)).eos_token_ids == std::vector<int32_t>{2});
  CHECK(parsed(with(minimal(), "eos_token_id", json::array({2, 5}))).eos_token_ids ==
        std::vector<int32_t>{2, 5});
  CHECK(parsed(with(minimal(), "eos_token_id", 2), R"({"eos_token_id": [7, 8]})").eos_token_ids ==
        std::vector<int32_t>{7, 8});
  CHECK(parsed(with(minimal(), "eos_token_id", 2), R"({"temperature": 0.6})").eos_token_ids ==
        std::vector<int32_t>{2});
}

TEST_CASE("pretraining_tp is ignored: it splits matrices without changing the product") {
  CHECK(parse(with(minimal(), "pretraining_tp", 4)));
}

TEST_CASE("a config that is not implemented or makes no sense is refused with the field's name") {
  struct Case {
    json config;
    const char* names;
  };
  const Case cases[] = {
      {with(minimal(), "model_type", "mistral"), "model_type"},
      {with(minimal(), "architectures", json::array({"LlamaForSequenceClassification"})), "architecture"},
      {with(minimal(), "hidden_act", "gelu"), "hidden_act"},
      {with(minimal(), "quantization_config", json{{"quant_method", "gptq"}, {"bits", 4}}), "gptq"},
      {with(minimal(), "quantization_config", json{{"quant_method", "awq"}}), "awq"},
      {with(minimal(), "quantization_config", json{{"quant_method", "fp8"}}), "fp8"},
      {with(minimal(), "quantization_config", json::object()), "quant_method"},
      {with(minimal(), "quantization_config", "nf4"), "quantization_config"},
      {with(minimal(), "quantization_config", json{{"quant_method", "bitsandbytes"}}), "load_in_4bit"},
      {with(minimal(), "quantization_config", json{{"load_in_8bit", true}}), "load_in_8bit"},
      {with(minimal(), "quantization_config", json{{"load_in_4bit", true}}), "fp4"},
      {with(minimal(), "quantization_config", json{{"load_in_4bit", true}, {"bnb_4bit_quant_type", "fp4"}}),
       "bnb_4bit_quant_type"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "dynamic"}, {"factor", 2.0}}), "dynamic"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "linear"}}), "factor"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "linear"}, {"factor", 0.5}}), "factor"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "llama3"}, {"factor", 8.0}}), "low_freq_factor"},
      {with(minimal(), "rope_scaling", "linear"), "rope_scaling"},
      {with(minimal(), "rope_parameters", json{{"partial_rotary_factor", 0.5}}), "partial_rotary_factor"},
      {with(minimal(), "rope_theta", -1), "rope_theta"},
      {with(minimal(), "vocab_size", 0), "vocab_size"},
      {with(minimal(), "vocab_size", "512"), "vocab_size"},
      {with(minimal(), "hidden_size", 1e300), "hidden_size"},
      {with(minimal(), "num_hidden_layers", 2.5), "num_hidden_layers"},
      {with(minimal(), "num_key_value_heads", 3), "num_key_value_heads"},
      {with(minimal(), "num_attention_heads", 5), "num_attention_heads"},
      {with(minimal(), "head_dim", 15), "head_dim"},
      {with(minimal(), "intermediate_size", 1 << 30), "dimension"},
      {with(minimal(), "tie_word_embeddings", 1), "tie_word_embeddings"},
      {with(minimal(), "eos_token_id", "2"), "eos_token_id"},
      {with(minimal(), "rms_norm_eps", -1.0), "rms_norm_eps"},
      {json::array(), "object"},
  };
  for (const Case& test : cases) {
    CAPTURE(test.config.dump());
    const Result<ModelConfig> config = parse(test.config);
    REQUIRE_FALSE(config);
    CHECK_MESSAGE(config.error().message.find(test.names) != std::string::npos, config.error().message);
  }
  CHECK_FALSE(parse_model_config("{", std::nullopt));
  CHECK_FALSE(parse(minimal(), "[]"));
}

}  // namespace lorikeet
