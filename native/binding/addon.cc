#include <napi.h>

#include "binding/session.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports["open"] = Napi::Function::New(env, lorikeet::binding::Session::open, "open");
  return exports;
}

NODE_API_MODULE(lorikeet, init)
