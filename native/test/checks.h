// doctest, with values of ours that say what is wrong when a check of them fails.
#pragma once

#include <doctest/doctest.h>

#include <string>

#include "backend/interface/status.h"

namespace doctest {

template <>
struct StringMaker<lorikeet::Status> {
  static String convert(const lorikeet::Status& status) {
    const std::string text = status ? "ok" : "error: " + status.error().message;
    return text.c_str();
  }
};

template <class T>
struct StringMaker<lorikeet::Result<T>> {
  static String convert(const lorikeet::Result<T>& result) {
    const std::string text = result ? "a value" : "error: " + result.error().message;
    return text.c_str();
  }
};

}  // namespace doctest
