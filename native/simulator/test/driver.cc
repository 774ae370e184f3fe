#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include "simulator/driver/abi.h"
#include "simulator/test/program.h"

namespace lorikeet::simulator {

namespace {

const std::vector<int> kZeros(32, 0);

}  // namespace

TEST_CASE("a program launches a kernel through the driver's functions alone") {
  DriverProgram program;
  const uint64_t values = program.upload(kZeros);
  CHECK(program.add(values, 7, nullptr) == kSuccess);
  CHECK(program.download(values, 32) == std::vector<int>(32, 7));
  int count = 0, version = 0, major = 0;
  CHECK(program.call("cuDeviceGetCount", &count) == 0);
  CHECK(program.call("cuDriverGetVersion", &version) == 0);
  CHECK(program.call("cuDeviceGetAttribute", &major, 75, 0) == 0);
  CHECK(count == 1);
  CHECK(version >= 12000);
  CHECK(major == 9);
  uint64_t address = 0;
  size_t bytes = 0;
  CHECK(program.call("cuModuleGetGlobal_v2", &address, &bytes, program.module(), "counter") == 0);
  CHECK(bytes == 4);
  CHECK(program.download(address, 1)[0] == 5);
  CHECK(program.call("cuModuleGetGlobal_v2", &address, &bytes, program.module(), "nothing") == kNotFound);
}

TEST_CASE("of several devices a program sees those that CUDA_VISIBLE_DEVICES names, and uses one at a time") {
  DriverProgram program("LORIKEET_SIM_DEVICES", "3");
  const auto count = [&] {
    int devices = -1;
    CHECK(program.call("cuDeviceGetCount", &devices) == kSuccess);
    return devices;
  };
  const auto first_uuid = [&] {
    unsigned char uuid[16] = {};
    CHECK(program.call("cuDeviceGetUuid_v2", static_cast<void*>(uuid), 0) == kSuccess);
    return int{uuid[3]};
  };
  int device = -1;
  void* context = nullptr;
  CHECK(count() == 3);
  CHECK(program.call("cuDeviceGet", &device, 2) == kSuccess);
  CHECK(program.call("cuDeviceGet", &device, 3) == kInvalidDevice);
  CHECK(program.call("cuDevicePrimaryCtxRetain", &context, 1) == kNotSupported);
  setenv("CUDA_VISIBLE_DEVICES", "2,GPU-00000000,9,1", 1);
  CHECK(count() == 2);  // an entry that is none ends the list
  CHECK(first_uuid() == 2);
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  CHECK(program.call("cuInit", 0u) == kNoDevice);
  unsetenv("CUDA_VISIBLE_DEVICES");
  CHECK(first_uuid() == 0);
}

TEST_CASE("work of a stream runs when somebody waits for it, and not before") {
  DriverProgram program;
  void* const stream = program.stream();
  const uint64_t values = program.upload(kZeros);
  int* const out = program.pinned(32);
  std::memset(out, 0, 128);
  CHECK(program.add(values, 1, stream) == kSuccess);
  CHECK(program.call("cuMemcpyDtoHAsync_v2", static_cast<void*>(out), values, size_t{128}, stream) ==
        kSuccess);
  CHECK(out[0] == 0);
  CHECK(program.synchronize(stream) == kSuccess);
  CHECK(out[0] == 1);
  // Pinned memory is read when the copy runs; other memory when it is called.
  out[0] = 10;
  CHECK(program.call("cuMemcpyHtoDAsync_v2", values, static_cast<const void*>(out), size_t{4}, stream) ==
        kSuccess);
  out[0] = 20;
  CHECK(program.synchronize(stream) == kSuccess);
  CHECK(program.download(values, 1)[0] == 20);
  int ordinary = 30;
  CHECK(program.call("cuMemcpyHtoDAsync_v2", values, static_cast<const void*>(&ordinary), size_t{4},
                     stream) == kSuccess);
  ordinary = 40;
  CHECK(program.synchronize(stream) == kSuccess);
  CHECK(program.download(values, 1)[0] == 30);
}

TEST_CASE("two streams are in order by an event, and a missing event is seen") {
  DriverProgram program;
  void *const first = program.stream(), *const second = program.stream();
  const uint64_t from = program.upload(kZeros), to = program.upload(kZeros);
  void* event = nullptr;
  CHECK(program.call("cuEventCreate", &event, 0u) == kSuccess);
  CHECK(program.add(from, 3, first) == kSuccess);
  CHECK(program.call("cuEventRecord", event, first) == kSuccess);
  CHECK(program.launch("copy_to", 32, second, to, from) == kSuccess);
  CHECK(program.synchronize(second) == kSuccess);
  CHECK(program.download(to, 1)[0] == 0);  // nobody told the second stream to wait
  CHECK(program.call("cuStreamWaitEvent", second, event, 0u) == kSuccess);
  CHECK(program.launch("copy_to", 32, second, to, from) == kSuccess);
  CHECK(program.synchronize(second) == kSuccess);
  CHECK(program.download(to, 1)[0] == 3);
  CHECK(program.call("cuEventQuery", event) == kSuccess);
  CHECK(program.add(from, 1, first) == kSuccess);
  CHECK(program.call("cuEventRecord", event, first) == kSuccess);
  CHECK(program.call("cuEventQuery", event) == kNotReady);
  CHECK(program.call("cuEventQuery", event) == kSuccess);
  CHECK(program.call("cuEventSynchronize", event) == kSuccess);
}

TEST_CASE("graphs: captured over two streams, launched again and again, a kernel's arguments set anew") {
  for (const char* order : {"forward", "reverse", "random"}) {
    DriverProgram program("LORIKEET_SIM_ORDER", order);
    void *const main = program.stream(), *const side = program.stream();
    void *fork = nullptr, *join = nullptr, *graph = nullptr, *executable = nullptr;
    const uint64_t a = program.upload(kZeros), b = program.upload(kZeros), to = program.upload(kZeros);
    CHECK(program.call("cuEventCreate", &fork, 0u) == kSuccess);
    CHECK(program.call("cuEventCreate", &join, 0u) == kSuccess);
    program.function("add");
    CHECK(program.call("cuStreamBeginCapture_v2", main, 1) == kSuccess);
    CHECK(program.add(a, 1, main) == kSuccess);
    CHECK(program.call("cuEventRecord", fork, main) == kSuccess);
    CHECK(program.call("cuStreamWaitEvent", side, fork, 0u) == kSuccess);
    CHECK(program.add(b, 10, side) == kSuccess);
    CHECK(program.call("cuEventRecord", join, side) == kSuccess);
    CHECK(program.synchronize(main) == kCaptureUnsupported);
    CHECK(program.call("cuStreamWaitEvent", main, join, 0u) == kSuccess);
    CHECK(program.launch("copy_to", 32, main, to, b) == kSuccess);
    CHECK(program.call("cuStreamEndCapture", main, &graph) == kSuccess);
    CHECK(program.call("cuGraphInstantiateWithFlags", &executable, graph, 0ull) == kSuccess);
    CHECK(program.download(a, 1)[0] == 0);
    for (int i = 0; i < 3; ++i) CHECK(program.call("cuGraphLaunch", executable, main) == kSuccess);
    CHECK(program.synchronize(main) == kSuccess);
    CHECK(program.download(a, 1)[0] == 3);
    CHECK(program.download(to, 1)[0] == 30);
    size_t count = 8;
    void* nodes[8] = {};
    CHECK(program.call("cuGraphGetNodes", graph, static_cast<void**>(nodes), &count) == kSuccess);
    REQUIRE(count == 3);
    uint64_t values = a;
    int amount = 100, n = 32;
    void* arguments[] = {&values, &amount, &n};
    KernelNodeParams params{static_cast<FunctionHandle*>(program.function("add")),
                            {1, 1, 1},
                            {32, 1, 1},
                            0,
                            arguments,
                            nullptr,
                            nullptr,
                            nullptr};
    CHECK(program.call("cuGraphExecKernelNodeSetParams_v2", executable, nodes[0], &params) == kSuccess);
    amount = 5;  // the arguments were taken
    CHECK(program.call("cuGraphLaunch", executable, main) == kSuccess);
    CHECK(program.synchronize(main) == kSuccess);
    CHECK(program.download(a, 1)[0] == 103);
    CHECK(program.call("cuGraphExecDestroy", executable) == kSuccess);
    CHECK(program.call("cuGraphDestroy", graph) == kSuccess);
  }
}

TEST_CASE("a capture that leaves a stream behind is refused") {
  DriverProgram program;
  void *const main = program.stream(), *const side = program.stream();
  void *fork = nullptr, *graph = nullptr;
  const uint64_t values = program.upload(kZeros);
  program.function("add");
  CHECK(program.call("cuEventCreate", &fork, 0u) == kSuccess);
  CHECK(program.call("cuStreamBeginCapture_v2", main, 1) == kSuccess);
  CHECK(program.call("cuEventRecord", fork, main) == kSuccess);
  CHECK(program.call("cuStreamWaitEvent", side, fork, 0u) == kSuccess);
  CHECK(program.add(values, 1, side) == kSuccess);
  CHECK(program.call("cuStreamEndCapture", main, &graph) == kCaptureUnjoined);
  CHECK(program.synchronize(side) == kSuccess);
}

TEST_CASE("memory is counted exactly, and ends") {
  DriverProgram program("LORIKEET_SIM_MEMORY_BYTES", "1048576");
  const size_t before = program.free_bytes();
  for (int round = 0; round < 2000; ++round) {
    const uint64_t large = program.allocate(500000), small = program.allocate(1);
    CHECK(before - program.free_bytes() == 500224 + 256);
    CHECK(program.call("cuMemFree_v2", large) == kSuccess);
    CHECK(program.call("cuMemFree_v2", small) == kSuccess);
    CHECK(program.free_bytes() == before);
  }
  uint64_t address = 0;
  CHECK(program.call("cuMemAlloc_v2", &address, size_t{1} << 21) == kOutOfMemory);
  CHECK(program.call("cuMemFree_v2", uint64_t{12345}) == kInvalidValue);
  CHECK(program.call("cuMemcpyDtoD_v2", uint64_t{0x40000000000}, program.allocate(16), size_t{32}) ==
        kInvalidValue);
}

TEST_CASE("a fault stays: every call gives its error until the context is gone") {
  {
    DriverProgram program;
    const uint64_t values = program.upload(std::vector<int>(16, 0));
    CHECK(program.add(values, 1, nullptr) == kSuccess);
    CHECK(program.call("cuCtxSynchronize") == kIllegalAddress);
    CHECK(program.report().find("0 bytes past the end of the allocation of 64 bytes") != std::string::npos);
    uint64_t address = 0;
    CHECK(program.call("cuMemAlloc_v2", &address, size_t{4}) == kIllegalAddress);
    CHECK(program.add(values, 1, nullptr) == kIllegalAddress);
    CHECK(program.call("cuMemFree_v2", values) == kIllegalAddress);
    const char* text = nullptr;
    CHECK(program.call("cuGetErrorString", 700, &text) == kSuccess);
    CHECK(std::string(text) == "an illegal memory access was encountered");
  }
  DriverProgram again;
  CHECK(again.download(again.upload({4}), 1)[0] == 4);
}

TEST_CASE("memory that is freed while a launch still wants it is told as use after free") {
  DriverProgram program;
  void* const stream = program.stream();
  const uint64_t values = program.upload(kZeros);
  CHECK(program.add(values, 1, stream) == kSuccess);
  CHECK(program.call("cuMemFree_v2", values) == kSuccess);
  CHECK(program.synchronize(stream) == kIllegalAddress);
  CHECK(program.report().find("use after free") != std::string::npos);
}

TEST_CASE("shared memory over 48 KB wants its attribute, and over 227 KB there is none") {
  DriverProgram program;
  const uint64_t out = program.allocate(128);
  void* const function = program.function("wants_shared");
  void* parameters[] = {const_cast<uint64_t*>(&out)};
  const auto launch = [&](unsigned bytes) {
    return program.call("cuLaunchKernel", function, 1u, 1u, 1u, 32u, 1u, 1u, bytes,
                        static_cast<void*>(nullptr), static_cast<void**>(parameters),
                        static_cast<void**>(nullptr));
  };
  CHECK(launch(65536) == kInvalidValue);
  CHECK(program.call("cuFuncSetAttribute", function, int{kFunctionMaxDynamicSharedBytes}, 228 * 1024) ==
        kInvalidValue);
  CHECK(program.call("cuFuncSetAttribute", function, int{kFunctionMaxDynamicSharedBytes}, 65536) == kSuccess);
  CHECK(launch(65536) == kSuccess);
  CHECK(program.download(out, 32)[31] == 31);
}

TEST_CASE("faults on purpose: an allocation, a launch, a kernel that never ends") {
  {
    DriverProgram program("LORIKEET_SIM_FAIL_ALLOCATION", "2");
    uint64_t address = 0;
    CHECK(program.call("cuMemAlloc_v2", &address, size_t{4}) == kSuccess);
    CHECK(program.call("cuMemAlloc_v2", &address, size_t{4}) == kOutOfMemory);
    CHECK(program.call("cuMemAlloc_v2", &address, size_t{4}) == kSuccess);
  }
  {
    DriverProgram program("LORIKEET_SIM_FAIL_LAUNCH", "2");
    const uint64_t values = program.upload(kZeros);
    CHECK(program.add(values, 1, nullptr) == kSuccess);
    CHECK(program.call("cuCtxSynchronize") == kSuccess);
    CHECK(program.add(values, 1, nullptr) == kSuccess);
    CHECK(program.call("cuCtxSynchronize") == kIllegalAddress);
  }
  {
    const std::string path = (std::filesystem::temp_directory_path() / "lorikeet-planned-fault").string();
    DriverProgram program("LORIKEET_SIM_FAULT_FILE", path);
    const uint64_t values = program.upload(kZeros);
    CHECK(program.add(values, 1, nullptr) == kSuccess);
    CHECK(program.call("cuCtxSynchronize") == kSuccess);
    std::ofstream(path) << "fail";
    CHECK(program.add(values, 1, nullptr) == kSuccess);
    CHECK(program.call("cuCtxSynchronize") == kIllegalAddress);
    CHECK_FALSE(std::filesystem::exists(path));
  }
  DriverProgram program("LORIKEET_SIM_HANG_LAUNCH", "1");
  void *const stream = program.stream(), *event = nullptr;
  const uint64_t values = program.upload(kZeros);
  CHECK(program.add(values, 1, stream) == kSuccess);
  CHECK(program.call("cuEventCreate", &event, 0u) == kSuccess);
  CHECK(program.call("cuEventRecord", event, stream) == kSuccess);
  for (int i = 0; i < 5; ++i) CHECK(program.call("cuEventQuery", event) == kNotReady);
  CHECK(program.free_bytes() > 0);  // other calls go on
}

TEST_CASE("a kernel that may begin early waits before it reads what the one before writes") {
  for (const int waits : {1, 0}) {
    DriverProgram program;
    void* const stream = program.stream();
    const uint64_t from = program.upload(kZeros), to = program.allocate(128);
    CHECK(program.add(from, 1, stream) == kSuccess);
    LaunchAttribute attribute{kProgrammaticSerialization, {}, {.number = 1}};
    const LaunchConfig config{{1, 1, 1}, {32, 1, 1}, 0, static_cast<StreamHandle*>(stream), &attribute, 1};
    void* parameters[] = {const_cast<uint64_t*>(&to), const_cast<uint64_t*>(&from), const_cast<int*>(&waits)};
    CHECK(program.call("cuLaunchKernelEx", &config, program.function("after_the_launch_before"),
                       static_cast<void**>(parameters), static_cast<void**>(nullptr)) == kSuccess);
    CHECK(program.synchronize(stream) == (waits ? kSuccess : kLaunchFailed));
    if (!waits) CHECK(program.report().find("before griddepcontrol.wait") != std::string::npos);
  }
}

TEST_CASE("what is no PTX is refused with what to give") {
  DriverProgram program;
  void* module = nullptr;
  char log[200] = {};
  int options[] = {5, 6};
  void* values[] = {log, reinterpret_cast<void*>(sizeof(log))};
  const auto load = [&](const void* image) {
    return program.call("cuModuleLoadDataEx", &module, image, 2u, static_cast<int*>(options),
                        static_cast<void**>(values));
  };
  CHECK(load("\x7f"
             "ELF\2\1\1") == kNoBinaryForGpu);
  CHECK(std::string(log).find("give PTX") != std::string::npos);
  CHECK(load(".version 7.4\n.target sm_80\n.address_size 64\n.visible .entry k() { wgmma.fence; }") ==
        kInvalidPtx);
  CHECK(std::string(log).find("line 4: an unknown instruction: wgmma.fence") != std::string::npos);
  // A fat list with a cubin and PTX.
  std::vector<uint8_t> list(16 + 64 + 8 + 64);
  const std::string text = kernels_text("driver.ptx");
  const auto put = [&](size_t at, auto value) { std::memcpy(list.data() + at, &value, sizeof(value)); };
  put(0, uint32_t{0xba55ed50});
  put(6, uint16_t{16});
  put(8, uint64_t{64 + 8 + 64 + text.size() + 1});
  put(16, uint16_t{2});
  put(20, uint32_t{64});
  put(24, uint64_t{8});
  put(16 + 72, uint16_t{1});
  put(16 + 76, uint32_t{64});
  put(16 + 80, uint64_t{text.size() + 1});
  list.insert(list.end(), text.begin(), text.end());
  list.push_back(0);
  CHECK(load(list.data()) == kSuccess);
}

}  // namespace lorikeet::simulator
