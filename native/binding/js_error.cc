#include "binding/js_error.h"

namespace lorikeet::binding {

Napi::Error js_error(Napi::Env env, const Error& error) {
  static constexpr const char* kKinds[] = {"invalid", "out_of_memory", "closed",
                                           "device",  "device_lost",   "unsupported"};
  Napi::Error made = Napi::Error::New(env, error.message);
  made.Set("kind", Napi::String::New(env, kKinds[static_cast<size_t>(error.kind)]));
  return made;
}

Napi::Value rejected(Napi::Env env, const Error& error) {
  const auto deferred = Napi::Promise::Deferred::New(env);
  deferred.Reject(js_error(env, error).Value());
  return deferred.Promise();
}

Napi::Value thrown(Napi::Env env, const Error& error) {
  js_error(env, error).ThrowAsJavaScriptException();
  return env.Undefined();
}

}  // namespace lorikeet::binding
