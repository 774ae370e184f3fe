// Errors of ours as JavaScript meets them.
#pragma once

#include <napi.h>

#include "backend/interface/status.h"
#include "backend/shared/guarded.h"

namespace lorikeet::binding {

// An Error with the message, whose `kind` is native-error.ts's NativeErrorKind.
Napi::Error js_error(Napi::Env env, const Error& error);
Napi::Value rejected(Napi::Env env, const Error& error);
Napi::Value thrown(Napi::Env env, const Error& error);

// What `function` returns; what it throws becomes an exception of JavaScript, for no other may leave a call.
template <class Function>
Napi::Value guarded_call(Napi::Env env, Function&& function) {
  Napi::Value value;
  const Status status = guarded([&] {
    value = function();
    return Status();
  });
  return status ? value : thrown(env, status.error());
}

}  // namespace lorikeet::binding
