// Gated delta nets and gated attention as config.json describes them.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "model/modules.h"
#include "model/network_config.h"
#include "test/checks.h"
#include "test/tiny_model.h"

namespace lorikeet::test {

namespace {

using nlohmann::json;

Network parsed(const json& config) {
  Result<Network> network = parse_network(config.dump(), std::nullopt);
  REQUIRE(network);
  return *network;
}

std::string refusal_of(const json& config) {
  const Result<Network> network = parse_network(config.dump(), std::nullopt);
  REQUIRE_FALSE(network);
  return network.error().message;
}

json next_config() {
  json config = json::parse(tiny_recurrent_config());
  config["model_type"] = "qwen3_next";
  config["linear_num_key_heads"] = 2;
  config["linear_num_value_heads"] = 4;
  config["num_experts"] = 4;
  config["num_experts_per_tok"] = 2;
  return config;
}

}  // namespace

TEST_CASE("the parts of fused projections are all of their rows, each once") {
  const Network network = parsed(next_config());
  for (const Module& module : list_modules(network)) {
    if (module.kind != ModuleKind::linear) continue;
    std::vector<int64_t> rows;
    for (const PartRows& part : module.parts) {
      for (int64_t i = 0; i < part.count; ++i) rows.push_back(part.row(i));
    }
    std::sort(rows.begin(), rows.end());
    CAPTURE(module.name);
    REQUIRE(static_cast<int64_t>(rows.size()) == module.out);
    for (int64_t i = 0; i < module.out; ++i) REQUIRE(rows[static_cast<size_t>(i)] == i);
  }
}

TEST_CASE("a delta net's projections are cut by key head, a gated query's by head") {
  const Network network = parsed(next_config());
  const DeltaNet& net = *network.layers.front().delta_net;
  // Each of two key heads of 3: q, k, two value heads' v and z of 5 each; two b and two a.
  const std::vector<PartRows>& qkvz = net.in.modules.front().parts;
  REQUIRE(qkvz.size() == 4);
  CHECK(qkvz[1].row(0) == 3);
  CHECK(qkvz[1].row(3) == 26 + 3);
  CHECK(qkvz[2].row(10) == 26 + 6);
  CHECK(qkvz[3].row(19) == 51);
  const std::vector<PartRows>& ba = net.in.modules.back().parts;
  CHECK(ba[0].row(2) == 4);
  CHECK(ba[1].row(1) == 3);
  const std::vector<PartRows>& q = network.layers.back().attention.qkv.modules.front().parts;
  REQUIRE(q.size() == 2);
  CHECK(q[0].row(0) == kHeadDim);
  CHECK(q[1].row(kHeadDim) == 2 * kHeadDim);
}

TEST_CASE("layers are recurrent by layer_types, else all but every full_attention_interval-th") {
  json config = next_config();
  config["num_hidden_layers"] = 6;
  config.erase("layer_types");
  config["full_attention_interval"] = 3;
  std::string kinds;
  for (const Layer& layer : parsed(config).layers) kinds += layer.delta_net ? 'r' : 'a';
  CHECK(kinds == "rrarra");
  config.erase("full_attention_interval");
  kinds.clear();
  for (const Layer& layer : parsed(config).layers) kinds += layer.delta_net ? 'r' : 'a';
  CHECK(kinds == "rrrarr");
}

TEST_CASE("what a recurrent family does not implement is refused by its name") {
  const auto with = [](const char* name, const json& value) {
    json config = json::parse(tiny_recurrent_config());
    config[name] = value;
    return config;
  };
  const std::pair<json, const char*> cases[] = {
      {with("layer_types", {"linear_attention", "sliding_attention"}), "sliding_attention"},
      {with("layer_types", {"linear_attention"}), "layer_types"},
      {with("hidden_act", "gelu"), "hidden_act"},
      {with("attn_output_gate", false), "attn_output_gate"},
      {with("output_gate_type", "sigmoid"), "output_gate_type"},
      {with("mamba_ssm_dtype", "bfloat16"), "mamba_ssm_dtype"},
      {with("linear_num_value_heads", 3), "linear_num_value_heads"},
      {with("linear_conv_kernel_dim", 65), "linear_conv_kernel_dim"},
      {with("mlp_only_layers", {0}), "mlp_only_layers"},
      {with("linear_frogs", 1), "linear_frogs"},
  };
  for (const auto& [config, names] : cases) {
    const std::string message = refusal_of(config);
    CHECK_MESSAGE(message.find(names) != std::string::npos, message);
  }
}

TEST_CASE("a recurrent checkpoint is refused for a tensor of its delta nets that is missing or misshapen") {
  const TempFolder folder;
  for (const char* name : {"A_log", "dt_bias", "conv1d.weight", "norm.weight", "in_proj_a.weight"}) {
    const std::string tensor = std::string("model.layers.0.linear_attn.") + name;
    TestTensors tensors = tiny_recurrent_tensors();
    REQUIRE(tensors.erase(tensor) == 1);
    write_tiny_model(folder.path(), tiny_recurrent_config(), tensors);
    CHECK(open_fault(folder.path()).find(tensor) != std::string::npos);
    tensors[tensor] = random_tensor({2, 2}, 1);
    write_tiny_model(folder.path(), tiny_recurrent_config(), tensors);
    CHECK(open_fault(folder.path()).find(tensor) != std::string::npos);
  }
}

TEST_CASE("a recurrent model answers alike on both backends, and with wrong tokens computed in between") {
  const TempFolder folder;
  write_tiny_model(folder.path(), tiny_recurrent_config(), tiny_recurrent_tensors());
  std::vector<float> logprobs;
  for (const BackendKind backend : {BackendKind::reference, BackendKind::cpu}) {
    ModelOptions options = tiny_options(folder.path());
    options.backend = backend;
    options.kv_bytes = 1 << 16;
    auto model = Model::open(options);
    REQUIRE(model);
    const std::vector<int32_t> tokens{1, 5, 9, 3, 17, 30, 2};
    const auto whole = run(**model, plan_of(tokens));
    REQUIRE(whole);
    std::vector<int32_t> wrong = tokens;
    wrong[5] = 8;
    wrong[6] = 11;
    REQUIRE(run(**model, plan_of(wrong)));
    StepPlan rest = plan_of(tokens);  // from position 5 on, where the cache holds another sequence's tokens
    for (auto* column : {&rest.token, &rest.position, &rest.kv_slot})
      column->erase(column->begin(), column->begin() + 5);
    rest.q_start = {0, 2};
    rest.sample_row = {1};
    const auto again = run(**model, rest);
    REQUIRE(again);
    CHECK(again->front().token == whole->front().token);
    CHECK(again->front().top_logprob[0] == whole->front().top_logprob[0]);
    logprobs.push_back(whole->front().top_logprob[0]);
  }
  CHECK(logprobs[0] == doctest::Approx(logprobs[1]).epsilon(1e-4));
}

}  // namespace lorikeet::test
