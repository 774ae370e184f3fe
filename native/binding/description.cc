#include "binding/description.h"

namespace lorikeet::binding {

Napi::Object describe(Napi::Env env, const Model& model) {
  const ModelConfig& config = model.config();
  Napi::Array modules = Napi::Array::New(env);
  static constexpr const char* kKinds[] = {"linear", "embedding", "norm"};
  for (const Module& module : model.modules()) {
    Napi::Object item = Napi::Object::New(env);
    item["name"] = module.name;
    item["kind"] = kKinds[static_cast<size_t>(module.kind)];
    item["out"] = static_cast<double>(module.out);
    item["in"] = static_cast<double>(module.in);
    item["bias"] = Napi::Boolean::New(env, module.bias);
    modules[modules.Length()] = item;
  }
  Napi::Array eos = Napi::Array::New(env);
  for (const int32_t id : config.eos_token_ids) eos[eos.Length()] = Napi::Number::New(env, id);
  Napi::Object description = Napi::Object::New(env);
  description["architecture"] = config.architecture;
  description["hiddenSize"] = static_cast<double>(config.hidden);
  description["numLayers"] = static_cast<double>(config.layers);
  description["vocabSize"] = static_cast<double>(config.vocab);
  description["maxPositions"] = static_cast<double>(config.max_positions);
  description["tieWordEmbeddings"] = Napi::Boolean::New(env, config.tied_head);
  description["eosTokenIds"] = eos;
  description["bosTokenId"] =
      config.bos_token_id ? Napi::Value(Napi::Number::New(env, *config.bos_token_id)) : env.Undefined();
  description["modules"] = modules;
  static constexpr const char* kQuantizations[] = {"none", "int8", "int4", "nf4"};
  description["quantization"] = kQuantizations[static_cast<size_t>(model.quantization())];
  description["device"] = model.device();
  description["kvPages"] = static_cast<double>(model.kv_pages());
  description["kvBytesPerPage"] = static_cast<double>(model.kv_page_bytes());
  description["weightBytes"] = static_cast<double>(model.memory().weight_bytes);
  return description;
}

}  // namespace lorikeet::binding
