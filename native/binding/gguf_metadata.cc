#include "binding/gguf_metadata.h"

#include "model/gguf/gguf_model.h"

namespace lorikeet::binding {

namespace {

Napi::Value one(Napi::Env env, const GgufValue& value, uint64_t index, uint64_t& offset) {
  if (value.kind == GgufKind::text) {
    const std::string_view text = value.next_text(offset);
    return Napi::String::New(env, text.data(), text.size());
  }
  if (value.kind == GgufKind::boolean) return Napi::Boolean::New(env, value.number(index) != 0);
  return Napi::Number::New(env, value.number(index));
}

Napi::Value to_js(Napi::Env env, const GgufValue& value) {
  uint64_t offset = 0;  // of the next text
  if (!value.is_array) return one(env, value, 0, offset);
  Napi::Array array = Napi::Array::New(env, value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    const Napi::HandleScope scope(env);
    array.Set(static_cast<uint32_t>(i), one(env, value, i, offset));
  }
  return array;
}

}  // namespace

Result<Napi::Object> gguf_metadata(Napi::Env env, const std::string& path) {
  Result<GgufModel> model = GgufModel::open(path);
  if (!model) return model.error();
  Napi::Object result = Napi::Object::New(env);
  for (const auto& [key, value] : model->header().metadata) {
    if (value.count > UINT32_MAX) return Error{path + ": " + key + " holds too many values"};
    result[key] = to_js(env, value);
  }
  return result;
}

}  // namespace lorikeet::binding
