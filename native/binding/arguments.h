// What JavaScript hands over, checked. The first fault wins and is an Error, never an exception or a crash.
#pragma once

#include <napi.h>

#include <optional>
#include <string>
#include <vector>

#include "backend/interface/status.h"
#include "model/model.h"

namespace lorikeet::binding {

class Arguments {
 public:
  Arguments(Napi::Env env, Napi::Value object, std::string where);

  Napi::Value get(const char* name);
  std::string text(const char* name);
  // A whole number in [least, most].
  int64_t integer(const char* name, int64_t least, int64_t most);
  Arguments object(const char* name);
  // The first `count` elements of the typed array `name`; `type` is its element type. Null after a fault.
  template <class T>
  T* array(const char* name, napi_typedarray_type type, size_t count) {
    return static_cast<T*>(array_data(name, type, count));
  }

  void fail(const std::string& name, const std::string& expected);
  const std::optional<Error>& error() const { return error_; }

 private:
  void* array_data(const char* name, napi_typedarray_type type, size_t count);

  Napi::Env env_;
  Napi::Object object_;
  std::string where_;
  std::optional<Error> error_;
};

// native.ts: OpenOptions
Result<ModelOptions> read_open_options(Napi::Env env, Napi::Value value);

// Plain data as JSON: so it crosses in one piece and is read on another thread. Nothing: it is none.
std::optional<std::string> json_text(Napi::Env env, Napi::Value value);
// native.ts: AdapterSpec, or an array of them.
Result<std::vector<AdapterFile>> read_adapter_files(Napi::Env env, Napi::Value value);

// native.ts: StepPlan. Copies the counted parts of the arrays; their content is checked on the step thread.
Status read_step_plan(Napi::Env env, Napi::Value value, const ModelOptions& options, StepPlan& plan);
// Writes the out arrays.
Status write_step_results(Napi::Env env, Napi::Value value, const Model& model);

}  // namespace lorikeet::binding
