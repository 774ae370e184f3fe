#include <napi.h>

#include <utility>

#include "backend/interface/open_backend.h"
#include "backend/shared/kv_type.h"
#include "binding/gguf_metadata.h"
#include "binding/js_error.h"
#include "binding/session.h"
#include "model/gguf/gguf_model.h"
#include "model/inspect.h"
#include "model/step_plan.h"

// What one token takes in the KV cache of each element type, in bytes, beside what every page takes.
static Napi::Object kv_token_bytes(Napi::Env env, const std::vector<lorikeet::KvLayer>& layers) {
  using lorikeet::DType;
  static constexpr std::pair<const char*, DType> kTypes[] = {
      {"f32", DType::f32}, {"f16", DType::f16}, {"bf16", DType::bf16}, {"int8", DType::int8}};
  Napi::Object bytes = Napi::Object::New(env);
  for (const auto& [name, type] : kTypes)
    bytes[name] = static_cast<double>(lorikeet::kv_page_bytes({layers, 1, 1, type}) -
                                      lorikeet::kv_page_bytes({layers, 1, 0, type}));
  return bytes;
}

static Napi::Object features(Napi::Env env, const lorikeet::NetworkFeatures& features) {
  Napi::Object result = Napi::Object::New(env);
  result["norms"] = features.norms;
  result["positions"] = features.positions;
  result["attention"] = features.attention;
  result["mlp"] = features.mlp;
  result["others"] = features.others;
  return result;
}

// inspect(modelPath): throws what makes the checkpoint unusable, else returns what it needs; reads no
// weights.
static Napi::Value inspect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) {
    Napi::TypeError::New(env, "inspect needs the path of a checkpoint").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const std::string path = info[0].As<Napi::String>().Utf8Value();
  const lorikeet::Result<lorikeet::CheckpointSummary> summary =
      lorikeet::guarded([&] { return lorikeet::inspect_checkpoint(path); });
  if (!summary) return lorikeet::binding::thrown(env, summary.error());
  Napi::Object result = Napi::Object::New(env);
  result["maxPositions"] = static_cast<double>(summary->max_positions);
  result["kvTokenBytes"] = kv_token_bytes(env, summary->kv_layers);
  result["kvStateBytes"] =
      static_cast<double>(lorikeet::kv_page_bytes({summary->kv_layers, 1, 0, lorikeet::DType::f32}));
  result["features"] = features(env, summary->features);
  result["quantization"] = summary->quantization;
  if (!lorikeet::is_gguf(path)) return result;
  lorikeet::Result<Napi::Object> metadata =
      lorikeet::guarded([&] { return lorikeet::binding::gguf_metadata(env, path); });
  if (!metadata) return lorikeet::binding::thrown(env, metadata.error());
  result["gguf"] = *metadata;
  return result;
}

// probeCuda(ordinal): throws why no such device can be used, else returns what it is and has.
static Napi::Value probe_cuda(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber()) {
    Napi::TypeError::New(env, "probeCuda needs the number of a device").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const auto probe = lorikeet::probe_cuda(info[0].As<Napi::Number>().Int32Value());
  if (!probe) return lorikeet::binding::thrown(env, probe.error());
  Napi::Object result = Napi::Object::New(env);
  result["device"] = probe->device;
  result["freeBytes"] = static_cast<double>(probe->free_bytes);
  result["totalBytes"] = static_cast<double>(probe->total_bytes);
  return result;
}

// countCuda(): throws why there is no driver, else how many devices it lets this process see.
static Napi::Value count_cuda(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const auto count = lorikeet::count_cuda();
  if (!count) return lorikeet::binding::thrown(env, count.error());
  return Napi::Number::New(env, *count);
}

static Napi::Value open(const Napi::CallbackInfo& info) {
  return lorikeet::binding::guarded_call(info.Env(), [&] { return lorikeet::binding::Session::open(info); });
}

// Names of a sampled row's columns in a step's plan.
static Napi::Object sample_columns(Napi::Env env) {
  Napi::Array ints = Napi::Array::New(env);
  for (const char* name : {"mode", "target", "topLogprobs"}) ints[ints.Length()] = name;
  for (const auto& column : lorikeet::kIntColumns) ints[ints.Length()] = column.name;
  Napi::Array floats = Napi::Array::New(env);
  for (const auto& column : lorikeet::kFloatColumns) floats[floats.Length()] = column.name;
  Napi::Object columns = Napi::Object::New(env);
  columns["ints"] = ints;
  columns["floats"] = floats;
  return columns;
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["open"] = Napi::Function::New(env, open, "open");
  exports["inspect"] = Napi::Function::New(env, inspect, "inspect");
  exports["probeCuda"] = Napi::Function::New(env, probe_cuda, "probeCuda");
  exports["countCuda"] = Napi::Function::New(env, count_cuda, "countCuda");
  exports["sampleColumns"] = sample_columns(env);
  return exports;
}

NODE_API_MODULE(lorikeet, init)
