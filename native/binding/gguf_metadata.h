#pragma once

#include <napi.h>

#include <string>

#include "backend/interface/status.h"

namespace lorikeet::binding {

// native.ts: GgufMetadata. The file's metadata by key, as JavaScript has such values.
Result<Napi::Object> gguf_metadata(Napi::Env env, const std::string& path);

}  // namespace lorikeet::binding
