#include "simulator/driver/settings.h"

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <numeric>
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

// The device that an entry of CUDA_VISIBLE_DEVICES names: by its number, or the beginning of its UUID.
std::optional<int> device_named(std::string_view entry, int devices) {
  int number = 0;
  const auto [end, error] = std::from_chars(entry.data(), entry.data() + entry.size(), number);
  if (error == std::errc() && end == entry.data() + entry.size()) {
    return number >= 0 && number < devices ? std::optional(number) : std::nullopt;
  }
  for (int device = 0; device < devices; ++device) {
    if (!entry.empty() && uuid_of_device(device).starts_with(entry)) return device;
  }
  return std::nullopt;
}

}  // namespace

std::string uuid_of_device(int device) {
  char text[64];
  std::snprintf(text, sizeof text, "GPU-%08x-0000-0000-0000-000000000000", static_cast<unsigned>(device));
  return text;
}

// As a driver does it: what follows an entry that names none is not seen.
std::vector<int> visible_devices() {
  const auto devices = static_cast<int>(number("LORIKEET_SIM_DEVICES").value_or(1));
  std::vector<int> visible;
  if (std::getenv("CUDA_VISIBLE_DEVICES") == nullptr) {
    visible.resize(static_cast<size_t>(devices));
    std::iota(visible.begin(), visible.end(), 0);
    return visible;
  }
  std::string_view rest = word("CUDA_VISIBLE_DEVICES");
  while (!rest.empty()) {
    const size_t comma = std::min(rest.find(','), rest.size());
    const auto device = device_named(rest.substr(0, comma), devices);
    if (!device) break;
    visible.push_back(*device);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return visible;
}

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
