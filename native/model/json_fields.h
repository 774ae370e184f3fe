// Typed fields of a JSON object whose first fault is kept: readers ask for all fields and check once. What
// nobody asked for is known in the end, so that a field nobody knows can be refused.
#pragma once

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "backend/interface/status.h"

namespace lorikeet {

// A field that is absent or null is not there.
class JsonFields {
 public:
  // `object` must outlive the reader; `where` begins every message.
  JsonFields(const nlohmann::json& object, std::string where) : object_(object), where_(std::move(where)) {}

  bool has(const char* name) const {
    read_.insert(name);
    return object_.contains(name) && !object_[name].is_null();
  }
  // There, and null: not the same as absent where a class has a default of its own.
  bool is_null(const char* name) const {
    read_.insert(name);
    return object_.contains(name) && object_[name].is_null();
  }
  const nlohmann::json& raw(const char* name) const { return object_[name]; }
  const std::string& where() const { return where_; }

  // Fields that are there and that nobody has asked for, null ones aside.
  std::vector<std::string> unread() const {
    std::vector<std::string> names;
    for (const auto& [name, value] : object_.items()) {
      if (!value.is_null() && !read_.contains(name)) names.push_back(name);
    }
    return names;
  }

  std::optional<int32_t> integer(const char* name, int64_t least) {
    if (!has(name)) return std::nullopt;
    const nlohmann::json& value = object_[name];
    const bool fits = value.is_number_integer() && value.get<double>() <= INT32_MAX &&
                      value.get<double>() >= static_cast<double>(least);
    if (!fits) return fail(name, "an integer of at least " + std::to_string(least)), std::nullopt;
    return value.get<int32_t>();
  }
  int32_t need_integer(const char* name, int64_t least) {
    if (!has(name)) fail(name, "given");
    return integer(name, least).value_or(static_cast<int32_t>(least));
  }
  std::optional<double> number(const char* name) {
    if (!has(name)) return std::nullopt;
    const nlohmann::json& value = object_[name];
    if (!value.is_number() || !std::isfinite(value.get<double>()))
      return fail(name, "a number"), std::nullopt;
    return value.get<double>();
  }
  double need_number(const char* name) {
    if (!has(name)) fail(name, "given");
    return number(name).value_or(0);
  }
  bool boolean(const char* name, bool otherwise) {
    if (!has(name)) return otherwise;
    if (!object_[name].is_boolean()) fail(name, "true or false");
    return object_[name].is_boolean() ? object_[name].get<bool>() : otherwise;
  }
  std::optional<std::string> text(const char* name) {
    if (!has(name)) return std::nullopt;
    if (!object_[name].is_string()) return fail(name, "a string"), std::nullopt;
    return object_[name].get<std::string>();
  }

  // A list of numbers; empty where absent.
  std::vector<double> numbers(const char* name) {
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
  std::vector<std::string> texts(const char* name) {
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

  void fail(const std::string& name, const std::string& expected) {
    if (!error_) error_ = Error{where_ + ": " + name + " must be " + expected};
  }
  void refuse(const std::string& message) {
    if (!error_) error_ = Error{where_ + ": " + message};
  }
  // Of a reader of something inside.
  void take_error(const Error& error) {
    if (!error_) error_ = error;
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  const nlohmann::json& object_;
  std::string where_;
  mutable std::set<std::string> read_;
  std::optional<Error> error_;
};

}  // namespace lorikeet
