#pragma once
#include <string>
#include <variant>

#include "simulator/driver/abi.h"

namespace lorikeet::simulator {

struct ImageError {
  Result code;
  std::string message;
};

// The PTX of what a program gives to cuModuleLoadData: PTX itself, or a fat list that holds it uncompressed.
std::variant<std::string, ImageError> ptx_of_image(const void* image);

}  // namespace lorikeet::simulator
