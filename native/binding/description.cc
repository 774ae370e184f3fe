#include "binding/description.h"

namespace lorikeet::binding {

Napi::Object describe(Napi::Env env, const Model& model) {
  const Network& network = model.network();
  Napi::Array modules = Napi::Array::New(env);
  static constexpr const char* kKinds[] = {"linear", "embedding", "norm"};
  for (const Module& module : model.modules()) {
    if (!module.adaptable) continue;
    Napi::Object item = Napi::Object::New(env);
    item["name"] = module.name;
    item["kind"] = kKinds[static_cast<size_t>(module.kind)];
    item["out"] = static_cast<double>(module.out);
    item["in"] = static_cast<double>(module.in);
    item["bias"] = Napi::Boolean::New(env, module.bias);
    if (module.transposed) item["transposed"] = Napi::Boolean::New(env, true);
    modules[modules.Length()] = item;
  }
  Napi::Array eos = Napi::Array::New(env);
  for (const int32_t id : network.eos_token_ids) eos[eos.Length()] = Napi::Number::New(env, id);
  Napi::Object description = Napi::Object::New(env);
  description["family"] = network.family;
  description["architecture"] = network.architecture;
  description["hiddenSize"] = static_cast<double>(network.hidden);
  description["numLayers"] = static_cast<double>(network.layer_count());
  description["vocabSize"] = static_cast<double>(network.vocab);
  description["maxPositions"] = static_cast<double>(network.max_positions);
  description["tieWordEmbeddings"] = Napi::Boolean::New(env, network.head.tied);
  description["eosTokenIds"] = eos;
  description["bosTokenId"] =
      network.bos_token_id ? Napi::Value(Napi::Number::New(env, *network.bos_token_id)) : env.Undefined();
  description["modules"] = modules;
  static constexpr const char* kQuantizations[] = {"none", "int8", "int4", "nf4"};
  const CheckpointMethod method = network.format.method;
  description["quantization"] =
      keeps_codes(method) ? name_of(method) : kQuantizations[static_cast<size_t>(model.quantization())];
  description["device"] = model.device();
  description["kvPages"] = static_cast<double>(model.kv_pages());
  description["kvBytesPerPage"] = static_cast<double>(model.kv_page_bytes());
  description["weightBytes"] = static_cast<double>(model.memory().weight_bytes);
  return description;
}

}  // namespace lorikeet::binding
