// How fast the machine runs, in time of the processor: lorikeet_simulator_bench [kernels.ptx]. Two lines per
// case.
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <vector>

#include "simulator/machine/launch.h"
#include "simulator/machine/loaded_module.h"

using namespace lorikeet::simulator;

namespace {

class Bench {
 public:
  explicit Bench(std::string ptx) : memory_(uint64_t{1} << 32) {
    auto loaded = LoadedModule::load(std::move(ptx), memory_);
    if (auto* error = std::get_if<std::string>(&loaded)) {
      std::fprintf(stderr, "%s\n", error->c_str());
      std::exit(1);
    }
    module_ = std::move(std::get<std::unique_ptr<LoadedModule>>(loaded));
  }

  // Of zeros.
  uint64_t zeros(uint64_t bytes) {
    const uint64_t address = *memory_.allocate(bytes);
    memory_.mark(address, bytes, ByteState::ready);
    return address;
  }

  template <typename... Arguments>
  void run(const char* name, LaunchShape shape, Arguments... arguments) {
    for (const bool races : {true, false}) {
      const Program* program = module_->kernel(name);
      std::vector<uint8_t> bytes(program->parameter_bytes);
      size_t i = 0;
      ((std::memcpy(bytes.data() + program->parameters[i++].offset, &arguments, sizeof(arguments))), ...);
      Options options;
      options.races = races;
      const std::clock_t began = std::clock();
      const LaunchResult result = launch({*program, shape, bytes.data(), ++launches_}, memory_, options);
      const double seconds = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
      if (result.fault) std::fprintf(stderr, "%s", result.fault->text().c_str());
      const Counters& c = result.counters;
      std::printf(
          "%-16s races %-3s %7.1f ms  %6.1f M instructions/s  %7.1f M lanes/s  %6.2f M mma/s  %7.1f MB/s\n",
          name, races ? "on" : "off", seconds * 1e3, static_cast<double>(c.instructions) / seconds / 1e6,
          static_cast<double>(c.lanes) / seconds / 1e6,
          static_cast<double>(c.matrix_products) / seconds / 1e6,
          static_cast<double>(c.global_bytes_read + c.global_bytes_written) / seconds / 1e6);
    }
  }

 private:
  DeviceMemory memory_;
  std::unique_ptr<LoadedModule> module_;
  uint32_t launches_ = 0;
};

}  // namespace

int main(int count, char** arguments) {
  std::stringstream text;
  text << std::ifstream(count > 1 ? arguments[1] : SIMULATOR_KERNELS "/right.ptx").rdbuf();
  Bench bench(text.str());
  constexpr int kN = 1024, kK = 4096, kM = 256;
  bench.run("int4_product", {{kN / 16}, {32}, 0}, bench.zeros(kN * 4 * 8), bench.zeros(kN * kK / 2),
            bench.zeros(kK / 32 * kN * 4), bench.zeros(8 * kK), bench.zeros(32), kN, kK);
  bench.run("tiled_product", {{kN / 8, kM / 16}, {32}, 0}, bench.zeros(kM * kN * 4),
            bench.zeros(kM * 512 * 2), bench.zeros(kN * 512 * 2), kN, 512);
  bench.run("row_sums", {{512}, {256}, 0}, bench.zeros(512 * 8192 * 4), bench.zeros(2048), bench.zeros(4),
            bench.zeros(4), 8192);
  bench.run("ways", {{256}, {256}, 0}, bench.zeros(256 * 256 * 4), bench.zeros(256 * 256 * 4));
  return 0;
}
