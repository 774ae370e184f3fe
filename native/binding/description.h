#pragma once

#include <napi.h>

#include "model/model.h"

namespace lorikeet::binding {

// native.ts: ModelDescription
Napi::Object describe(Napi::Env env, const Model& model);

}  // namespace lorikeet::binding
