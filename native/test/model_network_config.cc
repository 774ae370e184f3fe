#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "model/network_config.h"
#include "test/checks.h"

namespace lorikeet {

namespace {

using nlohmann::json;

json minimal() {
  return {{"model_type", "llama"},    {"vocab_size", 512},      {"hidden_size", 64},
          {"intermediate_size", 160}, {"num_hidden_layers", 3}, {"num_attention_heads", 4}};
}

Result<Network> parse(const json& object, std::optional<std::string> generation = std::nullopt) {
  return parse_network(object.dump(), generation);
}

Network parsed(const json& object, std::optional<std::string> generation = std::nullopt) {
  Result<Network> config = parse(object, generation);
  REQUIRE(config);
  return *config;
}

json with(json object, const char* name, json value) {
  object[name] = std::move(value);
  return object;
}

}  // namespace

TEST_CASE("absent fields take Transformers' defaults") {
  const Network network = parsed(minimal());
  REQUIRE(network.layers.size() == 3);
  const Layer& layer = network.layers.front();
  CHECK(layer.attention.kv_heads == 4);
  CHECK(layer.attention.head_dim == 16);
  CHECK(network.max_positions == 2048);
  CHECK(layer.before_attention->epsilon == doctest::Approx(1e-6));
  CHECK_FALSE(network.head.tied);
  CHECK_FALSE(layer.attention.qkv.modules.front().bias);
  CHECK_FALSE(layer.mlp.up.modules.front().bias);
  CHECK(network.eos_token_ids.empty());
  CHECK_FALSE(network.bos_token_id.has_value());
}

TEST_CASE("null fields count as absent") {
  const json config =
      with(with(with(minimal(), "head_dim", nullptr), "rope_scaling", nullptr), "hidden_act", nullptr);
  const Network network = parsed(config);
  CHECK(network.layers.front().attention.head_dim == 16);
  CHECK(network.ropes.front().type == RopeType::standard);
  CHECK(network.layers.front().mlp.activation.kind == ActivationKind::silu);
}

TEST_CASE("dynamic rope is the plain one within max_position_embeddings, where alone contexts are served") {
  const Network network =
      parsed(with(minimal(), "rope_scaling", json{{"rope_type", "dynamic"}, {"factor", 2.0}}));
  CHECK(network.ropes.front().type == RopeType::standard);
}

TEST_CASE("longrope serves the original context, whose factors are the short ones") {
  const json factors(8, 1.5);
  const json scaling = {{"type", "su"}, {"short_factor", factors}, {"long_factor", json(8, 4.0)}};
  json config = with(with(minimal(), "model_type", "phi3"), "rope_scaling", scaling);
  config["max_position_embeddings"] = 4096;
  config["original_max_position_embeddings"] = 512;
  const Network network = parsed(config);
  CHECK(network.max_positions == 512);
  CHECK(network.ropes.front().factor == 8.0);
  CHECK(make_rope(network.ropes.front()).attention_factor ==
        doctest::Approx(std::sqrt(1 + std::log(8.0) / std::log(512.0))));
}

TEST_CASE("qwen2 has biases on q, k and v, and no window unless use_sliding_window says so") {
  json config = with(with(minimal(), "model_type", "qwen2"), "sliding_window", 128);
  config["num_key_value_heads"] = 2;
  config["max_window_layers"] = 1;
  const Network off = parsed(with(config, "use_sliding_window", false));
  for (const Layer& layer : off.layers) CHECK(layer.attention.window == 0);
  CHECK(off.layers.front().attention.qkv.modules.front().bias);
  CHECK_FALSE(off.layers.front().attention.o.modules.front().bias);
  const Network on = parsed(with(config, "use_sliding_window", true));
  CHECK(on.layers[0].attention.window == 0);
  CHECK(on.layers[1].attention.window == 128);
}

TEST_CASE("mistral's window is the class's where it is absent, and none where it is null") {
  const json config = with(with(minimal(), "model_type", "mistral"), "num_key_value_heads", 2);
  CHECK(parsed(config).layers.front().attention.window == 4096);
  CHECK(parsed(with(config, "sliding_window", nullptr)).layers.front().attention.window == 0);
  CHECK(parsed(with(config, "sliding_window", 24)).layers.front().attention.window == 24);
}

TEST_CASE("gemma's gelu means the approximation, and gemma 3 turns its layers by two ropes") {
  json gemma = with(with(minimal(), "model_type", "gemma"), "hidden_act", "gelu");
  gemma["num_key_value_heads"] = 1;
  const Network first = parsed(gemma);
  CHECK(first.layers.front().mlp.activation.kind == ActivationKind::gelu_tanh);
  CHECK(first.embedding.scale == 8.0f);
  CHECK(first.head.tied);
  json third = {{"model_type", "gemma3_text"},
                {"num_hidden_layers", 6},
                {"rope_scaling", {{"rope_type", "linear"}, {"factor", 8.0}}},
                {"sliding_window", 512}};
  const Network network = parsed(third);
  CHECK(network.hidden == 2304);
  const Attention& local = network.layers[0].attention;
  const Attention& full = network.layers[5].attention;
  CHECK(local.window == 512);
  CHECK(full.window == 0);
  CHECK(network.ropes[*local.rope].theta == 10000.0);
  CHECK(network.ropes[*local.rope].factor == 1.0);
  CHECK(network.ropes[*full.rope].theta == 1e6);
  CHECK(network.ropes[*full.rope].factor == 8.0);
}

namespace {

// Gemma 4 of six layers, the last without a window.
json gemma4() {
  return {{"model_type", "gemma4_text"},
          {"vocab_size", 64},
          {"hidden_size", 32},
          {"intermediate_size", 48},
          {"num_hidden_layers", 6},
          {"num_attention_heads", 4},
          {"num_key_value_heads", 2},
          {"head_dim", 8},
          {"global_head_dim", 16},
          {"sliding_window", 8},
          {"hidden_size_per_layer_input", 0}};
}

}  // namespace

TEST_CASE(
    "gemma 4's full layers have heads and a rope of their own, by fields of the whole or layer by layer") {
  json old = with(with(gemma4(), "attention_k_eq_v", true), "num_global_key_value_heads", 1);
  json own = with(with(gemma4(), "attention_k_eq_v", true), "global_head_dim", 512);
  own["per_layer_config"] = {{"05", {{"head_dim", 16}, {"num_key_value_heads", 1}}}};
  for (const json& config : {old, own}) {
    const Network network = parsed(config);
    const Attention& local = network.layers[4].attention;
    const Attention& full = network.layers[5].attention;
    CHECK(local.window == 8);
    CHECK(full.window == 0);
    CHECK(local.projected == Projected::qkv);
    CHECK(full.projected == Projected::qk);
    CHECK(full.qkv.modules.size() == 2);
    CHECK(full.head_dim == 16);
    CHECK(full.kv_heads == 1);
    CHECK(full.scale == 1.0f);
    const std::vector<KvLayer> kv = kv_layers(network);
    REQUIRE(kv.size() == 6);
    CHECK(kv[4].head_dim * kv[4].kv_heads == 16);
    CHECK(kv[5].head_dim * kv[5].kv_heads == 16);
    CHECK(kv[5].kv_heads == 1);
    CHECK(network.ropes[*local.rope].dims == 8);
    const RotationDesc turn = make_rope(network.ropes[*full.rope]);
    REQUIRE(turn.inv_freq.size() == 8);
    CHECK(turn.inv_freq[0] == 1.0f);
    CHECK(turn.inv_freq[1] == doctest::Approx(std::pow(1e6, -2.0 / 16)));
    for (size_t i = 2; i < 8; ++i) CHECK(turn.inv_freq[i] == 0.0f);
  }
  // Without attention_k_eq_v the number of KV heads is one for all.
  old["attention_k_eq_v"] = false;
  CHECK(parsed(old).layers[5].attention.kv_heads == 2);
}

TEST_CASE("gemma 4's last layers may read the keys and values of earlier ones, which the cache holds once") {
  json config = with(with(gemma4(), "num_kv_shared_layers", 3), "use_double_wide_mlp", true);
  config["layer_types"] = {"sliding_attention", "full_attention",    "sliding_attention",
                           "full_attention",    "sliding_attention", "full_attention"};
  const Network network = parsed(config);
  CHECK(kv_layers(network).size() == 3);
  const int places[] = {0, 1, 2, 1, 2, 1};
  for (size_t layer = 0; layer < 6; ++layer) {
    const Layer& own = network.layers[layer];
    CHECK(kv_place(network, layer) == places[layer]);
    CHECK(own.attention.qkv.modules.size() == (layer < 3 ? 3 : 1));
    CHECK(own.attention.k_norm.has_value() == (layer < 3));
    CHECK(own.mlp.width() == (layer < 3 ? 48 : 96));
  }
  CHECK(std::find(network.ignored.begin(), network.ignored.end(), "model.layers.3.self_attn.k_proj.") !=
        network.ignored.end());
}

TEST_CASE("gemma 4 with what it cannot be is refused with the field's name") {
  const auto shared = with(gemma4(), "num_kv_shared_layers", 1);
  const std::pair<json, const char*> cases[] = {
      {with(gemma4(), "use_bidirectional_attention", "all"), "use_bidirectional_attention"},
      {shared, "num_kv_shared_layers"},  // no full layer before the last
      {with(gemma4(), "num_kv_shared_layers", 6), "num_kv_shared_layers"},
      {with(gemma4(), "global_head_dim", 15), "global_head_dim"},
      {with(gemma4(), "per_layer_config", {{"6", {{"head_dim", 16}}}}), "per_layer_config"},
      {with(gemma4(), "per_layer_config", {{"5", {{"intermediate_size", 16}}}}), "intermediate_size"},
      {with(gemma4(), "per_layer_config", {{"1", {{"head_dim", 16}}}}), "per_layer_config"},
      {with(gemma4(), "enable_moe_block", true), "num_experts"},
      {with(gemma4(), "rope_parameters", {{"full_attention", {{"rope_theta", 1e6}}}}), "sliding_attention"},
      {with(with(gemma4(), "hidden_size_per_layer_input", 8), "vocab_size_per_layer_input", 63),
       "vocab_size_per_layer_input"},
      {with(gemma4(), "altup_num_inputs", 4), "altup_num_inputs"},
  };
  for (const auto& [config, field] : cases) {
    CAPTURE(config.dump());
    const Result<Network> network = parse(config);
    REQUIRE_FALSE(network);
    CHECK_MESSAGE(network.error().message.find(field) != std::string::npos, network.error().message);
  }
  CHECK(parse(with(gemma4(), "use_bidirectional_attention", "vision")));
}

TEST_CASE("a vision-language checkpoint is read as its text part, which shares the whole's tokens and head") {
  const json whole = {{"model_type", "gemma3"},
                      {"architectures", {"Gemma3ForConditionalGeneration"}},
                      {"eos_token_id", {1, 106}},
                      {"vision_config", {{"hidden_size", 8}}},
                      {"text_config", {{"model_type", "gemma3_text"}, {"num_hidden_layers", 2}}}};
  const Network network = parsed(whole);
  CHECK(network.layers.size() == 2);
  CHECK(network.eos_token_ids == std::vector<int32_t>{1, 106});
  CHECK_FALSE(network.renames.empty());
  CHECK_FALSE(network.ignored.empty());
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
      {with(minimal(), "model_type", "mamba2"), "mamba2"},
      {with(minimal(), "is_causal", false), "is_causal"},
      {with(minimal(), "use_bidirectional_attention", true), "use_bidirectional_attention"},
      {with(minimal(), "logit_scale", 0.0625), "logit_scale"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "linear"}, {"factor", 2.0}, {"alpha", 3.0}}),
       "alpha"},
      {with(with(minimal(), "model_type", "gemma3_text"), "attn_logit_softcapping", 50.0),
       "attn_logit_softcapping"},
      {with(minimal(), "architectures", json::array({"LlamaForSequenceClassification"})), "architecture"},
      {with(minimal(), "hidden_act", "mish"), "hidden_act"},
      {with(minimal(), "quantization_config", json{{"quant_method", "gptq"}, {"bits", 5}}), "bits"},
      {with(minimal(), "quantization_config", json{{"quant_method", "aqlm"}}), "aqlm"},
      {with(minimal(), "quantization_config", json{{"quant_method", "fp8"}, {"fmt", "e5m2"}}), "fmt"},
      {with(minimal(), "quantization_config", json::object()), "quant_method"},
      {with(minimal(), "quantization_config", "nf4"), "quantization_config"},
      {with(minimal(), "quantization_config", json{{"quant_method", "bitsandbytes"}}), "load_in_4bit"},
      {with(minimal(), "quantization_config", json{{"load_in_4bit", true}}), "fp4"},
      {with(minimal(), "quantization_config", json{{"load_in_4bit", true}, {"bnb_4bit_quant_type", "fp4"}}),
       "bnb_4bit_quant_type"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "axial"}, {"factor", 2.0}}), "axial"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "linear"}}), "factor"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "linear"}, {"factor", 0.5}}), "factor"},
      {with(minimal(), "rope_scaling", json{{"rope_type", "llama3"}, {"factor", 8.0}}), "low_freq_factor"},
      {with(minimal(), "rope_scaling", "linear"), "rope_scaling"},
      {with(minimal(), "rope_parameters", json{{"partial_rotary_factor", 0.1}}), "partial_rotary_factor"},
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
    const Result<Network> network = parse(test.config);
    REQUIRE_FALSE(network);
    CHECK_MESSAGE(network.error().message.find(test.names) != std::string::npos, network.error().message);
  }
  CHECK_FALSE(parse_network("{", std::nullopt));
  CHECK_FALSE(parse(minimal(), "[]"));
}

}  // namespace lorikeet
