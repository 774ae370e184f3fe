#include "model/json_fields.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace lorikeet {

bool JsonFields::has(const char* name) const {
  read_.insert(name);
  return object_.contains(name) && !object_[name].is_null();
}

bool JsonFields::is_null(const char* name) const {
  read_.insert(name);
  return object_.contains(name) && object_[name].is_null();
}

const nlohmann::json& JsonFields::raw(const char* name) const {
  return object_[name];
}

std::vector<std::string> JsonFields::unread() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.items()) {
    if (!value.is_null() && !read_.contains(name)) names.push_back(name);
  }
  return names;
}

std::optional<int32_t> JsonFields::integer(const char* name, int64_t least) {
  if (!has(name)) return std::nullopt;
  const nlohmann::json& value = object_[name];
  const bool fits = value.is_number_integer() && value.get<double>() <= INT32_MAX &&
                    value.get<double>() >= static_cast<double>(least);
  if (!fits) return fail(name, "an integer of at least " + std::to_string(least)), std::nullopt;
  return value.get<int32_t>();
}

int32_t JsonFields::need_integer(const char* name, int64_t least) {
  if (!has(name)) fail(name, "given");
  return integer(name, least).value_or(static_cast<int32_t>(least));
}

std::optional<double> JsonFields::number(const char* name) {
  if (!has(name)) return std::nullopt;
  const nlohmann::json& value = object_[name];
  if (!value.is_number() || !std::isfinite(value.get<double>())) return fail(name, "a number"), std::nullopt;
  return value.get<double>();
}

double JsonFields::need_number(const char* name) {
  if (!has(name)) fail(name, "given");
  return number(name).value_or(0);
}

bool JsonFields::boolean(const char* name, bool otherwise) {
  if (!has(name)) return otherwise;
  if (!object_[name].is_boolean()) fail(name, "true or false");
  return object_[name].is_boolean() ? object_[name].get<bool>() : otherwise;
}

std::optional<std::string> JsonFields::text(const char* name) {
  if (!has(name)) return std::nullopt;
  if (!object_[name].is_string()) return fail(name, "a string"), std::nullopt;
  return object_[name].get<std::string>();
}

std::vector<double> JsonFields::numbers(const char* name) {
  std::vector<double> values;
  if (!has(name)) return values;
  const nlohmann::json& list = object_[name];
  for (const nlohmann::json& item : list.is_array() ? list : nlohmann::json::array({nullptr})) {
    if (!item.is_number() || !std::isfinite(item.get<double>())) {
      fail(name, "a list of numbers");
      return {};
    }
    values.push_back(item.get<double>());
  }
  return values;
}

std::vector<std::string> JsonFields::texts(const char* name) {
  std::vector<std::string> values;
  if (!has(name)) return values;
  const nlohmann::json& list = object_[name];
  for (const nlohmann::json& item : list.is_array() ? list : nlohmann::json::array({nullptr})) {
    if (!item.is_string()) {
      fail(name, "a list of strings");
      return {};
    }
    values.push_back(item.get<std::string>());
  }
  return values;
}

}  // namespace lorikeet
