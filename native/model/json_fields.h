// Typed fields of a JSON object whose first fault is kept: readers ask for all fields and check once. What
// nobody asked for is known in the end, so that a field nobody knows can be refused.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
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

  bool has(const char* name) const;
  // There, and null: not the same as absent where a class has a default of its own.
  bool is_null(const char* name) const;
  const nlohmann::json& raw(const char* name) const;
  const std::string& where() const { return where_; }

  // Fields that are there and that nobody has asked for, null ones aside.
  std::vector<std::string> unread() const;

  std::optional<int32_t> integer(const char* name, int64_t least);
  int32_t need_integer(const char* name, int64_t least);
  std::optional<double> number(const char* name);
  double need_number(const char* name);
  bool boolean(const char* name, bool otherwise);
  std::optional<std::string> text(const char* name);

  // Lists; empty where absent.
  std::vector<double> numbers(const char* name);
  std::vector<std::string> texts(const char* name);

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
