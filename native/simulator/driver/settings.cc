#include "simulator/driver/settings.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace lorikeet::simulator {

namespace {

std::optional<uint64_t> number(const char* name) {
  const char* const text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  char* end = nullptr;
  const uint64_t value = std::strtoull(text, &end, 10);
  if (*end == '\0') return value;
  std::fprintf(stderr, "simulator: %s is no number: %s\n", name, text);
  return std::nullopt;
}

std::string_view word(const char* name) {
  const char* const text = std::getenv(name);
  return text == nullptr ? "" : text;
}

}  // namespace

DriverSettings settings_from_environment() {
  DriverSettings settings;
  const std::string_view order = word("LORIKEET_SIM_ORDER");
  if (order == "reverse") settings.options.order = Order::reverse;
  if (order == "random") settings.options.order = Order::random;
  settings.options.seed = number("LORIKEET_SIM_SEED").value_or(1);
  settings.options.races = word("LORIKEET_SIM_RACES") != "off";
  settings.options.budget = number("LORIKEET_SIM_BUDGET").value_or(settings.options.budget);
  settings.memory_bytes = number("LORIKEET_SIM_MEMORY_BYTES").value_or(settings.memory_bytes);
  settings.capability = static_cast<int>(number("LORIKEET_SIM_CAPABILITY").value_or(90));
  settings.driver_version = static_cast<int>(
      number("LORIKEET_SIM_DRIVER_VERSION").value_or(static_cast<uint64_t>(settings.driver_version)));
  settings.print_counters = number("LORIKEET_SIM_COUNTERS").value_or(0) != 0;
  settings.fail_allocation = number("LORIKEET_SIM_FAIL_ALLOCATION");
  settings.fail_launch = number("LORIKEET_SIM_FAIL_LAUNCH");
  settings.hang_launch = number("LORIKEET_SIM_HANG_LAUNCH");
  settings.fault_file = word("LORIKEET_SIM_FAULT_FILE");
  return settings;
}

}  // namespace lorikeet::simulator
