#include <napi.h>

#include "binding/session.h"
#include "model/inspect.h"

// inspect(modelPath): throws what makes the checkpoint unusable; reads no weights.
static Napi::Value inspect(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsString()) {
    Napi::TypeError::New(env, "inspect needs the path of a checkpoint").ThrowAsJavaScriptException();
    return env.Undefined();
  }
  const lorikeet::Status status = lorikeet::inspect_checkpoint(info[0].As<Napi::String>().Utf8Value());
  if (!status) Napi::Error::New(env, status.error().message).ThrowAsJavaScriptException();
  return env.Undefined();
}

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["open"] = Napi::Function::New(env, lorikeet::binding::Session::open, "open");
  exports["inspect"] = Napi::Function::New(env, inspect, "inspect");
  return exports;
}

NODE_API_MODULE(lorikeet, init)
