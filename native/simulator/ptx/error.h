#pragma once
#include <cstdint>
#include <stdexcept>
#include <string>

namespace lorikeet::simulator {

// What is wrong with a PTX text, and where. Thrown inside of the reader; load() gives it back as a value.
struct PtxError : std::runtime_error {
  PtxError(uint32_t at_line, const std::string& message)
      : std::runtime_error("line " + std::to_string(at_line) + ": " + message), line(at_line) {}
  uint32_t line;
};

}  // namespace lorikeet::simulator
