// Finding the driver and opening a device: every reason why there is none is told, and memory is counted.
#include "test/cuda_simulated.h"

namespace lorikeet::test {

namespace {

Error refused(int ordinal = 0) {
  const auto backend = make_cuda_backend({.threads = 1, .isa = "", .device = ordinal});
  REQUIRE_FALSE(backend);
  return backend.error();
}

bool says(const Error& error, const char* what) {
  return error.message.find(what) != std::string::npos;
}

}  // namespace

TEST_CASE("without a driver, or with one that lacks functions, a device is refused with the reason") {
  {
    const Variable none("LORIKEET_CUDA_DRIVER", "/nowhere/libcuda.so.1");
    const Error error = refused();
    CHECK(error.kind == ErrorKind::unsupported);
    CHECK(says(error, "there is no NVIDIA driver"));
    CHECK(says(error, "/nowhere/libcuda.so.1"));
  }
  const Variable other("LORIKEET_CUDA_DRIVER", "libm.so.6");
  const Error error = refused();
  CHECK(error.kind == ErrorKind::unsupported);
  CHECK(says(error, "older than needed"));
  CHECK(says(error, "cuInit"));
}

TEST_CASE("a driver, a card or a number that does not do is refused with what is there and what is needed") {
  const Simulated simulated;
  {
    const Variable version("LORIKEET_SIM_DRIVER_VERSION", "11020");
    const Error error = refused();
    CHECK(error.kind == ErrorKind::unsupported);
    CHECK(says(error, "of CUDA 11.2, and CUDA 11.4 or later is needed"));
  }
  {
    const Variable capability("LORIKEET_SIM_CAPABILITY", "75");
    const Error error = refused();
    CHECK(error.kind == ErrorKind::unsupported);
    CHECK(says(error, "compute capability 7.5, and 8.0 or later is needed"));
  }
  const Error error = refused(3);
  CHECK(error.kind == ErrorKind::unsupported);
  CHECK(says(error, "there is no device cuda:3: the driver sees 1 device"));
}

TEST_CASE("a device says what it is, and an old enough card will do") {
  const Simulated simulated;
  const Variable capability("LORIKEET_SIM_CAPABILITY", "80");
  const auto backend = make_cuda_backend({.threads = 2, .isa = ""});
  REQUIRE(backend);
  const Caps caps = (*backend)->caps();
  CHECK(caps.device == "cuda:0 PTX simulator 8.0");
  CHECK(caps.isa == "sm_80");
  CHECK(caps.threads == 2);
}

TEST_CASE("memory that ends is told with what was wanted and what is left, and given back exactly") {
  const Simulated simulated;
  const Variable memory("LORIKEET_SIM_MEMORY_BYTES", "16777216");
  const auto device = cuda::Device::open(0);
  REQUIRE(device);
  const size_t before = free_bytes(**device);
  {
    const auto held = cuda::DeviceMemory::allocate(**device, 8 << 20, "a test");
    REQUIRE(held);
    const auto more = cuda::DeviceMemory::allocate(**device, 32 << 20, "the KV cache");
    REQUIRE_FALSE(more);
    CHECK(more.error().kind == ErrorKind::out_of_memory);
    CHECK(says(more.error(), "32 MiB for the KV cache"));
    CHECK(says(more.error(), "the device has 8 MiB of 16 MiB left"));
  }
  CHECK(free_bytes(**device) == before);
}

TEST_CASE("a kernel that faults loses the device for good, and a new one works") {
  const Simulated simulated;
  const auto run = [](cuda::Device& device) {
    const auto values = cuda::DeviceMemory::allocate(device, 4 * sizeof(float), "a test");
    if (!values) return Status(values.error());
    const float ones[4] = {1, 1, 1, 1};
    if (Status s = device.upload(values->address(), ones, sizeof ones); !s) return s;
    device.launch(cuda::Kernel::scale_by, {1}, 256, values->address(), 2.0f, int64_t{4});
    float out[4] = {};
    device.copy_out(out, values->address(), sizeof out);
    if (Status s = device.wait(); !s) return s;
    return out[3] == 2.0f ? Status() : Status(Error{"wrong"});
  };
  {
    const Variable fails("LORIKEET_SIM_FAIL_LAUNCH", "2");
    const auto device = cuda::Device::open(0);
    REQUIRE(device);
    CHECK(run(**device));
    const Status lost = run(**device);
    REQUIRE_FALSE(lost);
    CHECK(lost.error().kind == ErrorKind::device_lost);
    CHECK(says(lost.error(), "CUDA_ERROR_ILLEGAL_ADDRESS (700)"));
    const Status again = run(**device);
    REQUIRE_FALSE(again);
    CHECK(again.error().kind == ErrorKind::device_lost);
  }
  const auto device = cuda::Device::open(0);
  REQUIRE(device);
  CHECK(run(**device));
}

TEST_CASE("whatever allocation of an opening fails, it says so and leaves nothing behind") {
  const Simulated simulated;
  const auto open = []() -> Status {
    auto backend = make_cuda_backend({});
    if (!backend) return backend.error();
    if (Status s = (*backend)->reserve(
            {.rows = 4, .sequences = 2, .samples = 2, .context = 64, .kv_slots = 64}, {.vocab = 8,
                                                                                       .widest_input = 64,
                                                                                       .widest_output = 64,
                                                                                       .quantized = true,
                                                                                       .q_heads = 2,
                                                                                       .kv_heads = 1,
                                                                                       .head_dim = 16});
        !s) {
      return s;
    }
    const auto tensor = (*backend)->tensor_create(4, 16);
    if (!tensor) return tensor.error();
    const auto cache = (*backend)->kv_create({.layers = {{1, 16}}, .pages = 4, .page_tokens = 16});
    return cache ? Status() : Status(cache.error());
  };
  int failures = 0;
  for (int number = 1; number < 20; ++number) {
    const Variable fails("LORIKEET_SIM_FAIL_ALLOCATION", std::to_string(number));
    const Status status = open();
    if (status) break;
    CHECK(status.error().kind == ErrorKind::out_of_memory);
    ++failures;
  }
  CHECK(failures >= 4);
  CHECK(open());
}

}  // namespace lorikeet::test
