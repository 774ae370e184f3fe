#include "binding/description.h"

namespace lorikeet::binding {

namespace {

Napi::Array describe_experts(Napi::Env env, const Network& network) {
  Napi::Array layers = Napi::Array::New(env);
  for (const Layer& layer : network.layers) {
    if (!layer.mlp.experts) continue;
    const ExpertLayer& experts = *layer.mlp.experts;
    const ExpertNames& names = experts.names;
    Napi::Object item = Napi::Object::New(env);
    item["name"] = names.stem.substr(0, names.stem.size() - 1);  // without the dot
    item["count"] = static_cast<double>(experts.routing.experts);
    item["hidden"] = static_cast<double>(network.hidden);
    item["width"] = static_cast<double>(experts.width);
    item["gate"] = names.gate;
    item["up"] = names.up;
    item["down"] = names.down;
    item["fusedUp"] = names.fused_up;
    item["fusedDown"] = names.fused_down;
    layers[layers.Length()] = item;
  }
  return layers;
}

}  // namespace

Napi::Object describe(Napi::Env env, const Model& model) {
  const Network& network = model.network();
  Napi::Array modules = Napi::Array::New(env);
  static constexpr const char* kKinds[] = {"linear", "embedding", "norm"};
  for (const Module& module : model.modules()) {
    Napi::Object item = Napi::Object::New(env);
    item["name"] = module.name;
    item["kind"] = kKinds[static_cast<size_t>(module.kind)];
    item["out"] = static_cast<double>(module.out);
    item["in"] = static_cast<double>(module.in);
    item["bias"] = Napi::Boolean::New(env, module.bias);
    if (module.transposed) item["transposed"] = Napi::Boolean::New(env, true);
    if (module.parts.size() > 1) {
      Napi::Array parts = Napi::Array::New(env);
      for (const PartRows& rows : module.parts) parts[parts.Length()] = static_cast<double>(rows.count);
      item["parts"] = parts;
    }
    if (module.router) item["router"] = Napi::Boolean::New(env, true);
    modules[modules.Length()] = item;
  }
  Napi::Array eos = Napi::Array::New(env);
  for (const int32_t id : network.eos_token_ids) eos[eos.Length()] = Napi::Number::New(env, id);
  Napi::Object description = Napi::Object::New(env);
  description["family"] = network.family;
  description["architecture"] = network.architecture;
  description["hiddenSize"] = static_cast<double>(network.head_width());
  description["numLayers"] = static_cast<double>(network.layer_count());
  description["vocabSize"] = static_cast<double>(network.vocab);
  if (const auto extra = model.extra_tokens()) description["extraTokens"] = static_cast<double>(*extra);
  description["maxPositions"] = static_cast<double>(network.max_positions);
  description["tieWordEmbeddings"] = Napi::Boolean::New(env, network.head.tied);
  description["eosTokenIds"] = eos;
  description["bosTokenId"] =
      network.bos_token_id ? Napi::Value(Napi::Number::New(env, *network.bos_token_id)) : env.Undefined();
  description["modules"] = modules;
  description["experts"] = describe_experts(env, network);
  Napi::Array unread = Napi::Array::New(env);
  for (const std::string& module : network.unread) unread[unread.Length()] = Napi::String::New(env, module);
  description["unreadModules"] = unread;
  description["ignoredTensors"] = static_cast<double>(model.ignored_tensors());
  Napi::Array vocabulary = Napi::Array::New(env);
  for (const auto& [module, place] : model.vocabulary_weights()) {
    Napi::Object item = Napi::Object::New(env);
    item["module"] = module;
    item["path"] = place.path;
    item["dtype"] = place.dtype;
    item["begin"] = static_cast<double>(place.begin);
    item["end"] = static_cast<double>(place.end);
    vocabulary[vocabulary.Length()] = item;
  }
  description["vocabularyWeights"] = vocabulary;
  static constexpr const char* kQuantizations[] = {"none", "int8", "int4", "nf4"};
  const CheckpointMethod method = network.format.method;
  description["quantization"] =
      keeps_codes(method) ? name_of(method) : kQuantizations[static_cast<size_t>(model.quantization())];
  description["device"] = model.device();
  description["kvPages"] = static_cast<double>(model.kv_pages());
  description["kvBytesPerPage"] = static_cast<double>(model.kv_page_bytes());
  description["kvPageTokens"] = static_cast<double>(model.kv_page_tokens());
  description["weightBytes"] = static_cast<double>(model.memory().weight_bytes);
  return description;
}

}  // namespace lorikeet::binding
