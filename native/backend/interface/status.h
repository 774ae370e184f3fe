// Errors without exceptions: what fails on bad input returns a Result, whose message a user can read.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace lorikeet {

// For whoever decides what to do about it: try again, try elsewhere, or tell who sent it.
enum class ErrorKind : uint8_t {
  invalid,        // what came in is wrong or not supported: another try fails alike
  out_of_memory,  // of memory, threads or file handles: may work later, or where there is more
  closed,         // the model is closing
  device,         // the engine itself failed
  device_lost,    // and nothing more will come of it until its process has ended
  unsupported,    // not served on this device
};

struct Error {
  std::string message;
  ErrorKind kind = ErrorKind::invalid;
};

// The same failure, and where it happened.
inline Error within(const std::string& where, const Error& error) {
  return {where + ": " + error.message, error.kind};
}

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}      // NOLINT: a value is a Result
  Result(Error error) : state_(std::move(error)) {}  // NOLINT: an Error is a Result
  explicit operator bool() const { return state_.index() == 0; }
  T& operator*() { return std::get<0>(state_); }
  const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT: an Error is a Status
  explicit operator bool() const { return !error_.has_value(); }
  const Error& error() const { return *error_; }

 private:
  std::optional<Error> error_;
};

}  // namespace lorikeet
